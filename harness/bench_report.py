"""What the benchmark found, as Markdown for people and JSON for programs, and which demands hold."""

from __future__ import annotations

import json
import platform
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Sequence

from . import bench_big, bench_kills, bench_memory
from .bench_jobs import OURS, Series
from .environment import ROOT

# Job, peer, and how many times its rate ours has to be at least.
RATES = (
    (bench_big.PUT_MEMORY, "boto3", 1.25),
    (bench_big.PUT_FILE, "boto3", 1.25),
    (bench_big.GET_FILE, "boto3", 1.6),
    (bench_big.GET_FILE, "minio-py", 0.8),
)
MEMORY = 16.0  # MiB at most


@dataclass(frozen=True)
class Claim:
    """One demand, and what was measured."""

    text: str
    measured: str
    held: bool

    def line(self) -> str:
        """As it is printed."""
        return f"{'holds' if self.held else 'DOES NOT HOLD'}: {self.text}: {self.measured}"


class Report:
    """All results of one run; `facts` say where and with what it was made, and are shown in their order."""

    def __init__(self, facts: dict[str, str], results: Sequence[Series]) -> None:
        self._facts = facts
        self._results = results
        self._by_name = {(series.name, series.peer): series for series in results}

    @property
    def wrong(self) -> list[str]:
        """What failed, or was not right."""
        return [f"{each.name}, {each.peer}: {each.wrong}" for each in self._results if each.wrong is not None]

    def claims(self) -> list[Claim]:
        """The demands about what was measured in this run."""
        return [*self._rate_claims(), *self._memory_claims(), *self._kill_claims()]

    def summary(self) -> list[str]:
        """The last lines that are printed."""
        rates = [self._rate_line(name) for name in bench_big.NAMES if self._good(name, OURS) is not None]
        wrong = [f"WRONG: {each}" for each in self.wrong]
        return [*rates, *(claim.line() for claim in self.claims()), *wrong]

    def write(self, folder: Path) -> list[Path]:
        """Write both files; where they are."""
        folder.mkdir(parents=True, exist_ok=True)
        markdown, data = folder / "bench.md", folder / "bench.json"
        markdown.write_text(self.markdown(), encoding="utf-8")
        data.write_text(json.dumps(self.data(), indent=1) + "\n", encoding="utf-8")
        return [markdown, data]

    def data(self) -> dict[str, Any]:
        """All figures of all rounds."""
        return {
            "facts": self._facts,
            "results": [
                {"job": each.name, "peer": each.peer, "rounds": each.rounds, "wrong": each.wrong}
                for each in self._results
            ],
            "claims": [{"text": each.text, "measured": each.measured, "held": each.held} for each in self.claims()],
        }

    def markdown(self) -> str:
        """The tables, and what they were made with."""
        parts = [
            "# cdn_sigv4 beside other clients: big files",
            "\n".join(f"- {k}: {v}" for k, v in self._facts.items()),
        ]
        rates = [row for name in bench_big.NAMES for row in self._rate_rows(name)]
        parts += section(
            "Rates (medians, and from the least to the most)",
            ("job", "peer", "MB/s", "spread", "CPU s", "cdn_sigv4 is so many times it"),
            rates,
        )
        for title, names in (
            ("Memory (the worst of the rounds)", bench_memory.NAMES),
            ("Killed and run again", bench_kills.NAMES),
        ):
            worst = [
                (each.name, each.peer, {unit: each.spread(unit)[1] for unit in each.rounds[0]})
                for each in self._results
                if each.name in names and each.rounds
            ]
            units = tuple(worst[0][2]) if worst else ()
            rows = [(name, peer, *(f"{value:,.1f}" for value in found.values())) for name, peer, found in worst]
            parts += section(title, ("job", "peer", *units), rows)
        lines = [*(claim.line() for claim in self.claims()), *(f"WRONG: {each}" for each in self.wrong)]
        parts += ["## Demands", "\n".join(f"- {line}" for line in lines)] if lines else []
        return "\n\n".join(parts) + "\n"

    def _good(self, name: str, peer: str) -> Series | None:
        """A series all of whose rounds were right."""
        series = self._by_name.get((name, peer))
        return series if series is not None and series.wrong is None and series.rounds else None

    def _ratio(self, name: str, peer: str) -> tuple[float, float, float] | None:
        """Our rate over a peer's: of the medians, and the least and the most of what the rounds had."""
        ours, other = self._good(name, OURS), self._good(name, peer)
        if ours is None or other is None:
            return None
        rate = bench_big.RATE
        each = [mine / theirs for mine, theirs in zip(ours.values(rate), other.values(rate))]
        return ours.median(rate) / other.median(rate), min(each), max(each)

    def _rate_line(self, name: str) -> str:
        series = self._by_name[name, OURS]
        ratios = [(peer, self._ratio(name, peer)) for other, peer in self._by_name if other == name and peer != OURS]
        shown = [f"{ratio[0]:.2f} x {peer}" for peer, ratio in ratios if ratio is not None]
        return ", ".join([f"{name}: {series.median(bench_big.RATE):,.0f} MB/s", *shown])

    def _rate_rows(self, name: str) -> list[tuple[str, ...]]:
        rows: list[tuple[str, ...]] = []
        for series in self._results:
            if series.name == name and series.rounds:
                least, most = series.spread(bench_big.RATE)
                ratio = None if series.peer == OURS else self._ratio(name, series.peer)
                rows.append(
                    (
                        name,
                        series.peer,
                        f"{series.median(bench_big.RATE):,.0f}",
                        f"{least:,.0f} to {most:,.0f}",
                        f"{series.median('CPU s'):.2f}",
                        "" if ratio is None else f"{ratio[0]:.2f} ({ratio[1]:.2f} to {ratio[2]:.2f})",
                    )
                )
        return rows

    def _rate_claims(self) -> list[Claim]:
        found = []
        for name, peer, demand in RATES:
            ratio = self._ratio(name, peer)
            if ratio is not None:
                measured = f"{ratio[0]:.2f} ({ratio[1]:.2f} to {ratio[2]:.2f})"
                found.append(Claim(f"{name} at least {demand} x {peer}", measured, ratio[0] >= demand))
        return found

    def _memory_claims(self) -> list[Claim]:
        found = []
        for name in bench_memory.NAMES:
            series = self._good(name, OURS)
            if series is not None:
                most = series.spread(bench_memory.EXTRA)[1]
                found.append(Claim(f"{name} at most {MEMORY:.0f} MiB extra", f"{most:.1f} MiB", most <= MEMORY))
        return found

    def _kill_claims(self) -> list[Claim]:
        found = []
        for name in bench_kills.NAMES:
            series = self._good(name, OURS)
            if series is not None:
                wire, allowed = series.median(bench_kills.WIRE), series.median(bench_kills.ALLOWED)
                text = f"{name} at most {allowed:,.0f} MiB over the wire, with {bench_kills.KILLS} kills"
                found.append(Claim(text, f"{wire:,.1f} MiB", wire <= allowed))
        return found


def section(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A heading and a table; nothing where there are no rows."""
    if not rows:
        return []
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"## {title}", "\n".join("| " + " | ".join(cells) + " |" for cells in lines)]


def machine() -> dict[str, str]:
    """What the figures hang on besides the clients."""
    cpu = platform.processor() or platform.machine()
    path = Path("/proc/cpuinfo")
    if path.exists():
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        cpu = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), cpu)
    return {
        "made": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "commit": commit(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": cpu,
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def commit() -> str:
    """What git says this is; without git there is nothing to say."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, capture_output=True, check=True, encoding="utf-8", timeout=30)
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip()
