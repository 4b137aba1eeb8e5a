"""The benchmark: starts the servers and the clients, runs the jobs stage by stage, and reports.

A stage is a file of its own that names its kinds of jobs and makes them: bench_small.py (requests a second),
bench_big.py (rates), both also on the nearly free server (bench_free.py), bench_cold.py (fresh processes),
bench_footprint.py (sizes), bench_memory.py (peaks), bench_kills.py (bytes, with kills). They are added up in `Bench`;
what is demanded of them is in bench_claims.py, and what is shown in bench_report.py and bench_plot.py.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import os
import time
from pathlib import Path
from typing import Iterator, Sequence

from . import (
    bench_big,
    bench_cold,
    bench_files,
    bench_footprint,
    bench_free,
    bench_kills,
    bench_memory,
    bench_peers,
    bench_small,
    bench_store,
)
from .bench_big import SIZES
from .bench_jobs import Job, Kind, Series, WrongError, run_rounds
from .bench_peers import Client
from .bench_report import Report, machine
from .environment import ROOT
from .processes import signals_as_interrupt
from .values import HarnessError

ROUNDS, QUICK_ROUNDS = 7, 3
QUICK_SIZES = SIZES[:2]
FREE_SIZES = SIZES[1], SIZES[-1]
SECONDS, QUICK_SECONDS = 0.7, 0.15  # of small requests, in each measurement
FRESH = 3, 1  # rounds of fresh processes for each of the others, and with --quick: one alone is soon over
TOGETHER, QUICK_TOGETHER = 16 << 20, 4 << 20  # bytes that one measurement of a rate moves at least
MEMORY_ROUNDS, QUICK_MEMORY_ROUNDS = 3, 1  # what a transfer takes varies little
KINDS: tuple[Kind, ...] = (
    *bench_small.KINDS,
    *(kind for size in SIZES for kind in bench_big.kinds(size)),
    *bench_small.FREE_KINDS,
    *(kind for size in FREE_SIZES for kind in bench_big.kinds(size, "free-")),
    bench_free.SIGNING,
    *bench_cold.KINDS,
    *bench_footprint.KINDS,
    *bench_memory.KINDS,
    *bench_kills.KINDS,
)


def main(arguments: list[str], usage: str | None) -> int:
    """Run what is asked for, print the figures, return the exit code: 1 if anything was wrong or a demand not met."""
    options = parsed(arguments, usage)
    os.chdir(ROOT)  # the clients' processes find this package there
    start = time.monotonic()
    try:
        with signals_as_interrupt():
            report = run(options)
    except (HarnessError, WrongError) as error:
        say(f"FAILED: {error}")
        return 1
    except KeyboardInterrupt as reason:
        say(f"interrupted {reason}".rstrip())
        return 130
    if options.output is not None:
        say(f"written: {', '.join(str(path) for path in report.write(options.output))}")
    else:
        say(f"\n{report.markdown()}")
    say(f"seconds: {time.monotonic() - start:.0f}")
    for line in report.summary():
        say(line)
    return 0 if report.is_good else 1


def parsed(arguments: list[str], usage: str | None) -> argparse.Namespace:
    """The options; paths are meant from where the command was typed."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="three rounds, 64 MiB at most, no kills")
    add("--rounds", type=int, default=None, help=f"of the rates ({ROUNDS}, with --quick {QUICK_ROUNDS})")
    add("--only", metavar="NAME", action="append", default=None, help="these jobs, * allowed; may be repeated")
    add("--list", action="store_true", help="print the jobs' names, and end")
    add("--output", metavar="DIR", type=Path, help="write bench.md, bench.json and bench.svg there, print no tables")
    add("--minio-data", metavar="DIR", type=Path, help="where MinIO keeps its data (in /dev/shm if there is room)")
    options = parser.parse_args(arguments)
    if options.list:
        parser.exit(0, "".join(f"{kind.name:24} {kind.text}\n" for kind in KINDS))
    patterns = options.only or ["*"]
    options.wanted = {kind.name for kind in KINDS if any(fnmatch.fnmatch(kind.name, each) for each in patterns)}
    if not options.wanted:
        parser.error(f"--only {' '.join(options.only)}: --list says which there are")
    options.rounds = options.rounds or (QUICK_ROUNDS if options.quick else ROUNDS)
    if options.rounds < 1:
        parser.error("--rounds: at least one")
    for name in ("output", "minio_data"):
        given = getattr(options, name)
        setattr(options, name, given and given.resolve())
    return options


