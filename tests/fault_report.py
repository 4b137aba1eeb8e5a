"""Prints the table of faults as it came out: what `scripts/faults` does."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Sequence

from fault_peers import run_peers
from fault_runner import HANG, WRONG, Result, cases, run
from fault_table import UNDETECTABLE

LEGEND = """\
A fault that passes spoils the first request alone; one that lasts spoils all of them. Outcome: "right", or the class
of the error, as the table in tests/fault_table.py demands it. Bytes: of bodies, over the wire, both ways. Attempts:
requests that reached the server (none where it refuses connections).
"""
HEADINGS = ("fault", "", "operation", "size", "outcome", "bytes", "attempts")
USERS_SETTINGS = ("AWS_", "CDN_", "MINIO_", "NETRC", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def main(arguments: Sequence[str], usage: str) -> int:
    """Run all cases, print them, and return the exit code: 1 where one is not as it must be."""
    parser = argparse.ArgumentParser(prog="scripts/faults", description=usage.partition("\n\n")[2])
    parser.add_argument("--peers", action="store_true", help="run boto3 and minio-py through the same faults as well")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the rows into this file too")
    chosen = parser.parse_args(arguments)
    forget_users_settings()
    results = run_all()
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


def run_all() -> list[Result]:
    """Run each case in a folder of its own, and print its line at once: it takes most of a minute."""
    print(LEGEND)
    print_row(HEADINGS)
    results = []
    for case in cases():
        with tempfile.TemporaryDirectory(prefix="cdn-sigv4-") as folder:
            results.append(run(case, Path(folder)))
        print_row(as_row(results[-1]))
    return results


def show(results: Sequence[Result]) -> None:
    """Print what is not as it must be, what nobody can detect, and the counts."""
    print(f"\n{UNDETECTABLE}\n")
    failed = [result for result in results if not result.as_required]
    for result in failed:
        print(f"FAILED: {result.case}: {result.outcome}, required is {result.case.required}")
        for problem in result.problems:
            print(f"    {problem}")
    silent = sum(result.outcome == WRONG for result in results)
    hangs = sum(result.outcome == HANG for result in results)
    right = sum(result.outcome == "right" for result in results)
    others = f"{len(failed)} not as they must be" if failed else "all as they must be"
    print(
        f"{len(results)} cases, {right} right and {len(results) - right} typed errors, {others};"
        f" {silent} silent wrong results, {hangs} hangs"
    )


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


WIDTHS = (52, 6, 9, 9, 22, 10, 8)  # of the columns; the last two are numbers


def print_row(row: Sequence[str]) -> None:
    """Print one line of the table, at once."""
    cells = [cell.rjust(width) if at > 4 else cell.ljust(width) for at, (cell, width) in enumerate(zip(row, WIDTHS))]
    print(" ".join(cells).rstrip(), flush=True)
