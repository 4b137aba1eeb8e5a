"""Ctrl-C, and a system that ends the process: one line, the signal's exit code, nothing half written, nothing left.

Each command runs as a process of its own; the loopback server sends it the signal when a certain request has come.
"""

import os
import signal
import threading

import pytest
from kit import BUCKET, LONG, within
from kit_files import content
from kit_parts import MIB, OLD, SIZE, made
from rawserver import Answer

from cdn_sigv4 import cli
from cdn_sigv4.batch import Batch, Job, Stop
from cdn_sigv4.report import Report

SOON = 4.0  # seconds: less than threads that are to stop are waited for


class Interrupter:
    """The store, which sends a signal to the child when the `nth` request of a kind has come, and perhaps says no more.

    `is_kind`: which requests count; `delay_after`: bytes of that answer's body behind which nothing more comes (None:
    the answer comes as always).
    """

    def __init__(self, store, is_kind, nth=1, number=signal.SIGINT, delay_after=None):
        self.store, self.is_kind, self.number, self.delay_after = store, is_kind, number, delay_after
        self.left = nth
        self.child = None
        self.is_ready = threading.Event()
        self.is_sent = threading.Event()
        self.lock = threading.Lock()

    def __call__(self, request):
        if not self.is_kind(request):
            return self.store(request)
        with self.lock:
            self.left -= 1
            is_it = self.left == 0
        answer = self.store(request)
        if is_it or (self.left < 0 and self.delay_after is not None):
            if self.delay_after is not None:
                answer.delay, answer.delay_after = threading.Event(), self.delay_after
            if is_it:
                self.signal()
        return answer

    def signal(self):
        assert self.is_ready.wait(LONG)
        self.child.send_signal(self.number)
        self.is_sent.set()

    def run(self, shell, *words, **options):
        """What comes of the command."""
        self.child = shell.child(*words, **options)
        self.is_ready.set()
        return shell.ended(self.child)


def is_part(request):
    return request.method == "PUT" and b"partNumber" in request.query


def is_get(request):
    return request.method == "GET" and b"list-type" not in request.query


def check(ran, number=signal.SIGINT):
    """One line, and the exit code by which a shell knows the signal."""
    assert ran.code == 128 + number
    assert ran.errors[-1] in ("cdn_sigv4: interrupted", "cdn-sigv4: interrupted")
    assert not any(" done, " in line for line in ran.errors)
    assert ran.out == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
@pytest.mark.parametrize("workers", [1, 4])
def test_one_upload(shell, loopback, store, folder, number, workers):
    """An upload in parts is aborted: no object, and no part that somebody would pay for."""
    (folder / "large").write_bytes(made(1, 24 * MIB))
    loopback.answer = Interrupter(store, is_part, 2, number)
    check(loopback.answer.run(shell, "put", "large", BUCKET, "--workers", workers), number)
    assert store.objects == {}
    assert store.uploads == {}
    assert loopback.requests[-1].method == "DELETE"


def test_several_uploads(shell, loopback, store, folder):
    """So are all of several that are under way; what was done before is whole, what was not begun is not begun."""
    for number in range(6):
        (folder / f"{number}").write_bytes(made(number, 12 * MIB))
    loopback.answer = Interrupter(store, is_part, 8)
    ran = loopback.answer.run(shell, "put", "-r", ".", BUCKET)
    check(ran)
    assert store.uploads == {}
    for (_, key), stored in store.objects.items():
        assert stored.body == made(int(key), 12 * MIB)
    assert len(store.objects) < 6


def test_stdin(shell, loopback, store):
    """So is one whose end has not come yet."""
    loopback.answer = Interrupter(store, is_part)
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe, os.fdopen(reading, "rb") as source:
        feeder = threading.Thread(target=lambda: (pipe.write(made(1, 6 * MIB)), pipe.flush()))
        feeder.start()
        check(loopback.answer.run(shell, "put", "-", f"{BUCKET}/key", stdin=source))
        feeder.join(LONG)
    assert store.objects == {}
    assert store.uploads == {}


@pytest.mark.parametrize("workers", [1, 4])
def test_one_download(shell, loopback, store, folder, workers):
    """The old file stays; what has come is kept, and the same command goes on with it."""
    store.put(BUCKET, "model", made(2))
    (folder / "model").write_bytes(OLD)
    loopback.answer = Interrupter(store, is_get, delay_after=3 * MIB)
    with within(LONG):
        check(loopback.answer.run(shell, "get", f"{BUCKET}/model", "--workers", workers))
    assert (folder / "model").read_bytes() == OLD
    assert all(name.startswith(".cdn-") for name in set(content(folder)) - {"model"})
    loopback.answer = store
    ran = shell("get", f"{BUCKET}/model", "--json")
    assert ran.json[0]["bytes_moved"] <= SIZE
    assert content(folder) == {"model": made(2)}