def run(options: argparse.Namespace) -> Report:
    """Start the server, run the stages."""
    facts = {
        **machine(),
        "packages": ", ".join(f"{name} {version}" for name, version in bench_peers.versions().items()),
    }
    for name, value in facts.items():
        say(f"{name}: {value}")
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(bench_store.start(options.minio_data, say))
        facts["server"] = store.description
        facts["rounds"] = str(options.rounds)
        bench = Bench(options, store, facts)
        results = [series for stage in bench.stages() for series in stage]
    return Report(facts, results)


class Bench:
    """One run: each stage's files are gone, and its clients ended, when the next one begins."""

    def __init__(self, options: argparse.Namespace, store: bench_store.Store, facts: dict[str, str]) -> None:
        self._wanted: set[str] = options.wanted
        self._is_quick: bool = options.quick
        self._rounds: int = options.rounds
        self._store, self._facts = store, facts
        self._seconds = QUICK_SECONDS if options.quick else SECONDS
        self._together = QUICK_TOGETHER if options.quick else TOGETHER
        self._sizes = QUICK_SIZES if options.quick else SIZES
        self._seconds_of: dict[str, float] = {}
        self._peers = bench_peers.installed()
        self._judge = bench_store.Judge(store)
        self._judge.make_bucket()

    def stages(self) -> Iterator[list[Series]]:
        """The results of each; how long it took is said, and noted."""
        stages = {
            "processes and sizes": self._processes,
            "small requests": self._small_requests,
            "large files": self._rates,
            "nearly free server": self._free,
            "memory and kills": self._memory_and_kills,
        }
        for name, stage in stages.items():
            start = time.monotonic()
            yield from stage()
            self._seconds_of[name] = time.monotonic() - start
            say(f"stage: {name}: {self._seconds_of[name]:.0f} s")
        taken = ", ".join(f"{name} {seconds:.0f}" for name, seconds in self._seconds_of.items())
        self._facts["seconds of the stages"] = taken

    def _does(self, kinds: Sequence[Kind]) -> bool:
        return any(kind.name in self._wanted for kind in kinds)

    def _run(self, jobs: Sequence[Job], rounds: int | None = None) -> list[Series]:
        return run_rounds(jobs, rounds or self._rounds, say)

    def _processes(self) -> Iterator[list[Series]]:
        """Fresh ones, and sizes."""
        with bench_files.folder(0, in_memory=False) as home:
            jobs = []
            if self._does([bench_cold.COLD]):
                jobs += bench_cold.cold_jobs(self._store, self._judge, self._peers, home)
            if self._does([bench_cold.IMPORT]):
                jobs += bench_cold.import_jobs(self._peers, home)
            yield self._run(jobs, self._rounds * FRESH[self._is_quick])
        yield self._run(bench_footprint.jobs(self._peers, self._wanted), 1)

    def _small_requests(self) -> Iterator[list[Series]]:
        """On MinIO."""
        if not self._does(bench_small.KINDS):
            return
        with contextlib.ExitStack() as stack:
            on_tmpfs = stack.enter_context(bench_files.folder(0, in_memory=True))
            on_disk = stack.enter_context(bench_files.folder(0, in_memory=False))
            where = f"{bench_files.place(on_tmpfs)} and {bench_files.place(on_disk)}"
            self._facts["small requests"] = f"files in {where}, {self._seconds} s each"
            clients = self._clients(stack, self._store, on_disk)
            hurry = bench_small.Hurry({False: on_tmpfs, True: on_disk}, self._judge, self._seconds)
            yield self._run(hurry.jobs(bench_small.ROWS, clients, self._wanted))

    def _rates(self) -> Iterator[list[Series]]:
        """Of large files, on MinIO."""
        for size in self._sizes:
            if not self._does(bench_big.kinds(size)):
                continue
            with bench_files.folder(size, in_memory=True) as folder, contextlib.ExitStack() as stack:
                source = self._source(folder, size, "rates")
                clients = self._clients(stack, self._store, folder)
                # By the first of them, this package, so that the object has a checksum of the whole.
                clients[self._peers[0]].do("put_file", key=bench_big.OBJECT, path=str(source.path))
                mover = bench_big.Mover(source, folder, self._judge, self._together)
                yield self._run(mover.jobs(clients, self._wanted), self._rounds_of(size))
                self._judge.delete(bench_big.OBJECT)

    def _free(self) -> Iterator[list[Series]]:
        """What the clients themselves cost: small requests, large files, signatures."""
        sizes = [size for size in FREE_SIZES if size in self._sizes and self._does(bench_big.kinds(size, "free-"))]
        small = self._does([*bench_small.FREE_KINDS, bench_free.SIGNING])
        for size in ([0] if small else []) + sizes:
            with bench_files.folder(size, in_memory=True) as folder, contextlib.ExitStack() as stack:
                free = stack.enter_context(bench_free.start(new(folder / "served")))
                clients = self._clients(stack, free.store, folder)
                if size == 0:
                    hurry = bench_small.Hurry({False: folder}, free, self._seconds, free.cost)
                    jobs = hurry.jobs(bench_small.FREE_ROWS, clients, self._wanted)
                    yield self._run([*jobs, *bench_free.signing(clients, self._wanted)])
                    continue
                source = self._source(folder, size, "rates on the nearly free server")
                free.serve(source)
                mover = bench_big.Mover(source, folder, free, self._together, "free-")
                yield self._run(mover.jobs(clients, self._wanted), self._rounds_of(size))

    def _memory_and_kills(self) -> Iterator[list[Series]]:
        """Each transfer in a process of its own."""
        kills = () if self._is_quick else bench_kills.KINDS
        if not self._does([*bench_memory.KINDS, *kills]):
            return
        # On the disk: a file in memory, mapped, would count as the process's own; and there is something to spoil.
        size = self._sizes[-1]
        with bench_files.folder(size, in_memory=False) as folder:
            source, home = self._source(folder, size, "memory and kills"), new(folder / "home")
            rounds = QUICK_MEMORY_ROUNDS if self._is_quick else min(self._rounds, MEMORY_ROUNDS)
            if bench_memory.is_possible():
                weigher = bench_memory.Weigher(source, folder, home, self._store, self._judge)
                yield self._run(weigher.jobs(self._wanted), rounds)
            elif self._does(bench_memory.KINDS):
                say("no peaks of memory: they are measured on Linux alone")
            if self._does(kills):
                killer = bench_kills.Killer(source, folder, home, self._store, self._judge)
                yield self._run(killer.jobs(self._wanted), 1)

    def _clients(self, stack: contextlib.ExitStack, store: bench_store.Store, folder: Path) -> dict[str, Client]:
        """One of each, ready, for as long as the stack is open."""
        homes = {peer: new(folder / f"home-{number}") for number, peer in enumerate(self._peers)}
        return {peer: stack.enter_context(bench_peers.client(peer, store, home)) for peer, home in homes.items()}

    def _source(self, folder: Path, size: int, what: str) -> bench_files.Source:
        """The source of a stage, which is announced, because it takes a while to write."""
        self._facts[f"{what}, {bench_big.label(size)}"] = f"files in {bench_files.place(folder)}"
        say(f"{what}, {bench_big.label(size)}: files in {bench_files.place(folder)}")
        return bench_files.new_source(folder / "source", size)

    def _rounds_of(self, size: int) -> int:
        return min(self._rounds, bench_big.LARGEST_ROUNDS) if size == SIZES[-1] else self._rounds


def new(folder: Path) -> Path:
    """Make a folder."""
    folder.mkdir()
    return folder


def say(text: str) -> None:
    """Print at once, even into a pipe."""
    print(text, flush=True)
