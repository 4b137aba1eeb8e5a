"""What a later run must know, in a small file: one line that is safe on the disk, and one that is jotted below it.

In a folder that others may write to nothing is followed, trusted or written to that they may have planted.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, BinaryIO

_MAX_RECORD = 1 << 20  # bytes of a record: an answer's headers, and a few numbers
_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # neither a link nor a pipe's other end


class Record:
    """The file at `path` (empty: none at all). Where it is not to be kept nothing is written, only forgotten."""

    def __init__(self, path: str, *, is_kept: bool) -> None:
        self._path = path
        self._is_kept = is_kept and bool(path)
        self._file: BinaryIO | None = None
        self._jot_at = 0
        self._boot: str | None = None
        self._may_be_there = bool(path)  # of a run before this one
        self.is_written = False

    def write(self, record: Mapping[str, Any], notes: Mapping[str, Any], *, durable: bool) -> None:
        """Put `record` in the place of the one before, in one step, with `notes` below it; else there is none."""
        if not self._is_kept:
            return
        import json  # small downloads never need it

        temporary = self._path + "~"
        unlink(temporary)
        self.close()
        self._may_be_there = True
        try:
            self._file = open_ours(temporary, os.O_CREAT | os.O_EXCL, 0o600)
            line = json.dumps(record).encode("ascii") + b"\n"
            self._jot_at = len(line)
            self._boot = _boot()
            text = line + self._jotting(notes)
            while text:
                text = text[self._file.write(text) :]
            if durable:
                os.fsync(self._file.fileno())
            os.replace(temporary, self._path)
        except OSError:  # no room, or something else stands there: the transfer itself may succeed all the same
            self.forget()
        else:
            self.is_written = True

    def jot(self, notes: Mapping[str, Any]) -> None:
        """Write `notes` below the record, in place of those before, without waiting for the disk.

        They count as long as the system runs on: `read_record` gives them as "jotted".
        """
        if self._file is None:
            return
        try:
            os.pwrite(self._file.fileno(), self._jotting(notes), self._jot_at)
        except OSError:  # no room: then less is known
            pass

    def _jotting(self, notes: Mapping[str, Any]) -> bytes:
        import json

        return json.dumps({**notes, "boot": self._boot}).encode("ascii") + b"\n"

    def forget(self) -> None:
        """Remove it."""
        self.close()
        if self._may_be_there:
            gone = unlink(self._path), unlink(self._path + "~")
            self._may_be_there = not all(gone)
        self.is_written = False

    def end(self) -> None:
        """Leave it as it is from now on, also to a thread that comes late: the lock is somebody else's."""
        self._is_kept = False
        self.close()

    def close(self) -> None:
        """Nothing more is jotted down."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:  # what it holds still finds no room
                pass


def read_record(path: str, source: str) -> dict[str, Any] | None:
    """The record at `path` if it is one, and of the same source; a power cut may have left anything."""
    if not path or not os.path.lexists(path):
        return None
    import json

    try:
        with open_ours(path, 0, 0) as file:
            text, _, rest = (file.read(_MAX_RECORD) or b"").partition(b"\n")  # None: a pipe
            record = json.loads(text) if is_ours(os.fstat(file.fileno())) else None
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("source") != source:
        return None
    return {**record, "jotted": _jotted(rest)}


def has_mark(path: str, mark: bytes) -> bool:
    """Whether these bytes are in the record at `path`."""
    try:
        with open_ours(path, 0, 0) as file:
            return mark in (file.read(_MAX_RECORD) or b"")
    except OSError:
        return False


def _jotted(text: bytes) -> dict[str, Any] | None:
    """What was jotted down since the system was started; None where it was started anew, or that is not known."""
    import json

    try:
        notes = json.loads(text.partition(b"\n")[0])
    except (ValueError, RecursionError):
        return None
    return notes if isinstance(notes, dict) and notes.get("boot") == _boot() is not None else None


def _boot() -> str | None:
    """A name for the time since this system was started, None where it has none (proc(5): boot_id)."""
    try:
        with open("/proc/sys/kernel/random/boot_id", "rb") as file:
            return file.read(100).decode("ascii").strip()
    except (OSError, ValueError):
        return None


def is_ours(found: os.stat_result) -> bool:
    """In a folder that others may write to, a part could be theirs, to be changed by them later."""
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and found.st_nlink == 1


def open_ours(path: str, flags: int, mode: int) -> BinaryIO:
    """The file at `path` itself, to be read and written, without a buffer."""
    return open(path, "r+b", buffering=0, opener=lambda name, wanted: os.open(name, wanted | flags | _NO_FOLLOW, mode))


def unlink(path: str) -> bool:
    """Remove a file; whether it is gone."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError:  # a system does not let go of it: the error that led here matters more
        return False
    return True
