"""What the benchmark found: as Markdown for people, JSON for programs, and a plot."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple, Sequence

from . import bench_big, bench_cold, bench_footprint, bench_free, bench_kills, bench_memory, bench_plot, bench_small
from .bench_claims import claims
from .bench_jobs import OURS, PEERS, Kind, Series
from .bench_results import Results, number
from .environment import ROOT


class Table(NamedTuple):
    """Kinds in rows, peers in columns; `figure` is another one than that which the kinds are about."""

    title: str
    kinds: Sequence[Kind]
    figure: str | None = None
    note: str = ""


BIG = tuple(kind for size in bench_big.SIZES for kind in bench_big.kinds(size))
FREE_BIG = tuple(kind for size in bench_big.SIZES for kind in bench_big.kinds(size, "free-"))
GETS = tuple(kind for kind in (*BIG, *FREE_BIG) if "get-file" in kind.name)
TIMES = "In brackets: so many times better than that is cdn_sigv4."
HOW_SMALL = (
    "Up: boto3's upload_fileobj (beside its put_object), the others' put. To a file: download_file of cdn_sigv4 (with"
    " durable=False, where not said otherwise) and boto3, fget_object of minio-py; obstore's and requests' answers are"
    " written beside the target, and moved there. Durable: cdn_sigv4's durable=True, around the others fsync of the"
    " file and of its folder by hand."
)
TABLES = (
    Table("Small requests, a second", bench_small.KINDS, note=f"{HOW_SMALL} {TIMES}"),
    Table("The client's processor time for one of them, microseconds", bench_small.KINDS, bench_small.CPU),
    Table("The same on the nearly free server, microseconds", bench_small.FREE_KINDS, note=TIMES),
    Table("Its requests a second", bench_small.FREE_KINDS, bench_small.RATE),
    Table("Its own processor time for one of them, microseconds", bench_small.FREE_KINDS, bench_free.SERVER),
    Table("Large files, MB/s", BIG, note=f"cdn_sigv4 has verified what it downloads, the others do not. {TIMES}"),
    Table("On the nearly free server, MB/s", FREE_BIG, note=TIMES),
    Table(
        "Down to a file with a CRC32 of it made by hand afterwards, where the client does not, MB/s",
        GETS,
        bench_big.CHECKED,
    ),
    Table("Processor seconds of large files", (*BIG, *FREE_BIG), bench_big.CPU),
    Table("Fresh processes, ms", bench_cold.KINDS, note=TIMES),
    Table("Peak of memory of an import, MiB", (bench_cold.IMPORT,), bench_cold.MEMORY),
    Table("Signing, microseconds", (bench_free.SIGNING,)),
    Table("Sizes, KiB", bench_footprint.KINDS),
    Table("Peaks of memory over what the client has at rest, MiB", bench_memory.KINDS),
    Table("Killed and run again, MiB over the wire", bench_kills.KINDS),
)


class Report:
    """All results of one run; `facts` say where and with what it was made, and are shown in their order."""

    def __init__(self, facts: dict[str, str], all_series: Sequence[Series]) -> None:
        self._facts = facts
        self.results = Results(all_series)
        self.claims = claims(self.results)

    @property
    def is_good(self) -> bool:
        """Whether nothing was wrong and all demands hold."""
        return not self.results.wrong and all(claim.held for claim in self.claims)

    def summary(self) -> list[str]:
        """The last lines that are printed."""
        return [*(claim.line() for claim in self.claims), *(f"WRONG: {each}" for each in self.results.wrong)]

    def write(self, folder: Path) -> list[Path]:
        """Write the files; where they are."""
        folder.mkdir(parents=True, exist_ok=True)
        markdown, data, plot = folder / "bench.md", folder / "bench.json", folder / "bench.svg"
        markdown.write_text(self.markdown(), encoding="utf-8")
        data.write_text(json.dumps(self.data(), indent=1) + "\n", encoding="utf-8")
        written = [markdown, data]
        if bench_plot.draw(bench_plot.rows(self.results), self._caption(), plot):
            written.append(plot)
        return written

    def data(self) -> dict[str, Any]:
        """All figures of all rounds."""
        return {
            "facts": self._facts,
            "results": [
                {"job": each.kind.name, "peer": each.peer, "rounds": each.rounds, "wrong": each.wrong}
                for each in self.results.all
            ],
            "claims": [claim._asdict() for claim in self.claims],
        }

    def markdown(self) -> str:
        """The tables, and what they were made with."""
        parts = ["# cdn_sigv4 beside other clients", "\n".join(f"- {k}: {v}" for k, v in self._facts.items())]
        parts.append("Medians of the rounds; the spread is in the last table.")
        parts += [part for table in TABLES for part in self._table(table)]
        lines = self.summary()
        parts += ["## Demands", "\n".join(f"- {line}" for line in lines)] if lines else []
        return "\n\n".join([*parts, *self._all_rows()]) + "\n"

    def _caption(self) -> str:
        return f"{self._facts.get('processor', '')}, {self._facts.get('made', '')}"

    def _table(self, table: Table) -> list[str]:
        found = {kind: {each.peer: each for each in self.results.of(kind.name)} for kind in table.kinds}
        present = {peer for by_peer in found.values() for peer in by_peer}
        columns = [peer for peer in PEERS if peer in present] + sorted(present - set(PEERS))
        rows = [
            (kind.text, *(self._cell(table, by_peer.get(peer)) for peer in columns))
            for kind, by_peer in found.items()
            if any(table.figure is None or table.figure in each.rounds[0] for each in by_peer.values())
        ]
        return section(table.title, ("", *columns), rows, table.note)

    def _cell(self, table: Table, series: Series | None) -> str:
        if series is None or (table.figure is not None and table.figure not in series.rounds[0]):
            return ""
        text = number(series.median(table.figure))
        times = self.results.advantage(series.kind.name, series.peer) if table.note and series.peer != OURS else None
        return text if times is None else f"{text} ({number(times.value)})"

    def _all_rows(self) -> list[str]:
        rows = []
        for series in self.results.all:
            if series.wrong is None and series.rounds:
                least, most = series.spread()
                times = None if series.peer == OURS else self.results.advantage(series.kind.name, series.peer)
                values = f"{number(series.median())} {series.kind.figure}", f"{number(least)} to {number(most)}"
                rows.append((series.kind.name, series.peer, *values, str(times or "")))
        headings = ("job", "peer", "median", "from the least to the most", "cdn_sigv4 is so many times better")
        return section("All of them, by the names that `--only` takes", headings, rows)


def section(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]], note: str = "") -> list[str]:
    """A heading, a note and a table; nothing where there are no rows."""
    if not rows:
        return []
    lines = [headings, ["---"] * len(headings), *rows]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
    return [f"## {title}", *([note] if note else []), table]


def machine() -> dict[str, str]:
    """What the figures hang on besides the clients."""
    return {
        "made": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": commit(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def processor(path: Path = Path("/proc/cpuinfo")) -> str:
    """Its name, and how many there are of it."""
    name = platform.processor() or platform.machine()
    if path.exists():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{os.cpu_count()} cores of {name}"


def commit() -> str:
    """What git says this is; without git there is nothing to say."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, check=True, encoding="utf-8", timeout=30)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
