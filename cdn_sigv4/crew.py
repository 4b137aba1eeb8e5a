"""Threads for one transfer: each job in a thread of its own, so many at a time, and none that outlives its purpose.

The caller's thread hands the jobs out and waits; the first failure stops all the others and is raised there. Where no
thread is to be had, or one is enough, the caller's does the work. `concurrent.futures` would cost 10 ms to import, and
a process that ends would wait for its threads.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    T = TypeVar("T")

DEFAULT_WORKERS = 4  # requests at a time: with more a store on the same machine gets slower, and a thin link no faster
MOST_WORKERS = 32  # no more connections than these are kept (connection.py)
GRACE = 5.0  # seconds for threads that are to stop: one that hangs in a socket is left behind


def check_workers(workers: int) -> None:
    """TypeError or ValueError for no number of requests at a time."""
    if isinstance(workers, bool) or not isinstance(workers, int):
        raise TypeError(f"max_workers must be int, not {type(workers).__name__}")
    if not 1 <= workers <= MOST_WORKERS:
        raise ValueError(f"max_workers must be 1 to {MOST_WORKERS}, not {workers}")


class Stopped(BaseException):
    """This thread's work is not wanted any more. No Exception: nobody on the way may take it for a failure."""


class Crew:
    """A context manager for at most `most` threads at a time. On the way out nobody is left at work."""

    def __init__(self, most: int) -> None:
        from threading import Condition

        self._most = most
        self._changed = Condition()
        self._running = 0
        self._failure: BaseException | None = None
        self._is_stopping = False

    def check(self) -> None:
        """Stopped, where this work is not wanted any more: to be called between blocks."""
        if self._is_stopping:
            raise Stopped

    def each(self, work: Callable[[T], object], jobs: Iterable[T]) -> None:
        """Do the work for each job. The next job is asked for, by this thread, when there is somebody to do it."""
        iterator = iter(jobs)
        while True:
            self._wait(self._most - 1)
            try:
                job = next(iterator)
            except StopIteration:
                break
            if self._most == 1 or not self.start(lambda job=job: work(job)):  # type: ignore[misc]
                work(job)
            del job  # a part's buffer, while the next one is filled
        self.wait()

    def start(self, work: Callable[[], object]) -> bool:
        """Begin some work in a thread of its own; False where the system has none to give."""
        from threading import Thread

        with self._changed:
            self._running += 1
        try:
            Thread(target=self._run, args=(work,), daemon=True).start()
        except RuntimeError:  # a limit of the system's, or the interpreter is about to end
            self._end()
            return False  # what Ctrl-C interrupts here is a thread that has begun, and will count itself off
        return True

    def _run(self, work: Callable[[], object]) -> None:
        try:
            work()
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - raised where it is waited for
            if self._failure is None:
                self._failure = error
            self._is_stopping = True
        finally:
            self._end()

    def _end(self) -> None:
        with self._changed:
            self._running -= 1
            self._changed.notify_all()

    def _wait(self, most: int, seconds: float | None = None) -> bool:
        with self._changed:
            is_so = self._changed.wait_for(lambda: self._failure is not None or self._running <= most, seconds)
        if self._failure is not None:
            raise self._failure
        return is_so

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until all work is done, or so many seconds; whether it is done. The first failure of any is raised."""
        return self._wait(0, seconds)

    @property
    def is_empty(self) -> bool:
        """Whether nobody is at work any more."""
        return self._running == 0

    def __enter__(self) -> Crew:  # noqa: PYI034 - Self needs typing_extensions
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._is_stopping = True
        with self._changed:
            self._changed.wait_for(lambda: self._running == 0, GRACE)
        failure, self._failure = self._failure, None  # its frames hold the body
        if kind is Stopped and failure is not None:
            raise failure
