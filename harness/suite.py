"""Runs pytest with branch coverage and prints what is not covered. The exit code is pytest's, the worse of two.

The whole suite runs in two processes side by side, each with a server of its own: one has the tests whose names come
first in the alphabet, which takes about as long as the others. With arguments pytest runs once, in this process.

Whether the coverage suffices is a question of its own (`coverage report`, asked by .ci/run): a part of the suite, or
the suite without a MinIO, must not be red for it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

import coverage
import pytest

from .environment import ROOT
from .processes import STOP_SECONDS, signals_as_interrupt

MIDDLE = "test_l"  # the first name of the second half


def main(arguments: list[str]) -> int:
    """Run the suite from the repository's root."""
    os.chdir(ROOT)
    measured = coverage.Coverage()
    measured.erase()
    with signals_as_interrupt():
        code = run(arguments) if arguments else run_halves()
    try:
        measured.combine()
        measured.save()
        measured.report()
    except coverage.CoverageException as error:
        print(f"no coverage report: {error}")
    return code


def run(arguments: list[str]) -> int:
    """Run pytest in this process; what it has covered lies beside what others have, to be combined."""
    measured = coverage.Coverage(data_suffix=True)
    measured.start()
    try:
        with signals_as_interrupt():
            return int(pytest.main(arguments))
    finally:
        measured.stop()
        measured.save()


def halves() -> tuple[list[str], list[str]]:
    """The files of tests, from the root on, in two parts that take about as long."""
    files = sorted(str(path.relative_to(ROOT)) for path in Path(ROOT, "tests").glob("test_*.py"))
    first = [file for file in files if Path(file).name < MIDDLE]
    return first, files[len(first) :]


def run_halves() -> int:
    """Run the first half in this process and the second beside it, whose output comes when the first is done."""
    first, second = halves()
    with tempfile.TemporaryFile() as output:
        command = [sys.executable, "-m", "harness.suite", *second]
        other = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            code = run(first)
            other.wait()
        finally:
            stop(other)
            show(output)
    return max(code, other.returncode)


def stop(other: subprocess.Popen[bytes]) -> None:
    """End the other half, which puts its server away."""
    if other.poll() is None:
        other.terminate()
        try:
            other.wait(2 * STOP_SECONDS)
        except subprocess.TimeoutExpired:
            other.kill()
            other.wait()


def show(output: IO[bytes]) -> None:
    """Print what the other half has said."""
    output.seek(0)
    print("\nthe second half:", flush=True)
    sys.stdout.write(output.read().decode("utf-8", "replace"))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
