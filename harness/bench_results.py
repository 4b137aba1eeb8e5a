"""What was measured in one run, by the jobs' names and the peers."""

from __future__ import annotations

from typing import Callable, NamedTuple, Sequence

from .bench_big import SIZES, label
from .bench_jobs import BOTO3, MINIO, OBSTORE, OURS, REQUESTS, Series

RIVALS = (BOTO3, MINIO, OBSTORE, REQUESTS)


class Compared(NamedTuple):
    """A number made of two medians, and the least and the most of what the single rounds had."""

    value: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{number(self.value)} ({number(self.least)} to {number(self.most)})"


class Results:
    """All series of one run."""

    def __init__(self, all_series: Sequence[Series]) -> None:
        self.all = list(all_series)
        self._by_name = {(series.kind.name, series.peer): series for series in self.all}

    @property
    def wrong(self) -> list[str]:
        """What failed, or was not right."""
        return [f"{each.kind.name}, {each.peer}: {each.wrong}" for each in self.all if each.wrong is not None]

    def good(self, name: str, peer: str) -> Series | None:
        """A series all of whose rounds were right."""
        series = self._by_name.get((name, peer))
        return series if series is not None and series.wrong is None and series.rounds else None

    def of(self, name: str) -> list[Series]:
        """The good series of one kind."""
        return [each for each in self.all if each.kind.name == name and self.good(name, each.peer)]

    def sized(self, stem: str, size: int) -> str | None:
        """A kind's name with the largest size that was measured, up to this one."""
        names = [f"{stem}-{label(each)}" for each in reversed(SIZES) if each <= size]
        return next((name for name in names if self.good(name, OURS)), None)

    def compared(
        self,
        name: str,
        peer: str,
        by: Callable[[float, float], float],
        figure: str | None = None,
    ) -> Compared | None:
        """Ours and a peer's, put together by `by`, round by round too."""
        ours, other = self.good(name, OURS), self.good(name, peer)
        if ours is None or other is None:
            return None
        each = [by(mine, theirs) for mine, theirs in zip(ours.values(figure), other.values(figure))]
        return Compared(by(ours.median(figure), other.median(figure)), min(each), max(each))

    def best(self, name: str, figure: str | None = None) -> str | None:
        """The rival that is best at something of which more is better."""
        medians = {peer: each.median(figure) for peer in RIVALS for each in [self.good(name, peer)] if each}
        return max(medians, key=lambda peer: medians[peer]) if medians else None

    def advantage(self, name: str, peer: str) -> Compared | None:
        """How many times better ours is than a peer's, in what the kind is about; None without both."""
        ours, other = self.good(name, OURS), self.good(name, peer)
        if ours is None or other is None or min(*ours.values(), *other.values(), 1) <= 0:
            return None
        return self.compared(name, peer, ratio if ours.kind.more_is_better else inverse)


def ratio(ours: float, theirs: float) -> float:
    """How many times theirs ours is."""
    return ours / theirs


def inverse(ours: float, theirs: float) -> float:
    """How many times ours theirs is."""
    return theirs / ours


def difference(ours: float, theirs: float) -> float:
    """What ours is more."""
    return ours - theirs


def number(value: float) -> str:
    """As it is shown: three digits at least, without those that say nothing."""
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"  # noqa: PLR2004