def test_a_small_download(shell, loopback, store, folder):
    """One that is not worth a part leaves nothing at all."""
    store.put(BUCKET, "model", made(2, MIB))
    loopback.answer = Interrupter(store, is_get, delay_after=1000)
    check(loopback.answer.run(shell, "get", f"{BUCKET}/model", "new/er/"))
    assert content(folder) == {}


def test_several_downloads(shell, loopback, store, folder):
    """Of several those that are done are whole, and the others are not there."""
    bodies = {f"{number}": store.put(BUCKET, f"x/{number}", made(number, 2 * MIB)).body for number in range(12)}
    loopback.answer = Interrupter(store, is_get, 6)
    check(loopback.answer.run(shell, "get", "-r", f"{BUCKET}/x", ".", "--quiet"))
    found = content(folder)
    assert all(found[name] == bodies[name] for name in found)
    assert len(found) < 12


SHORT_GRACE = """
import sys
from cdn_sigv4 import crew
from cdn_sigv4.cli import main
crew.GRACE = 0.2
sys.exit(main())
"""


def test_several_that_hang(shell, loopback, store, folder):
    """Where no byte comes any more, threads are waited for a while only; what was not whole does not appear."""
    for number in range(3):
        store.put(BUCKET, f"x/{number}", made(number, MIB))
    loopback.answer = Interrupter(store, is_get, 2, delay_after=1000)
    words = ("get", "-r", f"{BUCKET}/x", ".", "--workers", "3", "--quiet")
    with within(SOON):
        check(loopback.answer.run(shell, *words, program=("-c", SHORT_GRACE)))
    whole = {name: data for name, data in content(folder).items() if not name.startswith(".cdn-")}
    assert len(whole) <= 1
    assert all(data == made(int(name), MIB) for name, data in whole.items())
    loopback.answer = store
    assert shell(*words).code == 0
    assert content(folder) == {f"{number}": made(number, MIB) for number in range(3)}


def fill(pipe):
    """Let the next byte written to it block."""
    os.set_blocking(pipe, False)
    try:
        while True:
            os.write(pipe, bytes(1 << 12))
    except BlockingIOError:
        os.set_blocking(pipe, True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_output_that_nobody_reads(shell, loopback, store, folder, stream, number):
    """Where a thread hangs in what it says, as nobody reads it any more, the command ends all the same."""
    name = "n" * 200
    for nth in range(3):
        store.put(BUCKET, f"x/{name}{nth}", b"x")
    reading, writing = os.pipe()
    fill(writing)
    loopback.answer = Interrupter(store, is_get, 3, number)
    words = ("get", "-r", f"{BUCKET}/x", ".", "--not-durable", *(["--json"] if stream == "stdout" else []))
    try:
        with within(LONG):
            ran = loopback.answer.run(shell, *words, program=("-c", SHORT_GRACE), **{stream: writing})
    finally:
        os.close(reading)
        os.close(writing)
    assert ran.code == 128 + number


@pytest.fixture
def hung_report():
    """A report that another thread holds, as one does that writes to a terminal on which Ctrl-S was pressed."""
    report, is_held, is_enough = Report("prog", as_json=True), threading.Event(), threading.Event()

    def hold():
        with report._lock:
            is_held.set()
            is_enough.wait(LONG)

    thread = threading.Thread(target=hold)
    thread.start()
    assert is_held.wait(LONG)
    yield report
    is_enough.set()
    thread.join(LONG)


def test_an_interrupted_batch_says_nothing_itself(hung_report):
    """Several transfers that are interrupted leave what is to be said of them to the end."""

    def jobs():
        for _ in range(3):
            yield Job("x", {}, lambda *_: pytest.fail("not begun"))
        raise KeyboardInterrupt

    stop = Stop()
    stop.is_set = True
    with within(SOON), pytest.raises(KeyboardInterrupt):
        Batch(hung_report, stop, "get", is_several=True).run(jobs(), 2)
    assert hung_report.at_close is not None


@pytest.mark.parametrize("argv", [None, ["ls", BUCKET]], ids=["the process's own words", "a caller's"])
def test_last_words_are_not_waited_for(hung_report, monkeypatch, argv):
    """They have a second; then the process ends without them, with its exit code; a program that called goes on."""

    def interrupted(*_):
        raise KeyboardInterrupt

    def ended(code):
        codes.append(code)
        raise SystemExit(code)

    codes = []
    monkeypatch.setattr(cli, "_LAST", 0.01)
    monkeypatch.setattr(os, "_exit", ended)
    monkeypatch.setattr(cli, "Report", lambda name: hung_report)
    monkeypatch.setattr(cli, "_told", interrupted)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with within(SOON):
            if argv is None:
                with pytest.raises(SystemExit):
                    cli.main(argv)
            else:
                assert cli.main(argv) == 130
                assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, handler)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    assert codes == ([130] if argv is None else [])


