"""What the command line says: errors on one line, sizes for people, and how far it is on a terminal."""

import io
import sys

import pytest
from kit import BUCKET, StillTime
from kit_parts import MIB, made

from cdn_sigv4 import AccessDenied, NotFound, TransportError
from cdn_sigv4.batch import Batch, Job, Stop
from cdn_sigv4.report import Report, code_of, evidence_of, line_of, outcome, sized
from cdn_sigv4.settings import UsageError


class Terminal(io.StringIO):
    """A stderr that is one."""

    def isatty(self):
        return True


def at_terminal(monkeypatch, *, has_tqdm=False):
    """A terminal in the place of stderr: put there within the test, as the fixtures' one is not the test's."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    if not has_tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    return terminal


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (12_900_000, "12.3 MiB"),
        (1 << 30, "1.0 GiB"),
        (5 << 40, "5.0 TiB"),
        (1 << 60, "1024.0 PiB"),
    ],
)
def test_sizes(count, text):
    """A size has one digit behind the point, and a binary unit in which it has no more than three before it."""
    assert sized(count) == text


@pytest.mark.parametrize(
    ("error", "line", "code"),
    [
        (UsageError("how"), "how", 2),
        (ValueError("how"), "how", 2),
        (TypeError("how"), "how", 2),
        (FileNotFoundError(2, "No such file", "a"), "a: No such file", 1),
        (FileNotFoundError(2, "No such file", b"a"), "a: No such file", 1),
        (FileNotFoundError(2, "No such file", ""), "'': No such file", 1),
        (PermissionError(1, "Not permitted", 3), "Not permitted", 1),
        (OSError(28, "No space"), "No space", 1),
        (OSError("odd"), "odd", 1),
        (NotFound("no key", status=404, bucket="b", key="k"), "b/k: 404: no key", 1),
        (TransportError("gone", hint="Wait."), "gone - Wait.", 1),
        (
            TransportError("k=verify=", key="verify=", bucket="b", hint="Give its file as verify=, then."),
            "b/verify=: k=verify= - Give its file as --ca-file, then.",
            1,
        ),
        (ValueError("part_size must be"), "--part-size must be", 2),
        (TransportError("x", hint="or, with if_none_match='*', no"), "x - or, with --if-absent, no", 1),
        (UsageError("attempts must be 1"), "--attempts must be 1", 2),
        (UsageError("verify names the CA file 'x'"), "--ca-file names the file 'x'", 2),
        (ImportError("type pip"), "type pip", 1),
        (KeyError("hush"), "unexpected KeyError, which is a mistake of this program; --verbose shows where", 1),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_errors(error, line, code):
    """Each error is a line and an exit code; of one that nobody expected the text is not told."""
    assert (line_of(error), code_of(error)) == (line, code)


def test_evidence():
    """For a program an error is what is known of it, without what is not."""
    error = AccessDenied("no", operation="PUT", bucket="b", status=403, code="AccessDenied", attempts=2)
    error.add_hint("Say resume=True.")
    assert evidence_of(error) == {
        "type": "AccessDenied",
        "message": "no",
        "operation": "PUT",
        "bucket": "b",
        "status": 403,
        "code": "AccessDenied",
        "attempts": 2,
        "hint": "Say --resume.",
    }
    assert evidence_of(KeyError("hush"))["message"].startswith("unexpected KeyError")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "done"),
        ({"size": 3}, "3 bytes in 1.5 s"),
        ({"size": None}, "0 bytes in 1.5 s"),
        ({"size": 3, "verified": "md5", "bytes_moved": 3}, "3 bytes in 1.5 s, verified by md5"),
        ({"size": 3, "verified": None, "bytes_moved": 1}, "3 bytes in 1.5 s, 1 byte moved"),
        (
            {"size": 3, "verified": "crc32", "bytes_moved": 0, "changed": False},
            "unchanged, 3 bytes, verified by crc32",
        ),
        ({"size": 3, "bytes_moved": 3, "changed": True}, "3 bytes in 1.5 s"),
    ],
    ids=range(7),
)
def test_outcomes(fields, text):
    """What came of a file: its size, the time, the proof; and how many bytes moved, where that is something else."""
    assert outcome(fields, 1.5) == text


# -- on a terminal


def test_progress_on_a_line(monkeypatch):
    """Without tqdm the state is a line that is rewritten, ten times a second at most, and is gone in the end."""
    terminal = at_terminal(monkeypatch)
    time = StillTime()
    report = Report("prog", clock=time.monotonic)
    report.open_bar("get")
    for done in range(0, 100 * MIB, MIB):
        report.progress("transfer", done, 100 * MIB)
        time.now += 0.03
    shown = terminal.getvalue()
    assert shown.count("\r") == 25  # of 3 seconds, each fourth call
    assert "\n" not in shown
    assert shown.endswith(f"\r{'96.0 MiB of 100.0 MiB, 96 %':<40}")
    report.say("done")
    report.close_bar()
    last = terminal.getvalue()[len(shown) :]
    assert last == f"\r{' ' * 79}\rdone\n\r{' ' * 79}\r"


def test_progress_of_several(monkeypatch):
    """All transfers together are one state, in which those that have ended count; unknown sizes are not guessed."""
    at_terminal(monkeypatch)
    time = StillTime()
    report = Report("prog", clock=time.monotonic)
    report.open_bar("get")
    states = []
    report._show = lambda done, total: states.append((done, total))
    report.progress("a", 10, 100)
    report.progress("b", 5, 50)
    report.end("a")
    report.progress("b", 20, 50)
    report.progress("c", 7, None)
    assert states == [(10, 100), (15, 150), (30, 60), (37, 67)]


def test_a_transfer_on_a_terminal(shell, monkeypatch, store):
    """It ends as the plain line, the one that is also written where there is no terminal."""
    terminal = at_terminal(monkeypatch)
    store.put(BUCKET, "key", made(1, MIB))
    assert shell("get", f"{BUCKET}/key").code == 0
    assert terminal.getvalue().rstrip(" \r").rpartition("\r")[2].startswith(f"get {BUCKET}/key -> ./key: 1.0 MiB in ")
    assert "1.0 MiB of 1.0 MiB, 100 %" in terminal.getvalue() or " of 1.0 MiB, " in terminal.getvalue()


def test_a_bar_where_tqdm_is(shell, store, monkeypatch):
    """With tqdm installed there is a bar, which is taken away in the end."""
    terminal = at_terminal(monkeypatch, has_tqdm=True)
    store.put(BUCKET, "key", made(1, MIB))
    assert shell("get", f"{BUCKET}/key").code == 0
    assert "0.00B [00:00" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r")


@pytest.mark.parametrize("word", ["--quiet", "--json"])
def test_no_progress(shell, monkeypatch, store, word):
    """Whoever wants silence, or JSON, has none."""
    terminal = at_terminal(monkeypatch)
    store.put(BUCKET, "key", made(1, MIB))
    assert shell("get", f"{BUCKET}/key", word).code == 0
    assert terminal.getvalue() == ""


def test_a_terminal_that_goes_away(shell, monkeypatch, store):
    """Where the terminal is closed meanwhile the transfer goes on, without a word."""
    terminal = at_terminal(monkeypatch)

    def gone(_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(terminal, "write", gone)
    store.put(BUCKET, "key", made(1, MIB))
    assert shell("get", f"{BUCKET}/key", "there").code == 0


def test_nothing_after_the_end(capsys):
    """After the end nobody says anything: a thread that hung may still come to it."""
    report = Report("prog", as_json=True, is_verbose=True)
    report.close()
    report.error("x")
    report.event("x")
    report.out("x")
    report.json(ok=True)
    assert capsys.readouterr() == ("", "")


def test_what_was_asked_for_is_never_cut(capsys):
    """A long URL comes whole, an error is cut at some length."""
    report, text = Report("prog"), "https://host/" + "a" * 20_000
    report.out(text)
    report.error(text)
    out, err = capsys.readouterr()
    assert out == f"{text}\n"
    assert len(err) < 5000


# -- several at a time


def test_stop_reaches_those_at_work(capsys):
    """Once one thing has stopped the whole, a transfer ends at its next byte, and one that has not begun does not."""
    report, stop, begun, ended = Report("prog"), Stop(), [], []

    def endless(progress, _):
        begun.append(1)
        try:
            for _ in range(1 << 30):
                progress(0, None)
        finally:
            ended.append(1)

    def broken(*_):
        while len(begun) < 2:
            pass
        raise BrokenPipeError

    jobs = [Job(str(number), {}, endless) for number in range(2)] + [Job("pipe", {}, broken), Job("last", {}, endless)]
    with pytest.raises(BrokenPipeError):
        Batch(report, stop, "get", is_several=True).run(iter(jobs), 3)
    assert stop.is_set
    assert (len(begun), len(ended)) == (2, 2)
    assert capsys.readouterr().err == ""
