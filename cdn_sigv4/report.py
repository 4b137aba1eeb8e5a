"""What the command line says: a line on stderr for each thing, or a JSON object on stdout; and how far a transfer is.

Nothing raw reaches a terminal: names, keys and servers' words go through `printable`. Of an error that nobody expected
only the kind is told, as its text may hold anything, a secret too.
"""

from __future__ import annotations

import os
import sys
from time import monotonic

from .errors import CDNError, printable
from .settings import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Optional, TextIO

    Show = Callable[[int, Optional[int]], object]

DONE, FAILED, WRONG_USE, INTERRUPTED, BROKEN_PIPE = 0, 1, 2, 130, 141  # the last two: 128 + the signal's number
_LONGEST = 4000  # characters of a line on stderr
_WIDTH = 80  # characters of a terminal that does not say
_PAUSE = 0.1  # seconds between two states of the line that is rewritten
# What the library calls by its arguments' names, in the command line's words.
_WORDS = {
    "verify=": "--ca-file",
    "verify names the CA file": "--ca-file names the file",
    "resume=True": "--resume",
    "etag_is_md5=False": "--etag-is-no-md5",
    "addressing='path'": "--addressing path",
    "part_size": "--part-size",
    "max_workers": "--workers",
    "expires_in": "--expires-in",
    "timeout=": "--timeout",
    "timeout must be two positive numbers": "--connect-timeout and --timeout must be positive numbers",
    "attempts must": "--attempts must",
    "budget must": "--budget must",
    "with if_none_match='*'": "with --if-absent",
}
_EVIDENCE = ("message", "operation", "bucket", "key", "status", "code", "request_id", "hint", "attempts", "seconds")


def code_of(error: BaseException) -> int:
    """The exit code for an error: wrong use, or failed."""
    return WRONG_USE if isinstance(error, (UsageError, ValueError, TypeError)) else FAILED


def line_of(error: BaseException) -> str:
    """What went wrong, on one line."""
    if isinstance(error, OSError) and error.strerror:
        name = error.filename  # a number, where something was asked of an open file
        where = f"{os.fsdecode(name) or repr('')}: " if isinstance(name, (str, bytes, os.PathLike)) else ""
        return f"{where}{error.strerror}"
    if isinstance(error, CDNError):
        hint = error.hint or ""
        return str(error)[: -len(hint) or None] + _reworded(hint)
    if isinstance(error, (UsageError, ValueError, TypeError)):
        return _reworded(str(error))
    if isinstance(error, (OSError, ImportError)):
        return str(error)
    return f"unexpected {type(error).__name__}, which is a mistake of this program; --verbose shows where"


def _reworded(text: str) -> str:
    for name, option in _WORDS.items():
        text = text.replace(name, option)
    return text


def evidence_of(error: BaseException) -> dict[str, Any]:
    """The same for a program: "type", "message", and what else is known."""
    found = {"type": type(error).__name__, "message": line_of(error)}
    if isinstance(error, CDNError):
        known = {name: getattr(error, name) for name in _EVIDENCE}
        known["hint"] = error.hint and _reworded(error.hint)
        found.update({name: value for name, value in known.items() if value is not None})
    return found


def sized(count: int) -> str:
    """A number of bytes for people: 12.3 MiB."""
    if count < 1024:
        return f"{count} bytes" if count != 1 else "1 byte"
    amount, unit = count / 1024, 0
    while amount >= 1023.95 and unit < 4:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.1f} {'KMGTP'[unit]}iB"


