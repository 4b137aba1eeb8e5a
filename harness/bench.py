"""The benchmark: starts the server and the clients, runs the jobs stage by stage, and reports.

A stage is a file of its own that names its jobs and makes them: bench_big.py (rates), bench_memory.py (peaks),
bench_kills.py (bytes, with kills). They are added up in `stages`, and what is demanded of them in bench_report.py.
"""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
import os
import time
from pathlib import Path
from typing import Iterator

from . import bench_big, bench_files, bench_kills, bench_memory, bench_peers, bench_store
from .bench_jobs import Series, WrongError, run_rounds
from .bench_report import Report, machine
from .environment import ROOT
from .processes import signals_as_interrupt
from .values import HarnessError

BIG, HUGE, QUICK = 256 << 20, 1 << 30, 64 << 20  # bytes
ROUNDS, QUICK_ROUNDS = 7, 3
MEMORY_ROUNDS = 3  # at most: what a transfer takes varies little
NAMES = (*bench_big.NAMES, *bench_memory.NAMES, *bench_kills.NAMES)


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
    return 1 if report.wrong or not all(claim.held for claim in report.claims()) else 0


def parsed(arguments: list[str], usage: str | None) -> argparse.Namespace:
    """The options; paths are meant from where the command was typed."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description=usage, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="64 MiB instead of 256 MiB and 1 GiB; three rounds")
    parser.add_argument(
        "--rounds", type=int, default=None, help=f"of the rates ({ROUNDS}, with --quick {QUICK_ROUNDS})"
    )
    parser.add_argument(
        "--only", metavar="NAME", action="append", default=None, help=f"these jobs, * allowed: {', '.join(NAMES)}"
    )
    parser.add_argument(
        "--output", metavar="DIR", type=Path, help="write bench.md and bench.json there, print no tables"
    )
    parser.add_argument(
        "--minio-data", metavar="DIR", type=Path, help="where MinIO keeps its data; /dev/shm leaves the disk out"
    )
    options = parser.parse_args(arguments)
    options.wanted = {name for name in NAMES if any(fnmatch.fnmatch(name, each) for each in options.only or ["*"])}
    if not options.wanted:
        parser.error(f"--only {' '.join(options.only)}: there are {', '.join(NAMES)}")
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
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(bench_store.start(options.minio_data, say))
        judge = bench_store.Judge(store)
        judge.make_bucket()
        facts["server"] = store.description
        facts["rounds"] = str(options.rounds)
        results = [series for each in stages(options, store, judge, facts) for series in each]
    return Report(facts, results)


def stages(
    options: argparse.Namespace, store: bench_store.Store, judge: bench_store.Judge, facts: dict[str, str]
) -> Iterator[list[Series]]:
    """The results of each stage; its files are gone when the next one begins."""
    big, huge = (QUICK, QUICK) if options.quick else (BIG, HUGE)
    wanted = options.wanted
    if wanted & set(bench_big.NAMES):
        with bench_files.folder(big, in_memory=True) as folder, contextlib.ExitStack() as stack:
            facts["rates"] = f"{big >> 20} MiB, files in {bench_files.place(folder)}"
            source = announced(folder, big, facts["rates"])
            clients = {
                peer: stack.enter_context(bench_peers.client(peer, store, new(folder / f"home-{peer}")))
                for peer in bench_peers.PEERS
            }
            yield run_rounds(bench_big.Mover(source, folder, judge).jobs(clients, wanted), options.rounds, say)
    if not wanted & {*bench_memory.NAMES, *bench_kills.NAMES}:
        return
    # On the disk: a mapped file in memory would count as the process's own pages, and a kill has something to spoil.
    with bench_files.folder(huge, in_memory=False) as folder:
        facts["memory and kills"] = f"{huge >> 20} MiB, files in {bench_files.place(folder)}"
        source = announced(folder, huge, facts["memory and kills"])
        home = new(folder / "home")
        if bench_memory.is_possible():
            weigher = bench_memory.Weigher(source, folder, home, store, judge)
            yield run_rounds(weigher.jobs(wanted), min(options.rounds, MEMORY_ROUNDS), say)
        elif wanted & set(bench_memory.NAMES):
            say("no peaks of memory: they are measured on Linux alone")
        killer = bench_kills.Killer(source, folder, home, store, judge)
        yield run_rounds(killer.jobs(wanted), 1, say)


def announced(folder: Path, size: int, where: str) -> bench_files.Source:
    """The source of a stage, which is announced, because it takes a while to write."""
    say(where)
    return bench_files.new_source(folder / "source", size)


def new(folder: Path) -> Path:
    """Make a folder."""
    folder.mkdir()
    return folder


def say(text: str) -> None:
    """Print at once, even into a pipe."""
    print(text, flush=True)
