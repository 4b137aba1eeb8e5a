"""What is demanded of this package beside its peers, as tables, and whether one run holds it.

Ratios are of medians of one run. Of small files those on tmpfs count, with `durable=False`: there all clients do the
same work. Where a size was not measured (--quick), the largest one that was stands for it.
"""

from __future__ import annotations

from typing import Callable, Iterator, NamedTuple

from . import bench_cold, bench_footprint, bench_free, bench_kills, bench_memory
from .bench_big import CHECKED, MIB, RATE
from .bench_jobs import BOTO3, MINIO, OBSTORE, OURS, REQUESTS
from .bench_results import Results, difference, number, ratio

GIB = 1024 * MIB

# Job, peer, and how many times its rate ours has to be at least.
SMALL_RATES = (
    ("get-1k-tmpfs", OBSTORE, 1.0),
    ("get-1k-tmpfs", MINIO, 2.5),
    ("get-1k-tmpfs", BOTO3, 6.0),
    ("put-1k", OBSTORE, 1.0),
    ("put-1k", BOTO3, 1.5),
    ("get-1k-tmpfs-8", MINIO, 2.0),
    ("get-1k-tmpfs-8", OBSTORE, 0.6),
)
# The same, with the size for which it is demanded.
BIG_RATES = (
    ("put-memory", 256 * MIB, BOTO3, 1.25),
    ("put-file", 256 * MIB, BOTO3, 1.25),
    ("get-file", 256 * MIB, BOTO3, 1.6),
)
# Job, size, figure, and how many times the best peer's ours has to be at least.
BEST_RATES = (
    ("free-put-file", GIB, RATE, 1.3),
    ("free-get-file", GIB, RATE, 1.0),
    ("get-file", GIB, RATE, 0.8),
    ("get-file", GIB, CHECKED, 1.2),
)
FREE_GET = "free-get-1k"
# Job, figure, and what ours may be at most.
LIMITS = (
    (FREE_GET, "CPU us", 120.0),
    (bench_free.SIGNING.name, bench_free.SIGNING.figure, 5.0),
    (bench_footprint.WHEEL.name, bench_footprint.KIB, 48.0),
    (bench_footprint.INSTALLED.name, bench_footprint.KIB, 200.0),
)
# Job, figure, peer, and what of the peer's ours may be at most.
PORTIONS = (
    (FREE_GET, "CPU us", BOTO3, 1 / 6),
    (bench_cold.COLD.name, bench_cold.MS, BOTO3, 1 / 3),
)
# Job, figure, peer, and how much more ours may be at most.
ADDED = (
    (bench_cold.COLD.name, bench_cold.MS, REQUESTS, 10.0),
    (bench_cold.IMPORT.name, bench_cold.MS, bench_cold.BARE, 15.0),
    (bench_cold.IMPORT.name, bench_cold.MEMORY, bench_cold.BARE, 2.0),
)
MEMORY = 16.0  # MiB at most, over what the client has at rest


class Claim(NamedTuple):
    """One demand, and what was measured."""

    text: str
    measured: str
    held: bool

    def line(self) -> str:
        """As it is printed."""
        return f"{'holds' if self.held else 'DOES NOT HOLD'}: {self.text}: {self.measured}"


def claims(results: Results) -> list[Claim]:
    """The demands about what was measured in this run."""
    makers: tuple[Callable[[Results], Iterator[Claim]], ...] = (of_rates, of_best, of_limits, of_peaks, of_kills)
    return [claim for maker in makers for claim in maker(results)]


def of_rates(results: Results) -> Iterator[Claim]:
    """Ours over one peer's."""
    sized = [(results.sized(stem, size), peer, times) for stem, size, peer, times in BIG_RATES]
    for name, peer, times in [*SMALL_RATES, *sized]:
        found = results.compared(name, peer, ratio) if name else None
        if found is not None:
            yield Claim(f"{name} at least {times:g} x {peer}", str(found), found.value >= times)


def of_best(results: Results) -> Iterator[Claim]:
    """Ours over the best peer's."""
    for stem, size, figure, times in BEST_RATES:
        name = results.sized(stem, size)
        peer = results.best(name, figure) if name else None
        found = results.compared(name, peer, ratio, figure) if name and peer else None
        if found is not None:
            how = ", which is verified by hand," if figure == CHECKED else ""
            yield Claim(f"{name} at least {times:g} x the best peer{how} {peer}", str(found), found.value >= times)


def of_limits(results: Results) -> Iterator[Claim]:
    """Ours alone, and ours beside something that it may be a part of, or a little more than."""
    for name, figure, most in LIMITS:
        series = results.good(name, OURS)
        if series is not None:
            value = series.median(figure)
            yield Claim(f"{name} at most {most:g} {figure}", number(value), value <= most)
    for name, figure, peer, part in PORTIONS:
        found = results.compared(name, peer, ratio, figure)
        if found is not None:
            text = f"{name} at most 1/{1 / part:.0f} of {peer}'s {figure}"
            yield Claim(text, f"1/{1 / found.value:.1f}", found.value <= part)
    for name, figure, peer, more in ADDED:
        found = results.compared(name, peer, difference, figure)
        if found is not None:
            yield Claim(f"{name} at most {more:g} {figure} over {peer}", str(found), found.value <= more)


def of_peaks(results: Results) -> Iterator[Claim]:
    """The worst of the rounds."""
    for kind in bench_memory.KINDS:
        series = results.good(kind.name, OURS)
        if series is not None:
            most = series.spread()[1]
            yield Claim(f"{kind.name} at most {MEMORY:.0f} MiB extra", f"{most:.1f} MiB", most <= MEMORY)


def of_kills(results: Results) -> Iterator[Claim]:
    """What it took, beside what it may take."""
    for kind in bench_kills.KINDS:
        series = results.good(kind.name, OURS)
        if series is not None:
            wire, allowed = series.median(), series.median(bench_kills.ALLOWED)
            text = f"{kind.name} at most {allowed:,.0f} MiB over the wire, with {bench_kills.KILLS} kills"
            yield Claim(text, f"{wire:,.1f} MiB", wire <= allowed)
