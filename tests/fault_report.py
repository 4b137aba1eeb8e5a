"""Prints the table of faults as it came out: what `scripts/faults` does."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Iterator, Sequence

from fault_peers import run_peers
from fault_runner import HANG, WRONG, Result, cases, run
from fault_table import UNDETECTABLE

HEADINGS = ("fault", "", "operation", "size", "outcome", "bytes", "attempts")
USERS_SETTINGS = ("AWS_", "CDN_", "MINIO_", "NETRC", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def main(arguments: Sequence[str], usage: str) -> int:
    """Run all cases, print them, and return the exit code: 1 where one is not as it must be."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description=usage.partition("\n\n")[2])
    parser.add_argument("--peers", action="store_true", help="run boto3 and minio-py through the same faults as well")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows into this file too")
    chosen = parser.parse_args(arguments)
    forget_users_settings()
    results = list(run_all())
    show(results)
    report = {"cdn_sigv4": [as_data(result) for result in results]}
    if chosen.peers:
        print()
        report.update(run_peers(results))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0 if all(result.as_required for result in results) else 1


def forget_users_settings() -> None:
    """No proxy, key or configuration of the user's may change what is seen."""
    for name in list(os.environ):
        if name.upper().startswith(USERS_SETTINGS) or name.lower().endswith("_proxy"):
            del os.environ[name]


def run_all() -> Iterator[Result]:
    """Run each case in a folder of its own."""
    for case in cases():
        with tempfile.TemporaryDirectory(prefix="cdn-sigv4-") as folder:
            yield run(case, Path(folder))


def show(results: Sequence[Result]) -> None:
    """Print the table, what is not as it must be, what nobody can detect, and the counts."""
    print_table([HEADINGS, *map(as_row, results)])
    print(f"\n{UNDETECTABLE}\n")
    failed = [result for result in results if not result.as_required]
    for result in failed:
        print(f"FAILED: {result.case}: {result.outcome}, required is {result.case.required}")
        for problem in result.problems:
            print(f"    {problem}")
    silent = sum(result.outcome == WRONG for result in results)
    hangs = sum(result.outcome == HANG for result in results)
    others = f", {len(failed)} not as required" if failed else ""
    print(f"{len(results)} cases, {silent} silent wrong results, {hangs} hangs{others}")


def as_row(result: Result) -> tuple[str, ...]:
    """One line of the table, as text."""
    case = result.case
    outcome = result.outcome if result.as_required else f"{result.outcome} !"
    names = (case.row.fault, case.how, case.operation, case.size_name)
    return (*names, outcome, str(result.moved), str(result.requests))


def as_data(result: Result) -> dict[str, object]:
    """One line of the table, for a machine."""
    case = result.case
    return {
        "fault": case.row.fault,
        "lasts": case.lasting,
        "operation": case.operation,
        "size": case.size_name,
        "outcome": result.outcome,
        "required": case.required,
        "problems": result.problems,
        "bytes": result.moved,
        "attempts": result.requests,
        "seconds": round(result.seconds, 3),
    }


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Print columns side by side; numbers, which are under `bytes` and `attempts`, to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    rights = [name in ("bytes", "attempts") for name in rows[0]]
    for row in rows:
        cells = [cell.rjust(width) if right else cell.ljust(width) for cell, width, right in zip(row, widths, rights)]
        print("  ".join(cells).rstrip())
