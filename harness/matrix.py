"""Runs the tests on every Python that is installed here, with the lowest and the newest requests and urllib3.

A cell is a Python and a choice of the two libraries. Each has an environment of its own in `.venvs`, where what is
chosen is installed last, over whatever the development tools demand. Before its tests a cell must show that it has the
versions which it is named for, and import every module of the package with warnings as errors.

Pythons are looked for on the PATH and in pyenv's folder (the names there are shims, which may lead to none): of each
minor version the newest patch. What is not installed is not tested, and `--corners` says where that changes a corner.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Iterable, Mapping, NamedTuple

from .environment import LOWEST_PYTHON, ROOT, STAMP, SetupError, fingerprint, install, make_venv, read_stamp
from .processes import signals_as_interrupt
from .suite import parts, show, stop

ENVIRONMENTS = ROOT / ".venvs"
# What is forced into a cell of that name. The lowest are those of pyproject.toml and of the README, with the other
# libraries that such a requests takes; urllib3 1.26.0 to 1.26.4 cannot be imported on Python 3.12 and later.
CHOICES = {
    "lowest": ["requests==2.25.0", "urllib3==1.26.5", "chardet<4", "idna<3"],
    "mixed": ["requests", "urllib3==1.26.5"],
    "newest": ["requests", "urllib3"],
}
# Beginnings of names of tests that are about the repository's tools, not about the package: no Python of its users'
# runs those, and some of them make or demand .venv.
LEFT_OUT = {
    "test_bench": "scripts/bench",
    "test_footprint": "the wheel's size",
    "test_harness": "the tests' server, scripts/demo",
    "test_matrix": "this",
    "test_soak": "scripts/soak",
    "test_typed": "what mypy says is the same for all",
    "test_vendor": "scripts/vendor",
}
CELL_SECONDS = 1800.0  # for one cell's tests: ten times as long as they take
PROBE_SECONDS = 20.0
PROBE = "import sys, venv, ensurepip; print(sys.implementation.name, *sys.version_info[:3])"
# What a cell says of itself: the versions, once all of the package has been imported.
VERSIONS = """
import importlib, json, pkgutil, platform, requests, urllib3, cdn_sigv4
for module in pkgutil.iter_modules(cdn_sigv4.__path__):
    if module.name != "__main__":
        importlib.import_module("cdn_sigv4." + module.name)
versions = {"Python": platform.python_version(), "requests": requests.__version__, "urllib3": urllib3.__version__}
print(json.dumps(versions))
"""


class Cell(NamedTuple):
    """One Python and one choice of libraries; `version` is the Python's whole one."""

    python: str
    version: tuple[int, int, int]
    choice: str

    @property
    def name(self) -> str:
        """As it is given on the command line: 3.8-lowest."""
        return f"{self.version[0]}.{self.version[1]}-{self.choice}"

    @property
    def folder(self) -> Path:
        """Its environment."""
        return ENVIRONMENTS / self.name

    @property
    def own_python(self) -> Path:
        """Its environment's Python."""
        return self.folder / "bin" / "python"


class Outcome(NamedTuple):
    """What came of a cell."""

    versions: Mapping[str, str]
    counts: Mapping[str, int]
    is_green: bool
    seconds: float


