"""Threads for one transfer: so many at a time, the first failure stops the others, and nobody is left at work."""

import contextlib
import signal
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import within

from cdn_sigv4 import crew as module
from cdn_sigv4.crew import MOST_WORKERS, Crew, Stopped, check_workers

LONG = 10.0


@pytest.fixture(autouse=True)
def _nobody_is_left():
    """Demand of each test that no thread of its crew outlives it."""
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(LONG)
        assert not thread.is_alive()


def until(condition, *, crew=None):
    """Wait for what another thread brings about."""
    waiting = threading.Event()
    for _ in range(int(LONG * 1000)):
        if crew is not None:
            crew.check()
        if condition():
            return
        waiting.wait(0.001)
    raise AssertionError("what was waited for did not come")


@pytest.mark.parametrize("workers", [1, MOST_WORKERS])
def test_workers(workers):
    """From 1 to 32, as whole numbers."""
    check_workers(workers)


@pytest.mark.parametrize(
    ("workers", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (33, ValueError),
        (1.0, TypeError),
        ("4", TypeError),
        (True, TypeError),
        (None, TypeError),
    ],
)
def test_no_workers(workers, error):
    """Anything else is refused, with the name of the argument."""
    with pytest.raises(error, match="max_workers"):
        check_workers(workers)


@settings(max_examples=50)
@given(most=st.integers(1, 6), count=st.integers(0, 30))
def test_each_job_is_done_once(most, count):
    """All jobs are done, each once, never more than so many at a time."""
    lock, done, now, highest = threading.Lock(), [], 0, 0

    def work(job):
        nonlocal now, highest
        with lock:
            now += 1
            highest = max(highest, now)
        with lock:
            now -= 1
            done.append(job)

    with Crew(most) as crew:
        crew.each(work, range(count))
        assert sorted(done) == list(range(count)), "all are done when `each` returns"
    assert highest <= most


@pytest.mark.parametrize("most", [2, 4])
def test_they_work_at_the_same_time(most):
    """So many jobs are under way together: each of these waits for the others."""
    barrier = threading.Barrier(most, timeout=LONG)
    with Crew(most) as crew:
        crew.each(lambda _: barrier.wait(), range(3 * most))


def test_the_next_job_is_asked_for_when_somebody_is_free():
    """A job, which may be a part in memory, is not made before there is a thread for it."""
    made, begun = [], []
    go_on = threading.Event()

    def jobs():
        for number in range(9):
            made.append(number)
            yield number

    def work(job):
        begun.append(job)
        if len(begun) == 3:
            assert made == [0, 1, 2], "three are at work: a fourth is not asked for"
            go_on.set()
        assert go_on.wait(LONG)

    with Crew(3) as crew:
        crew.each(work, jobs())
    assert sorted(begun) == list(range(9))


@pytest.mark.parametrize("most", [1, 2, 4])
@pytest.mark.parametrize("at", [0, 3, 9])
def test_the_first_failure_is_raised(most, at):
    """A failure stops the others, which look at `check`; no further job is begun, and it is the one that is raised."""
    begun = []

    def work(job):
        begun.append(job)
        if job == at:
            raise LookupError("mine")
        if job > at - most:
            until(lambda: False, crew=crew)

    with within(LONG / 2), pytest.raises(LookupError, match="mine"):
        with Crew(most) as crew:
            crew.each(lambda job: work(job) if most > 1 or job == at else None, range(100))
    assert max(begun) <= at + most


def test_a_failure_behind_the_first_is_not_seen():
    """Of two failures the first is the reason, whatever the others say of it."""

    def work(job):
        if job == 1:
            raise LookupError("first")
        until(lambda: crew._is_stopping)
        raise KeyError("second")

    with pytest.raises(LookupError, match="first"):
        with Crew(3) as crew:
            crew.each(work, range(3))


