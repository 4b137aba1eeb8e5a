"""Several files at a time for the command line: one that fails stops no other, and Ctrl-C stops them all, cleanly.

All transfers together make so many requests at a time, however many files there are: one alone takes them all.
What is to be done is asked for bit by bit, so that a list of a million keys takes no memory.
"""

from __future__ import annotations

from itertools import chain, islice
from threading import Lock

from .crew import Crew, check_workers
from .report import DONE, FAILED, code_of, outcome, sized

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, Dict

    from .progress import Progress
    from .report import Report

    Work = Callable[[Progress, int], Dict[str, Any]]


class Interrupted(Exception):
    """Raised within a transfer that is not wanted any more: it ends as any other that fails, and tidies up."""


class Stop:
    """Whether all is to end. Asked where bytes have moved, and where something is about to be tried again."""

    def __init__(self) -> None:
        self.is_set = False

    def check(self) -> None:
        """Interrupted, if so."""
        if self.is_set:
            raise Interrupted


class Job:
    """One file's transfer: `label` says which for people, `fields` for programs.

    `work` is called with a `progress` and the number of requests that it may make at a time; it gives further fields.
    """

    def __init__(self, label: str, fields: dict[str, Any], work: Work) -> None:
        self.label = label
        self.fields = fields
        self.work = work


class Batch:
    """Jobs, done by several threads, and the count of what came of them. `is_several`: with a summary at the end."""

    def __init__(self, report: Report, stop: Stop, command: str, *, is_several: bool) -> None:
        self._report = report
        self._stop = stop
        self._command = command
        self._is_several = is_several
        self._lock = Lock()
        self._done = self._failed = self._skipped = self._bytes = 0
        self._code = DONE

    def failed(self, error: BaseException, label: str, **fields: Any) -> None:
        """Something that cannot be done: the others go on."""
        with self._lock:
            self._failed += 1
        self._code = FAILED if self._is_several else code_of(error)
        self._report.failed(error, label, command=self._command, **fields)

    def skipped(self, label: str, why: str, **fields: Any) -> None:
        """Something that is left out on purpose."""
        self._skipped += 1
        self._report.say(f"{self._command} {label}: skipped, {why}")
        self._report.json(ok=True, command=self._command, **fields, skipped=why)

    def run(self, jobs: Iterable[Job], workers: int) -> int:
        """Do them all, with at most so many requests at a time; the exit code."""
        check_workers(workers)
        began = self._report.clock()
        upcoming = iter(jobs)
        first = list(islice(upcoming, workers))
        at_once = max(len(first), 1)
        is_whole = False
        try:
            self._report.open_bar(first[0].label if first and not self._is_several else self._command)
            with Crew(at_once) as crew:
                try:
                    crew.each(lambda job: self._do(job, workers // at_once), chain(first, upcoming))
                    is_whole = True
                finally:
                    self._stop.is_set = not is_whole  # before their end is waited for
        finally:
            seconds = self._report.clock() - began
            if is_whole:
                self._report.close_bar()
                self._sum_up(seconds, is_whole=True)
            else:  # not now: a thread that hangs may have the report
                self._report.at_close = lambda: self._sum_up(seconds, is_whole=False)
        return self._code

    def _do(self, job: Job, connections: int) -> None:
        began = self._report.clock()

        def progress(done: int, total: int | None) -> None:
            self._stop.check()
            self._report.progress(job, done, total)

        try:
            self._stop.check()
            found = job.work(progress, connections)
        except Interrupted:
            pass
        except BrokenPipeError:  # whoever read what goes to stdout has gone
            raise
        except Exception as error:  # noqa: BLE001 - the others go on
            self._report.end(job)
            self.failed(error, job.label, **job.fields)
        else:
            self._report.end(job)
            with self._lock:
                self._done += 1
                self._bytes += found.get("size") or 0
            seconds = self._report.clock() - began
            self._report.say(f"{self._command} {job.label}: {outcome(found, seconds)}")
            fields = {**job.fields, **found, "seconds": round(seconds, 3)}
            self._report.json(ok=True, command=self._command, **fields)
            self._report.flush()

    def _sum_up(self, seconds: float, *, is_whole: bool) -> None:
        if not self._is_several:
            return
        counts = {"done": self._done, "failed": self._failed, "skipped": self._skipped}
        if is_whole and sum(counts.values()) > 1:
            told = ", ".join(f"{count} {name}" for name, count in counts.items() if count or name == "done")
            size = f", {sized(self._bytes)}" if self._bytes else ""
            self._report.say(f"{told}{size} in {seconds:.1f} s")
        is_ok = is_whole and not self._failed
        self._report.json(
            ok=is_ok, command=self._command, summary=True, **counts, bytes=self._bytes, seconds=round(seconds, 3)
        )
