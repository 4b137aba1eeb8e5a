"""The command line: `cdn-sigv4`, or `python -m` with the package's name. What may be typed is in options.py.

Whatever happens is one clear line on stderr and an exit code (report.py), never a traceback: that may show a secret.
"""

from __future__ import annotations

import os
import sys

from .report import BROKEN_PIPE, DONE, Report, code_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from typing import NoReturn

    from .retry import Event

PROGRAM = "cdn-sigv4"
_ENDS = ("SIGTERM", "SIGHUP")  # signals that ask a process to end, beside Ctrl-C
_SIGINT = 2


class _Signalled(KeyboardInterrupt):
    """Such a signal came; its number is the argument."""


def main(argv: Sequence[str] | None = None, *, prog: str = PROGRAM) -> int:
    """Run one command; its exit code. `argv`: the words behind the program's name, else those of this process."""
    report = Report(prog.rpartition(" ")[2])
    undo = _catch_signals()
    try:
        return _told(list(sys.argv[1:] if argv is None else argv), prog, report)
    except KeyboardInterrupt as interrupt:
        report.error("interrupted")
        return 128 + (interrupt.args[0] if isinstance(interrupt, _Signalled) else _SIGINT)
    finally:
        report.close()  # what a thread that hangs would still say
        undo()


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
        report.flush()
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


def _catch_signals() -> Callable[[], None]:
    """Let these be an exception, as Ctrl-C is; what is returned undoes that."""
    import signal
    from threading import current_thread, main_thread

    def raise_it(number: int, _: object) -> NoReturn:
        raise _Signalled(number)

    before = {}
    if current_thread() is main_thread():  # no other may
        for name in _ENDS:
            number = getattr(signal, name, None)  # Windows has no SIGHUP
            if number is not None and signal.getsignal(number) is signal.SIG_DFL:  # nohup has one ignored
                before[number] = signal.signal(number, raise_it)

    def undo() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    return undo


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
