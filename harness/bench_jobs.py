"""What the benchmark is made of: a job is a kind, a peer and a function; jobs run in rounds, the peers taking turns.

What is measured hangs on what else the machine does meanwhile. So all peers do a job in each round, one right after the
other, and in each round in another order: a slow minute, or what the one before has left in the caches, then meets all
of them.
"""

from __future__ import annotations

import random
import statistics
from dataclasses import dataclass, field
from typing import Callable, Dict, Sequence

OURS, BOTO3, MINIO, OBSTORE, REQUESTS = "cdn_sigv4", "boto3", "minio-py", "obstore", "requests + aws4auth"
PEERS = (OURS, BOTO3, MINIO, OBSTORE, REQUESTS)
SEED = 1  # of the orders, so that two runs have the same ones
Figures = Dict[str, float]  # by their units, as "MB/s"


class WrongError(Exception):
    """What a job came to is not what it must be, or it failed; the text says how."""


@dataclass(frozen=True)
class Kind:
    """What is done and measured: its name for --only, its text for the tables, and the figure that it is about."""

    name: str
    text: str
    figure: str
    more_is_better: bool = True


@dataclass(frozen=True)
class Job:
    """`function` does the job once, has a look at what came of it, and returns the figures."""

    kind: Kind
    peer: str
    function: Callable[[], Figures]


@dataclass
class Series:
    """What one peer's job came to, round by round; `wrong` says why it was given up."""

    kind: Kind
    peer: str
    rounds: list[Figures] = field(default_factory=list)
    wrong: str | None = None

    def values(self, figure: str | None = None) -> list[float]:
        """One figure of each round, by default the one that it is about."""
        return [each[figure or self.kind.figure] for each in self.rounds]

    def median(self, figure: str | None = None) -> float:
        """The one in the middle of the rounds."""
        return statistics.median(self.values(figure))

    def spread(self, figure: str | None = None) -> tuple[float, float]:
        """The least and the most of the rounds."""
        values = self.values(figure)
        return min(values), max(values)


def run_rounds(jobs: Sequence[Job], rounds: int, say: Callable[[str], None]) -> list[Series]:
    """Do all jobs so many times; one that was wrong is not done again."""
    results = {(job.kind, job.peer): Series(job.kind, job.peer) for job in jobs}
    for number in range(rounds):
        for job in turn(jobs, number):
            series = results[job.kind, job.peer]
            if series.wrong is None:
                run_once(job, series)
                say(f"round {number + 1} of {rounds}: {job.kind.name}, {job.peer}: {shown(series)}")
    return list(results.values())


def turn(jobs: Sequence[Job], number: int) -> list[Job]:
    """The jobs of a round: by their kinds, and those of one kind in an order that is this round's.

    Drawn at random, not only begun with another one each time: then each peer would always follow the same one.
    """
    ordered = []
    for kind in dict.fromkeys(job.kind for job in jobs):
        same = [job for job in jobs if job.kind == kind]
        random.Random(f"{SEED} {number} {kind.name}").shuffle(same)  # noqa: S311 - no secret
        ordered += same
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


def must_be(held: bool, claim: str) -> None:
    """Raise the claim where it does not hold."""
    if not held:
        raise WrongError(claim)