class _Line:
    """How far it is, on a line of a terminal that is rewritten: where tqdm is not installed."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream, self._clock = stream, clock
        self._next = 0.0

    def __call__(self, done: int, total: int | None) -> None:
        now = self._clock()
        if now < self._next:
            return
        self._next = now + _PAUSE
        text = sized(done) if not total else f"{sized(done)} of {sized(total)}, {100 * done // total} %"
        self._stream.write(f"\r{text:<40}")
        self._stream.flush()


class Report:
    """Where results, errors and progress go, from several threads at a time. After `close` nothing more is said.

    `name` stands before errors. `as_json`: results as JSON Lines on stdout. `is_quiet`: errors alone. `is_verbose`:
    what is tried again, too. What cannot be written to stdout is an OSError; to stderr, it is let go.
    """

    def __init__(
        self,
        name: str,
        *,
        as_json: bool = False,
        is_quiet: bool = False,
        is_verbose: bool = False,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        from threading import RLock  # Ctrl-C may come while this thread holds it

        self._name = name
        self.as_json, self.is_quiet, self.is_verbose = as_json, is_quiet, is_verbose
        self.clock = clock
        self._lock = RLock()
        self._show: Show | None = None
        self._end_bar: Callable[[], object] | None = None
        self._states: dict[object, tuple[int, int]] = {}
        self._gone = 0  # bytes of what is done already
        self._is_closed = False
        self.at_close: Callable[[], object] | None = None  # what is still to be said then

    # -- lines

    def error(self, text: str) -> None:
        """A line that is said in any case."""
        self._err(f"{self._name}: {text}")

    def say(self, text: str) -> None:
        """A line about what was done, which scripts have no use for."""
        if not (self.is_quiet or self.as_json):
            self._err(text)

    def event(self, event: object) -> None:
        """What is tried again, or learnt, where that is wanted."""
        if self.is_verbose:
            self._err(f"{self._name}: {event}")

    def _err(self, text: str) -> None:
        with self._lock:
            if self._is_closed:
                return
            try:
                self._wipe()
                sys.stderr.write(f"{printable(text, _LONGEST)}\n")
                sys.stderr.flush()
            except (OSError, ValueError, AttributeError):  # closed, or there is none
                pass

    def out(self, text: str) -> None:
        """A line of what was asked for."""
        with self._lock:
            if not self._is_closed and sys.stdout is not None:
                sys.stdout.write(f"{printable(text, len(text))}\n")  # half a URL would be none

    def json(self, **fields: Any) -> None:
        """An object on a line of stdout, if it is JSON that is wanted; in ASCII, so that no terminal obeys it."""
        if self.as_json and sys.stdout is not None:
            import json

            with self._lock:
                if not self._is_closed:
                    sys.stdout.write(f"{json.dumps(fields)}\n")

    def flush(self) -> None:
        """Let who reads stdout have it."""
        if sys.stdout is not None:
            with self._lock:
                sys.stdout.flush()

    def failed(self, error: BaseException, label: str | None = None, **fields: Any) -> None:
        """Tell of a failure: a line in any case, and what is known of it as JSON."""
        is_clear = label is None or isinstance(error, CDNError) or getattr(error, "filename", None) is not None
        self.error(line_of(error) if is_clear else f"{label}: {line_of(error)}")
        if self.is_verbose and line_of(error).startswith("unexpected"):
            from traceback import extract_tb

            for frame in extract_tb(error.__traceback__):  # no values: a secret may be among them
                self._err(f"  {frame.filename}:{frame.lineno} in {frame.name}")
        self.json(ok=False, **fields, error=evidence_of(error))

    # -- progress

    def open_bar(self, what: str) -> None:
        """From here on show how far all transfers together are, if there is a terminal to show it on."""
        if self.is_quiet or self.as_json or sys.stderr is None or not sys.stderr.isatty():
            return
        from .progress import ProgressBar

        try:
            bar = ProgressBar(printable(what, 30), file=sys.stderr, leave=False, dynamic_ncols=True)
        except ImportError:
            self._show = _Line(sys.stderr, self.clock)
        else:
            self._show, self._end_bar = bar, lambda: bar.__exit__(None, None, None)

    def progress(self, transfer: object, done: int, total: int | None) -> None:
        """One of the transfers is so far."""
        if self._show is not None:
            with self._lock:
                self._states[transfer] = (done, total or 0)
                self._update()

    def end(self, transfer: object) -> None:
        """This one has ended, well or not."""
        with self._lock:
            self._gone += self._states.pop(transfer, (0, 0))[0]

    def _update(self) -> None:
        if self._show is None or self._is_closed:
            return
        done = self._gone + sum(done for done, _ in self._states.values())
        total = self._gone + sum(max(each) for each in self._states.values())
        try:
            self._show(done, total or None)
        except (OSError, ValueError):
            self._show = None

    def _wipe(self) -> None:
        """Clear the line on which the progress stands; the next state is written anew."""
        if self._show is not None:
            try:
                width = os.get_terminal_size(sys.stderr.fileno()).columns or _WIDTH
            except (OSError, ValueError):  # a terminal that is none
                width = _WIDTH
            sys.stderr.write(f"\r{' ' * (width - 1)}\r")

    def close(self) -> None:
        """Say nothing more."""
        with self._lock:
            self.close_bar()
            last, self.at_close = self.at_close, None
            try:
                if last is not None:
                    last()
            except (OSError, ValueError):  # stdout is what has failed
                pass
            self._is_closed = True

    def close_bar(self) -> None:
        """Take the progress away."""
        with self._lock:
            try:
                if self._show is not None and self._end_bar is None:
                    self._wipe()
                    sys.stderr.flush()
                if self._end_bar is not None:
                    self._end_bar()
            except (OSError, ValueError):
                pass
            self._show = self._end_bar = None


def outcome(fields: Mapping[str, Any], seconds: float) -> str:
    """What came of one file, for people: size, time, and by what it was proved."""
    parts = []
    if fields.get("changed") is False:
        parts.append("unchanged")
    if "size" in fields:
        took = "" if parts else f" in {seconds:.1f} s"
        parts.append(f"{sized(fields['size'] or 0)}{took}")
    if fields.get("verified"):
        parts.append(f"verified by {fields['verified']}")
    moved = fields.get("bytes_moved")
    if moved is not None and moved != fields["size"] and fields.get("changed") is not False:
        parts.append(f"{sized(moved)} moved")
    return ", ".join(parts) or "done"
