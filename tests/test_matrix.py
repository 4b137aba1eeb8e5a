"""The matrix of Pythons and libraries: which Pythons are found, which cells there are, and when one is red.

No environment is made here: a cell is given this one. `.ci/run` makes the two corners' and runs the suite in them.
"""

import os
import platform
import re
import signal
import sys

import pytest
import requests
import urllib3

from harness import matrix
from harness.environment import ROOT, SetupError

OLD, NEW = ("/old/python3.8", (3, 8, 18)), ("/new/python3.13", (3, 13, 0))


def fake(folder, name, answer, code=0):
    """A program that says something and ends with a code, whatever it is asked."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho {answer}\nexit {code}\n", encoding="ascii")
    path.chmod(0o755)
    return str(path)


def test_pythons_are_found(tmp_path):
    """On the PATH, in pyenv's folder, and the one that runs: by their names, each once, in that order."""
    shims, root = tmp_path / "root" / "shims", tmp_path / "root"
    on_path = [fake(shims, "python3.9", ""), fake(tmp_path / "bin", "python3.13", "")]
    for name in ("python3", "python3.13t", "python3.13-config", "pythonw"):
        fake(tmp_path / "bin", name, "")
    in_pyenv = fake(root / "versions" / "3.8.18" / "bin", "python3.8", "")
    at_home = fake(tmp_path / ".pyenv" / "versions" / "3.7.1" / "bin", "python3.7", "")
    elsewhere = fake(tmp_path / "own" / "versions" / "3.10.1" / "bin", "python3.10", "")
    environ = {"PATH": f"{shims}::{tmp_path / 'bin'}:{tmp_path / 'bin'}"}
    this = os.path.realpath(sys.executable)
    assert matrix.candidates(environ) == [*on_path, in_pyenv, this]
    environ.update(HOME=str(tmp_path), PYENV_ROOT=str(tmp_path / "own"))
    assert matrix.candidates(environ) == [*on_path, elsewhere, at_home, in_pyenv, this]
    assert matrix.candidates({}) == [this]


def test_of_each_minor_version_the_newest(tmp_path):
    """What does not run, is too old, or no CPython is no Python for this; of equal ones the first is taken."""
    answers = {
        "a": "cpython 3 9 18",
        "b": "cpython 3 9 2",
        "c": "cpython 3 10 9",
        "d": "cpython 3 10 13",
        "e": "cpython 3 10 13",
        "f": "cpython 3 7 17",
        "g": "cpython 2 7 18",
        "h": "pypy 3 11 1",
    }
    files = [fake(tmp_path, name, answer) for name, answer in answers.items()]
    files += [fake(tmp_path, "shim", "not found", code=127), str(tmp_path / "missing")]
    found = matrix.pythons(files)
    assert [(path.rpartition("/")[2], version) for path, version in found] == [("a", (3, 9, 18)), ("d", (3, 10, 13))]
    assert matrix.version_of(sys.executable) == sys.version_info[:3]


def test_cells():
    """Each Python has the lowest and the newest libraries, and the newest one the mixture; the corners are two."""
    cells = matrix.all_cells([OLD, NEW])
    assert [cell.name for cell in cells] == ["3.8-lowest", "3.13-lowest", "3.13-mixed", "3.8-newest", "3.13-newest"]
    assert [cell.name for cell in matrix.corners(cells)] == ["3.8-lowest", "3.13-newest"]
    assert [cell.name for cell in matrix.corners(matrix.all_cells([NEW]))] == ["3.13-lowest", "3.13-newest"]


@pytest.mark.parametrize(
    ("words", "found", "names", "said"),
    [
        ([], [OLD, NEW], ["3.8-lowest", "3.13-lowest", "3.13-mixed", "3.8-newest", "3.13-newest"], ""),
        (["3.13-newest", "3.8-lowest"], [OLD, NEW], ["3.8-lowest", "3.13-newest"], ""),
        (["--corners"], [OLD, NEW], ["3.8-lowest", "3.13-newest"], ""),
        (
            ["--corners"],
            [NEW],
            ["3.13-lowest", "3.13-newest"],
            "no Python 3.8 is installed: the oldest corner is 3.13-lowest\n",
        ),
    ],
    ids=["all", "named", "corners", "no 3.8"],
)
def test_chosen_cells(words, found, names, said, capsys):
    """What the command line asks for; a corner that is another one than it should be is named."""
    assert [cell.name for cell in matrix.chosen(words, matrix.all_cells(found))] == names
    assert capsys.readouterr().out == said


def test_no_such_cell(capsys):
    """A cell that there is not is refused with those that there are, before anything is made."""
    with pytest.raises(SystemExit) as caught:
        matrix.chosen(["3.8-lowest", "3.6-lowest"], matrix.all_cells([OLD]))
    assert caught.value.code == 2
    assert capsys.readouterr().out.startswith("no such cell here: 3.6-lowest; there are 3.8-lowest, 3.8-mixed, ")


