"""Runs pytest with branch coverage and prints what is not covered. The exit code is pytest's, the worse of two.

The whole suite runs in three processes side by side, each with a server of its own and a part of the alphabet; some
tests wait, so that two processors are busy with three. With arguments pytest runs once, in this process.

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

FIRSTS = ("test_fi", "test_mo")  # where a part begins, behind the first one


def main(arguments: list[str]) -> int:
    """Run the suite from the repository's root."""
    os.chdir(ROOT)
    measured = coverage.Coverage()
    measured.erase()
    with signals_as_interrupt():
        code = run(arguments) if arguments else run_parts()
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


def parts() -> list[list[str]]:
    """The files of tests, from the root on, in parts that take about as long."""
    files = sorted(str(path.relative_to(ROOT)) for path in Path(ROOT, "tests").glob("test_*.py"))
    borders = [*(sum(Path(file).name < first for file in files) for first in FIRSTS), len(files)]
    return [files[start:end] for start, end in zip([0, *borders], borders)]


def run_parts() -> int:
    """Run the first part in this process and the others beside it, whose output comes when it is done."""
    first, *others = parts()
    codes, running = [], []
    try:
        for files in others:
            output = tempfile.TemporaryFile()  # noqa: SIM115 - closed below
            command = [sys.executable, "-m", "harness.suite", *files]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
            running.append((process, output))
        codes.append(run(first))
        codes += [process.wait() for process, _ in running]
    finally:
        for process, output in running:
            stop(process)
            show(output)
            output.close()
    return max(codes, key=abs)


def stop(other: subprocess.Popen[bytes]) -> None:
    """End another part, which puts its server away."""
    if other.poll() is None:
        other.terminate()
        try:
            other.wait(2 * STOP_SECONDS)
        except subprocess.TimeoutExpired:
            other.kill()
            other.wait()


def show(output: IO[bytes]) -> None:
    """Print what another part has said."""
    output.seek(0)
    print("\nanother part:", flush=True)
    sys.stdout.write(output.read().decode("utf-8", "replace"))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