def test_a_failure_while_the_jobs_are_made():
    """What the iterable raises comes out, after the others were stopped."""
    stopped = []

    def jobs():
        yield 1
        raise LookupError("mine")

    def work(job):
        try:
            until(lambda: False, crew=crew)
        except Stopped:
            stopped.append(job)
            raise

    with pytest.raises(LookupError, match="mine"):
        with Crew(2) as crew:
            crew.each(work, jobs())
    assert stopped == [1]


def test_one_worker_needs_no_thread():
    """Where one is enough the caller's own thread does the work."""
    threads = []
    with Crew(1) as crew:
        crew.each(lambda job: threads.append(threading.current_thread()), range(3))
    assert set(threads) == {threading.current_thread()}


@pytest.mark.parametrize("there_are", [0, 1, 2])
def test_no_thread_to_be_had(monkeypatch, there_are):
    """Where the system has no more threads to give, the caller's does what nobody else can."""
    start, left = threading.Thread.start, [there_are]

    def limited(thread):
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    done = []
    with Crew(4) as crew:
        crew.each(lambda job: done.append((job, threading.current_thread())), range(20))
    assert sorted(job for job, _ in done) == list(range(20))
    others = [job for job, thread in done if thread is not threading.current_thread()]
    assert len(others) == there_are


def test_a_failure_while_the_callers_thread_works(monkeypatch):
    """The caller's thread at work is stopped by another's failure, and raises that."""
    start, left = threading.Thread.start, [1]

    def limited(thread):
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    at_work = threading.Event()

    def work(job):
        if job == 0:
            assert at_work.wait(LONG)
            raise LookupError("mine")
        at_work.set()
        until(lambda: False, crew=crew)

    with pytest.raises(LookupError, match="mine"):
        with Crew(2) as crew:
            crew.each(work, range(2))


@pytest.fixture
def _ctrl_c():
    """Let Ctrl-C be what it is: the server that the tests run on is stopped by the first, and ignores all others."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("most", [1, 3])
@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c(most):
    """Ctrl-C in the caller's thread stops the others, and is what comes out."""
    stopped = []

    def work(job):
        try:
            if job == most - 1:
                signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            until(lambda: False, crew=crew)
        except (Stopped, KeyboardInterrupt) as error:
            stopped.append(type(error))
            raise

    with within(LONG / 2), pytest.raises(KeyboardInterrupt):
        with Crew(most) as crew:
            crew.each(work, range(100))
    assert stopped == [Stopped if most > 1 else KeyboardInterrupt] * most


def test_ctrl_c_while_a_thread_begins(monkeypatch):
    """One that had just begun is stopped and waited for as well."""
    start = threading.Thread.start
    ended = []

    def interrupted(thread):
        start(thread)
        raise KeyboardInterrupt

    def work(_):
        try:
            until(lambda: False, crew=crew)
        finally:
            ended.append(1)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with within(module.GRACE - 1), pytest.raises(KeyboardInterrupt):
        with Crew(3) as crew:
            crew.each(work, range(3))
    assert ended == [1], "before the way out is free"


def test_ctrl_c_in_a_job():
    """What is raised in a thread is raised to the caller whatever it is, an exit too."""
    for error in (KeyboardInterrupt(), SystemExit(3)):
        with pytest.raises(type(error)):
            with Crew(2) as crew:
                crew.each(raise_it, [error])


def raise_it(error):
    raise error


def test_who_hangs_is_left_behind(monkeypatch):
    """A thread that does not look up within the time of grace does not keep the caller for ever."""
    monkeypatch.setattr(module, "GRACE", 0.2)
    release = threading.Event()
    with within(LONG / 2, 0.2), pytest.raises(LookupError):
        with Crew(2) as crew:
            crew.each(lambda job: raise_it(LookupError()) if job else release.wait(LONG), range(2))
    release.set()


def test_nothing_is_kept_of_a_failure():
    """The crew holds no exception, whose frames would hold a body, when it is done."""
    with contextlib.suppress(LookupError):
        with Crew(2) as crew:
            crew.each(raise_it, [LookupError()])
    assert crew._failure is None