def test_again_and_again(shell, loopback, store, folder):
    """Who goes on pressing Ctrl-C gets no traceback for it."""
    (folder / "large").write_bytes(made(1, 12 * MIB))
    loopback.answer = Interrupter(store, lambda request: request.method == "DELETE", delay_after=0)
    first = Interrupter(loopback.answer, is_part)
    loopback.answer.is_ready.set()
    loopback.answer, second = first, loopback.answer
    first.child = second.child = child = shell.child("put", "large", BUCKET)
    first.is_ready.set()
    assert first.is_sent.wait(LONG)
    with within(LONG):
        while child.poll() is None:
            child.send_signal(signal.SIGINT)
    assert shell.ended(child).code in (130, -signal.SIGINT)


def test_while_waiting(shell, loopback, store):
    """Between two attempts nothing is waited for."""

    def busy(request):
        store(request)
        return Answer(503)

    loopback.answer = Interrupter(busy, lambda _: True, 3)
    with within(LONG):
        check(loopback.answer.run(shell, "ls", BUCKET))
    assert 3 <= len(loopback.requests) <= 4


def test_a_second_time(shell, loopback, store, folder):
    """A second Ctrl-C gives up at once, also where the upload that is to be aborted gets no answer."""
    (folder / "large").write_bytes(made(1, 12 * MIB))
    second = Interrupter(store, lambda request: request.method == "DELETE", delay_after=0)
    first = Interrupter(second, is_part)
    loopback.answer = first
    first.child = child = shell.child("put", "large", BUCKET)
    second.child = child
    first.is_ready.set()
    second.is_ready.set()
    with within(SOON):
        check(shell.ended(child))
    assert store.objects == {}


def test_in_json(shell, loopback, store, folder):
    """What was done until then is told, and the summary says that it is not all."""
    for number in range(6):
        (folder / f"{number}").write_bytes(b"x")
    loopback.answer = Interrupter(store, lambda request: request.method == "PUT", 4)
    ran = loopback.answer.run(shell, "put", "-r", ".", BUCKET, "--json", "--workers", "1")
    assert ran.code == 130
    assert ran.error == "cdn_sigv4: interrupted"
    summary = ran.json[-1]
    assert (summary["ok"], summary["summary"]) == (False, True)
    assert 3 <= summary["done"] == len(ran.json) - 1 < 6


def test_nohup(shell, store, monkeypatch):
    """Who has SIGHUP ignored, as nohup does, is not stopped by it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert shell("ls", BUCKET).code == 0
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.fixture
def usual_signals():
    """Signals that end the process, as at the beginning: the test server's harness has its own for some."""
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_signals_are_given_back(shell, monkeypatch, usual_signals):
    """Who calls `main` has the signals' handlers as before, also after an interruption."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    during = []

    def interrupted(*_):
        during.extend(signal.getsignal(number) for number in numbers)
        raise KeyboardInterrupt

    monkeypatch.setattr("cdn_sigv4.commands.ls", interrupted)
    ran = shell("ls", BUCKET)
    assert (ran.code, ran.error) == (130, "cdn-sigv4: interrupted")
    assert [one is other for one, other in zip(before, during)] == [False, False, False]
    assert [signal.getsignal(number) for number in numbers] == before
    assert cli.main(["--version"]) == 0


def test_handlers_of_others_stay(shell, usual_signals):
    """A program that has a handler of its own keeps it while it calls `main`."""
    signal.signal(signal.SIGTERM, lambda *_: None)
    before = signal.getsignal(signal.SIGTERM)
    cli._Ends()
    assert signal.getsignal(signal.SIGTERM) is before