def test_the_lowest_are_those_promised():
    """The lowest requests is that of pyproject.toml, and both are those of the README."""
    lowest = dict(each.split("==") for each in matrix.CHOICES["lowest"] if "==" in each)
    assert f'"requests>={lowest["requests"].rpartition(".0")[0]}"' in (ROOT / "pyproject.toml").read_text("utf-8")
    assert lowest == {"requests": "2.25.0", "urllib3": "1.26.5"}
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    assert "`requests` from 2.25 and urllib3 from 1.26 on" in readme


def test_left_out_tests():
    """What is left out is there, and nothing else than that is; a part of the suite leaves it out too."""
    files = {path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").glob("test_*.py")}
    jobs = matrix.jobs([])
    run = [file for job in jobs for file in job]
    left = files - {*run}
    assert len(run) == len({*run})
    assert {*run} < files
    assert all(jobs)
    for name in matrix.LEFT_OUT:
        assert any(file.startswith(f"tests/{name}") for file in left), name
    assert all(file.startswith(tuple(f"tests/{name}" for name in matrix.LEFT_OUT)) for file in left)
    assert matrix.jobs(["-k", "x"])[0][:3] == ["-k", "x", "--ignore-glob=tests/test_bench*"]


@pytest.fixture
def here(monkeypatch):
    """A cell that is this very environment."""
    monkeypatch.setattr(matrix.Cell, "own_python", property(lambda self: sys.executable))
    monkeypatch.setattr(matrix, "prepare", lambda cell: None)
    return matrix.Cell(sys.executable, sys.version_info[:3], "newest")


def test_versions_in_a_cell(here):
    """A cell says which versions it has; another Python, or other libraries, than it is named for are refused."""
    versions = matrix.versions_in(here)
    assert versions == {
        "Python": platform.python_version(),
        "requests": requests.__version__,
        "urllib3": urllib3.__version__,
    }
    for wrong in (here._replace(version=(3, 8, 0)), here._replace(choice="lowest", version=(3, 8, 1))):
        with pytest.raises(SetupError, match=f"{wrong.name} has "):
            matrix.versions_in(wrong)


@pytest.mark.parametrize(
    ("body", "counts", "is_green"),
    [
        ("pass", {"passed": 2, "failed": 0, "skipped": 1}, True),
        ("assert 1 + 1 == 3", {"passed": 1, "failed": 1, "skipped": 1}, False),
        ("import warnings; warnings.warn('old')", {"passed": 1, "failed": 1, "skipped": 1}, False),
        ("import os; os._exit(0)", {}, False),
    ],
    ids=["green", "a failure", "a warning", "no report"],
)
def test_a_cell_runs(here, tmp_path, body, counts, is_green, capsys):
    """The tests of a cell are counted; the cell is red, and says why, when one fails or warns, or all come to none."""
    text = f"import pytest\ndef test_a(): {body}\ndef test_b(): pass\n@pytest.mark.skip\ndef test_c(): pass\n"
    (tmp_path / "test_it.py").write_text(text, encoding="ascii")
    code = matrix.run([here], [f"--rootdir={tmp_path}", "-c", os.devnull, str(tmp_path)])
    shown = capsys.readouterr().out
    assert code == (0 if is_green else 1)
    *_, head, row = shown.splitlines()
    assert head == matrix.HEAD
    numbers = [str(counts.get(name, 0)) for name in ("passed", "failed", "skipped")]
    words = [here.name, platform.python_version(), requests.__version__, urllib3.__version__, *numbers]
    assert row.split()[:7] == words
    assert re.search(r"\d+ s( RED)?$", " ".join(row.split()))
    assert row.endswith("RED") != is_green
    assert ("def test_a" in shown) == (counts.get("failed", 0) > 0)


def test_a_cell_that_hangs(here, tmp_path, monkeypatch, capsys):
    """A cell has its time: then it is ended, and red."""
    monkeypatch.setattr(matrix, "CELL_SECONDS", 3.0)
    (tmp_path / "test_it.py").write_text("import time\ndef test_a(): time.sleep(600)\n", encoding="ascii")
    assert matrix.run([here], [f"--rootdir={tmp_path}", "-c", os.devnull, str(tmp_path)]) == 1
    assert "has taken 3 s, and is ended" in capsys.readouterr().out


def test_a_cell_that_cannot_be_made(here, monkeypatch, capsys):
    """It is red in the table, and those behind it run all the same."""

    def fail(cell):
        if cell.choice == "mixed":
            raise SetupError("no registry")

    monkeypatch.setattr(matrix, "prepare", fail)
    monkeypatch.setattr(
        matrix, "run_cell", lambda cell, arguments: matrix.Outcome(matrix.versions_in(cell), {}, True, 1)
    )
    assert matrix.run([here._replace(choice="mixed"), here], []) == 1
    shown = capsys.readouterr().out
    assert "set-up failed: no registry" in shown
    assert [line.endswith("RED") for line in shown.splitlines()[-2:]] == [True, False]


def test_interrupted(here, monkeypatch, capsys):
    """Who ends it is told so, without a traceback."""

    def end(cells, arguments):
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(matrix, "run", end)
    assert matrix.main([], None) == 130
    assert capsys.readouterr().out == "interrupted SIGTERM\n"