def candidates(environ: Mapping[str, str]) -> list[str]:
    """Files that may be a Python, in the order in which they are found."""
    folders = [Path(folder) for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    roots = [Path(environ[name], *below) for name, *below in (["PYENV_ROOT"], ["HOME", ".pyenv"]) if environ.get(name)]
    roots += [folder.parent for folder in folders if folder.name == "shims"]  # where nothing else tells pyenv's root
    for root in roots:
        folders += sorted(root.glob("versions/*/bin"))
    found = [path for folder in folders for path in sorted(folder.glob("python3.*"))]
    named = [str(path) for path in found if re.fullmatch(r"python3\.\d+", path.name)]
    return list(dict.fromkeys([*named, os.path.realpath(sys.executable)]))


def version_of(python: str) -> tuple[int, int, int] | None:
    """The version of a Python that runs, is CPython, and can make environments; None for any other file."""
    try:
        done = subprocess.run(
            [python, "-c", PROBE], stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=PROBE_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return None
    name, *numbers = done.stdout.decode("ascii", "replace").split()
    major, minor, patch = map(int, numbers)
    return (major, minor, patch) if name == "cpython" and (major, minor) >= LOWEST_PYTHON else None


def pythons(files: Iterable[str]) -> list[tuple[str, tuple[int, int, int]]]:
    """The newest patch of each minor version, oldest first; of equal ones the first."""
    best: dict[int, tuple[str, tuple[int, int, int]]] = {}
    for file in files:
        version = version_of(file)
        if version is not None and (version[1] not in best or best[version[1]][1] < version):
            best[version[1]] = (file, version)
    return [best[minor] for minor in sorted(best)]


def all_cells(found: list[tuple[str, tuple[int, int, int]]]) -> list[Cell]:
    """Each Python with the lowest and the newest libraries; the newest Python with new requests on old urllib3 too."""
    cells = [Cell(*each, choice) for each in found for choice in CHOICES if choice != "mixed" or each == found[-1]]
    return sorted(cells, key=lambda cell: (list(CHOICES).index(cell.choice), cell.version))


def corners(cells: list[Cell]) -> list[Cell]:
    """The oldest Python with the lowest libraries, and the newest with the newest."""
    lowest, newest = ([cell for cell in cells if cell.choice == choice] for choice in ("lowest", "newest"))
    return [lowest[0], newest[-1]]


def prepare(cell: Cell) -> None:
    """Make or bring up to date the cell's environment."""
    path = cell.folder / STAMP
    stamp = read_stamp(path)
    place = f"{'.'.join(map(str, cell.version))} in {cell.folder}"
    if stamp.get("place") != place or not cell.own_python.exists():
        ENVIRONMENTS.mkdir(exist_ok=True)
        make_venv(cell.folder, cell.python)
        stamp = {"place": place}
    wanted = {"place": place, "test": fingerprint("test"), "forced": " ".join(CHOICES[cell.choice])}
    if stamp != wanted:
        install("test", cell.own_python, CHOICES[cell.choice])
        path.write_text(json.dumps(wanted), encoding="utf-8")


def surroundings() -> dict[str, str]:
    """Our environment without what would send a cell's Python elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}


def versions_in(cell: Cell) -> dict[str, str]:
    """What the cell has, which must be what it is named for. SetupError where it is not, or warns when it imports."""
    done = subprocess.run(
        [str(cell.own_python), "-W", "error", "-c", VERSIONS],
        cwd=str(ROOT),
        env=surroundings(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=CELL_SECONDS,
    )
    if done.returncode:
        raise SetupError(f"{cell.name}: the package cannot be imported there:\n{done.stderr}")
    versions: dict[str, str] = json.loads(done.stdout)
    pinned = dict(each.split("==") for each in CHOICES[cell.choice] if "==" in each)
    wanted = {**versions, "Python": ".".join(map(str, cell.version)), **pinned}
    if versions != wanted:
        raise SetupError(f"{cell.name} has {versions}, not {wanted}")
    return versions


def jobs(arguments: list[str]) -> list[list[str]]:
    """Arguments for pytest: those for each part of the suite; or the given ones, as they are."""
    if arguments:
        return [[*arguments, *(f"--ignore-glob=tests/{name}*" for name in LEFT_OUT)]]
    return [[file for file in part if not Path(file).name.startswith(tuple(LEFT_OUT))] for part in parts()]


def run_cell(cell: Cell, arguments: list[str]) -> Outcome:
    """Run the cell's tests; what a job has said is shown where something is wrong."""
    versions = versions_in(cell)
    start = time.monotonic()
    counts: dict[str, int] = {}
    is_green = True
    # The interpreter's own -W reaches what pytest imports before it reads its own filters, and so the package.
    pytest = [str(cell.own_python), "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    with tempfile.TemporaryDirectory(prefix="cdn-sigv4-matrix-") as folder:
        running = []
        try:
            for number, job in enumerate(jobs(arguments)):
                report = Path(folder, f"{number}.xml")
                output = Path(folder, f"{number}.txt").open("w+b")  # noqa: SIM115 - closed below
                process = subprocess.Popen(
                    [*pytest, f"--junitxml={report}", *job],
                    cwd=str(ROOT),
                    env=surroundings(),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                )
                running.append((process, output, report))
            for process, output, report in running:
                process.wait(max(start + CELL_SECONDS - time.monotonic(), 0.0))
                add(counts, report)
                if process.returncode:
                    is_green = False
                    show(output)
        except subprocess.TimeoutExpired:
            is_green = False
            print(f"{cell.name} has taken {CELL_SECONDS:.0f} s, and is ended", flush=True)
        finally:
            for process, output, _ in running:
                stop(process)
                output.close()
    return Outcome(versions, counts, is_green and counts.get("passed", 0) > 0, time.monotonic() - start)


def add(counts: dict[str, int], report: Path) -> None:
    """Add what pytest's report counts; nothing where it came to none."""
    if not report.exists():
        return
    for suite in ET.parse(str(report)).iter("testsuite"):  # noqa: S314 - pytest's, of our own tests
        number = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
        failed = number["failures"] + number["errors"]
        for name, count in (
            ("passed", number["tests"] - failed - number["skipped"]),
            ("failed", failed),
            ("skipped", number["skipped"]),
        ):
            counts[name] = counts.get(name, 0) + count


def line(name: str, outcome: Outcome | None) -> str:
    """A row of the table; without an outcome, of what there could not be set up."""
    if outcome is None:
        return f"{name:<12}  not set up: RED"
    words = [f"{outcome.versions[what]:<8}" for what in ("Python", "requests", "urllib3")]
    words += [f"{outcome.counts.get(what, 0):>6}" for what in ("passed", "failed", "skipped")]
    return "  ".join([f"{name:<12}", *words, f"{outcome.seconds:>6.0f} s", "" if outcome.is_green else "RED"]).rstrip()


HEAD = "cell          Python    requests  urllib3   passed  failed  skipped"


def run(cells: list[Cell], arguments: list[str]) -> int:
    """Run these cells one after the other, then print the table; 1 when one is red."""
    rows = []
    for cell in cells:
        outcome = None
        try:
            prepare(cell)
            outcome = run_cell(cell, arguments)
        except SetupError as error:
            print(f"set-up failed: {error}", flush=True)
        rows.append(line(cell.name, outcome))
        print(rows[-1], flush=True)
    print("", HEAD, *rows, sep="\n", flush=True)
    return int(any(row.endswith("RED") for row in rows))


def chosen(words: list[str], cells: list[Cell]) -> list[Cell]:
    """The cells that the command line asks for. SystemExit with 2 for one that there is not."""
    if words == ["--corners"]:
        for (wanted, what), cell in zip((("3.8", "oldest"), ("", "newest")), corners(cells)):
            if wanted and not cell.name.startswith(f"{wanted}-"):
                print(f"no Python {wanted} is installed: the {what} corner is {cell.name}", flush=True)
        return corners(cells)
    unknown = [word for word in words if word not in {cell.name for cell in cells}]
    if unknown:
        print(f"no such cell here: {', '.join(unknown)}; there are {', '.join(cell.name for cell in cells)}")
        sys.exit(2)
    return [cell for cell in cells if cell.name in words] if words else cells


def main(arguments: list[str], usage: str | None) -> int:
    """`[--list | --corners | CELL...] [-- pytest's arguments]`."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    words, rest = arguments[:cut], arguments[cut + 1 :]
    if {"-h", "--help"} & set(words):
        print(usage)
        return 0
    cells = all_cells(pythons(candidates(os.environ)))
    if words == ["--list"]:
        for cell in cells:
            print(f"{cell.name:<12}  {'.'.join(map(str, cell.version)):<8}  {cell.python}")
        return 0
    try:
        with signals_as_interrupt():
            return run(chosen(words, cells), rest)
    except KeyboardInterrupt as reason:
        print(f"interrupted {reason}", flush=True)
        return 130
