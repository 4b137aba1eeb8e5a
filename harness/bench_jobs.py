"""What the benchmark is made of: a job is a name, a peer and a function; jobs run in rounds, the peers taking turns.

What is measured hangs on what else the machine does meanwhile. So all peers do a job in each round, one right after the
other, and each round another one of them is first: a slow minute, or what the one before has left in the caches, then
meets all of them.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Callable, Dict, Sequence

OURS = "cdn_sigv4"  # this package's name among the peers
Figures = Dict[str, float]  # by their units, as "MB/s"; the first of them is the one that a job is about


class WrongError(Exception):
    """What a job came to is not what it must be, or it failed; the text says how."""


@dataclass(frozen=True)
class Job:
    """`function` does the job once, has a look at what came of it, and returns the figures."""

    name: str
    peer: str
    function: Callable[[], Figures]


@dataclass
class Series:
    """What one peer's job came to, round by round; `wrong` says why it was given up."""

    name: str
    peer: str
    rounds: list[Figures] = field(default_factory=list)
    wrong: str | None = None

    def values(self, figure: str) -> list[float]:
        """One figure of each round."""
        return [each[figure] for each in self.rounds]

    def median(self, figure: str) -> float:
        """The one in the middle of the rounds."""
        return statistics.median(self.values(figure))

    def spread(self, figure: str) -> tuple[float, float]:
        """The least and the most of the rounds."""
        values = self.values(figure)
        return min(values), max(values)


def run_rounds(jobs: Sequence[Job], rounds: int, say: Callable[[str], None]) -> list[Series]:
    """Do all jobs so many times; one that was wrong is not done again."""
    results = {(job.name, job.peer): Series(job.name, job.peer) for job in jobs}
    for number in range(rounds):
        for job in turn(jobs, number):
            series = results[job.name, job.peer]
            if series.wrong is None:
                run_once(job, series)
                say(f"round {number + 1} of {rounds}: {job.name}, {job.peer}: {shown(series)}")
    return list(results.values())


def turn(jobs: Sequence[Job], number: int) -> list[Job]:
    """The jobs of a round: by their names, and among those of one name another peer is first each time."""
    ordered = []
    for name in dict.fromkeys(job.name for job in jobs):
        named = [job for job in jobs if job.name == name]
        first = number % len(named)
        ordered += named[first:] + named[:first]
    return ordered


def run_once(job: Job, series: Series) -> None:
    """Do a job, and note its figures, or what was wrong."""
    try:
        series.rounds.append(job.function())
    except WrongError as error:
        series.wrong = str(error)


def shown(series: Series) -> str:
    """The last round's figures in a line."""
    if series.wrong is not None:
        return f"WRONG: {series.wrong}"
    return ", ".join(f"{value:,.4g} {unit}" for unit, value in series.rounds[-1].items())
