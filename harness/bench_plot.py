"""The plot of one run: for the jobs that most callers have, how fast each client is beside this package."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, NamedTuple, Sequence

from .bench_big import SIZES
from .bench_jobs import OURS, PEERS
from .bench_results import Results, number

# A job's name, or with a size the beginning of one.
SHOWN: tuple[tuple[str, int | None], ...] = (
    ("cold", None),
    ("get-1k-tmpfs", None),
    ("get-1k-tmpfs-8", None),
    ("put-1k", None),
    ("put-1k-8", None),
    ("free-get-1k", None),
    ("put-file", SIZES[-1]),
    ("get-file", SIZES[-1]),
    ("free-put-file", SIZES[-1]),
    ("free-get-file", SIZES[-1]),
)
# Okabe and Ito's palette, which the colour-blind tell apart; ours is the dark one.
COLOURS = dict(zip(PEERS, ("#0072B2", "#E69F00", "#56B4E9", "#D55E00", "#999999")))
BAR, FILL = 0.16, 0.9  # a bar's part of the height of a job, and what of that is painted
INCHES = 8.0, 0.75  # width, and height of a job
LONGEST = 2.0  # times as fast as this package: a longer bar is cut, with an arrow at its end
TITLE = "How fast, beside cdn_sigv4 (longer is better; it alone verifies what it downloads)"


class Row(NamedTuple):
    """A job: its text with our figure, and by peer how many times as fast as this package each is, with its figure."""

    text: str
    bars: dict[str, tuple[float, str]]


def rows(results: Results) -> list[Row]:
    """What is to be drawn: those of the shown that were measured."""
    found = []
    for stem, size in SHOWN:
        name = stem if size is None else results.sized(stem, size)
        ours = results.good(name, OURS) if name else None
        if name is None or ours is None:
            continue
        bars = {}
        for peer in PEERS:
            series, times = results.good(name, peer), results.advantage(name, peer)
            if series is not None and times is not None:
                bars[peer] = 1 / times.value, number(series.median())
        found.append(Row(f"{ours.kind.text} ({ours.kind.figure})", bars))
    return found


def draw(shown: Sequence[Row], caption: str, path: Path) -> bool:
    """Draw it, the same bytes for the same figures; False where there is nothing to draw, or nobody who could."""
    if not shown or importlib.util.find_spec("matplotlib") is None:
        return False
    import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore]
    from matplotlib.figure import Figure  # type: ignore[import-not-found,unused-ignore]

    settings = {"svg.fonttype": "none", "svg.hashsalt": "cdn_sigv4", "font.size": 8, "font.family": "sans-serif"}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(INCHES[0], 1 + INCHES[1] * len(shown)), layout="constrained")
        axes = figure.subplots()
        paint(axes, shown)
        axes.set_xlabel(f"times as fast as cdn_sigv4; {caption}")
        figure.suptitle(TITLE)
        figure.legend(loc="outside lower center", ncols=len(PEERS), frameon=False)
        figure.savefig(path, format="svg", facecolor="white", metadata={"Date": None})
    return True


def paint(axes: Any, shown: Sequence[Row]) -> None:
    """The bars, a group for each job, and the line at which a client is as fast as this package."""
    for place, peer in enumerate(PEERS):
        bars = [
            (job + (place - len(PEERS) // 2) * BAR, min(times, LONGEST), text if times <= LONGEST else f"{text} \u2192")
            for job, row in enumerate(shown)
            for times, text in [row.bars.get(peer, (0.0, ""))]
            if text
        ]
        if bars:
            heights, widths, texts = zip(*bars)
            painted = axes.barh(heights, widths, BAR * FILL, color=COLOURS[peer], label=peer)
            axes.bar_label(painted, texts, padding=2, fontsize=6)
    axes.axvline(1, color=COLOURS[OURS], linewidth=0.6, zorder=0)
    axes.set_yticks(range(len(shown)), [row.text for row in shown])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()  # the first job on top, and of each this package
    axes.margins(x=0.08, y=0.01)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
