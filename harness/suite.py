"""Runs pytest with branch coverage in this process and prints what is not covered. The exit code is pytest's.

Whether the coverage suffices is a question of its own (`coverage report`, asked by .ci/run): a part of the suite, or
the suite without a MinIO, must not be red for it.
"""

from __future__ import annotations

import os

import coverage
import pytest

from .environment import ROOT
from .processes import signals_as_interrupt


def main(arguments: list[str]) -> int:
    """Run the suite from the repository's root."""
    os.chdir(ROOT)
    measured = coverage.Coverage()
    measured.erase()
    measured.start()
    try:
        with signals_as_interrupt():
            code = int(pytest.main(arguments))
    finally:
        measured.stop()
        measured.save()
    try:
        measured.report()
    except coverage.CoverageException as error:
        print(f"no coverage report: {error}")
    return code
