"""The command line: `cdn-sigv4`, or `python -m` with the package's name. What may be typed is in options.py.

Whatever happens is one clear line on stderr and an exit code (report.py), never a traceback: that may show a secret.
"""

from __future__ import annotations

import os
import signal
import sys
from threading import Thread, current_thread, main_thread

from .report import BROKEN_PIPE, DONE, Report, code_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any, NoReturn

    from .retry import Event

PROGRAM = "cdn-sigv4"
_RESULTS = ("ls", "stat", "presign", "doctor")  # commands that say them on stdout
_LAST = 1.0  # seconds for the last words, where nobody reads them


class _Signalled(KeyboardInterrupt):
    """Such a signal came; its number is the argument."""


class _Ends:
    """The signals that ask a process to end. The first two are exceptions; a third could only hit what tidies up."""

    def __init__(self) -> None:
        self._come = 0
        self.before: dict[int, Any] = {}
        if current_thread() is not main_thread():  # no other may
            return
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            # nohup has one ignored; a program that calls this one has its own.
            if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                self.before[number] = signal.signal(number, self._raise_it)

    def _raise_it(self, number: int, _: object) -> NoReturn:
        self._come += 1
        if self._come > 1:
            self.ignore()
        raise _Signalled(number)

    def ignore(self) -> None:
        """From here on none is heard: not by SIG_IGN, as Python complains where one is on its way just then."""
        for number in self.before:
            signal.signal(number, lambda *_: None)

    def give_back(self) -> None:
        """Let them do what they did before."""
        for number, handler in self.before.items():
            signal.signal(number, handler)


def main(argv: Sequence[str] | None = None, *, prog: str = PROGRAM) -> int:
    """Run one command; its exit code. `argv`: the words behind the program's name, else those of this process."""
    report = Report(prog.rpartition(" ")[2])
    ends, is_said = _Ends(), True
    try:
        code = _told(list(sys.argv[1:] if argv is None else argv), prog, report)
    except KeyboardInterrupt as interrupt:
        ends.ignore()
        code = 128 + (interrupt.args[0] if isinstance(interrupt, _Signalled) else signal.SIGINT)
        is_said = _say_last(report)
        if argv is None:
            if not is_said:
                os._exit(code)  # Python's own end would wait for stdout
            ends.before.clear()  # nothing of this process is left to be interrupted
    finally:
        if is_said:
            report.close()  # what a thread that hangs would still say
        ends.give_back()
    return code


def _say_last(report: Report) -> bool:
    """Say that it was interrupted, in a thread: nobody may be reading, and a thread that writes has the report then.

    Whether that was taken in time.
    """

    def say() -> None:
        report.error("interrupted")
        try:
            report.close()
            report.flush()
        except (OSError, ValueError):
            _let_go_of_stdout()

    last = Thread(target=say, daemon=True)
    last.start()
    last.join(_LAST)
    return not last.is_alive()


def _told(words: list[str], prog: str, report: Report) -> int:
    """Run it, and say what went wrong, if something did."""
    command: dict[str, str] = {}
    try:
        from .options import parsed

        _show_all_letters()
        try:
            options = parsed(words, prog, sys.modules[__name__.rpartition(".")[0]].__version__)
        except SystemExit:  # after --help and --version
            report.flush()
            return DONE
        command["command"] = options.command
        report.as_json, report.is_quiet, report.is_verbose = options.json, options.quiet, options.verbose
        code = _run(options, report)
        try:
            report.flush()
        except OSError:
            if code == DONE:
                raise
            _let_go_of_stdout()  # that it takes no more was told
    except BrokenPipeError:  # of stdout: whoever read it has what was wanted
        code = BROKEN_PIPE
        _let_go_of_stdout()
    except Exception as error:  # noqa: BLE001 - a traceback tells a person nothing, and perhaps too much
        code = code_of(error)
        try:
            report.failed(error, **command)
            report.flush()
        except OSError:  # stdout is what has failed
            pass
        _let_go_of_stdout()
    return code


def _run(options: argparse.Namespace, report: Report) -> int:
    import warnings

    from . import commands, copying
    from .batch import Stop
    from .options import settings
    from .settings import UsageError

    if sys.stdout is None and options.command in _RESULTS:
        raise UsageError(f"there is no stdout for what {options.command} finds")
    stop = Stop()
    if options.insecure:  # who says so knows it
        warnings.filterwarnings("ignore", "Unverified HTTPS request")

    def heard(event: Event) -> None:
        stop.check()  # what is to be tried again is not wanted any more
        report.event(event)

    known = {
        "put": copying.put,
        "get": copying.get,
        "ls": commands.ls,
        "rm": commands.rm,
        "stat": commands.stat,
        "presign": commands.presign,
        "doctor": commands.doctor,
    }
    return known[options.command](options, settings(options, os.environ, heard), report, stop)


def _show_all_letters() -> None:
    """What the terminal's encoding does not have is shown as an escape."""
    if getattr(sys.stdout, "errors", None) == "strict" and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


def _let_go_of_stdout() -> None:
    """Let Python not complain at its end of what could not be written."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, sys.stdout.fileno())
            os.close(null)
        except (OSError, ValueError, AttributeError):  # it has no descriptor
            pass
