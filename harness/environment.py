"""Makes `.venv` in the repository's root with what the demo or the test suite needs, `.venv-bench` for the benchmark.

Standard library only, because it runs on a bare Python; a Python which is too old must be able to read it too, in
order to say so. Run again it costs a few milliseconds: a stamp inside the environment holds a hash of everything the
installation depends on. `enter` runs the calling script again with the environment's Python.
"""

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Dict, Iterable, List

ROOT = Path(__file__).resolve().parent.parent
STAMP = "cdn-sigv4-stamp.json"

REQUIREMENTS = {
    "demo": ROOT / "harness" / "requirements-demo.txt",
    "test": ROOT / "requirements-dev.txt",
    "bench": ROOT / "harness" / "requirements-bench.txt",
}
# The sets of each environment; a later one contains the earlier ones. The benchmark's own keeps other clients, which
# are as new as they come, away from what the tests are run with.
ENVIRONMENTS = {".venv": ["demo", "test"], ".venv-bench": ["bench"]}
LOWEST_PYTHON = (3, 8)
PIP_LINES_SHOWN = 15


class SetupError(Exception):
    """The environment cannot be made; the text says what to do."""


def enter(what: str) -> None:
    """Return inside the environment of `what` only: outside of it, make it and run the script again with its Python."""
    if Path(sys.prefix).resolve() == folder_of(what):
        return
    try:
        ensure(what)
    except SetupError as error:
        sys.exit(f"set-up failed: {error}")
    sys.stdout.flush()
    python = str(python_of(what))
    os.execv(python, [python, *sys.argv])


def ensure(what: str) -> None:
    """Make or bring up to date the environment with the project and the requirements named `what`."""
    check_python()
    path = folder_of(what) / STAMP
    stamp = read_stamp(path)
    if stamp.get("place") != place() or not python_of(what).exists():
        make_venv(folder_of(what), sys.executable)
        stamp = {"place": place()}
    sets = sets_beside(what)
    if any(stamp.get(name) == fingerprint(name) for name in sets[sets.index(what) :]):
        return
    install(what, python_of(what))
    stamp[what] = fingerprint(what)
    path.write_text(json.dumps(stamp), encoding="utf-8")


def sets_beside(what: str) -> List[str]:
    """The sets of the environment that `what` belongs to, in their order."""
    return next(sets for sets in ENVIRONMENTS.values() if what in sets)


def folder_of(what: str) -> Path:
    """Where that environment lies."""
    return ROOT / next(name for name, sets in ENVIRONMENTS.items() if what in sets)


def python_of(what: str) -> Path:
    """Its Python."""
    return folder_of(what) / "bin" / "python"


def check_python() -> None:
    """Refuse a Python which is too old, or which Debian has split."""
    if sys.version_info < LOWEST_PYTHON:
        raise SetupError(f"this is Python {sys.version.split()[0]}; run it with Python 3.8 or newer")
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        raise SetupError(
            f"this Python lacks {' and '.join(missing)}; on Debian and Ubuntu: apt-get install python3-venv"
        )


def place() -> str:
    """What an environment cannot survive a change of: the Python it was made with, and the folder it lies in."""
    return f"{sys.implementation.name} {sys.version.split()[0]} in {ROOT}"


def fingerprint(what: str) -> str:
    """Hash of the files which say what gets installed."""
    digest = hashlib.sha256()
    sets = sets_beside(what)
    for path in [ROOT / "pyproject.toml", *(REQUIREMENTS[name] for name in sets[: sets.index(what) + 1])]:
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


def read_stamp(path: Path) -> Dict[str, str]:
    """Return what was installed by an earlier run; empty when that is not known."""
    try:
        stamp = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def make_venv(folder: Path, python: str) -> None:
    """Make a new environment with this Python, instead of one that no longer fits."""
    print(f"set-up: making {folder.relative_to(ROOT)} with {python}", flush=True)
    if folder.exists() and any(folder.iterdir()):
        if not (folder / "pyvenv.cfg").exists():
            raise SetupError(f"{folder} is no virtual environment; move it away")
        shutil.rmtree(folder)
    run([python, "-m", "venv", str(folder)], f"making {folder.name}")


def install(what: str, python: Path, forced: Iterable[str] = ()) -> None:
    """Install the project (editable) and the requirements; then what is `forced`, whatever the others demand."""
    print(f"set-up: installing the project and {REQUIREMENTS[what].name}", flush=True)
    start = time.monotonic()
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # An editable install from pyproject.toml needs pip 21.3; Ubuntu 20.04 and Debian 11 bring an older one.
    run([*pip, "pip>=21.3"], "pip")
    run([*pip, "--editable", str(ROOT), "--requirement", str(REQUIREMENTS[what])], "pip")
    if forced:
        run([*pip, "--upgrade", "--no-deps", *forced], "pip")
    print(f"set-up: done in {time.monotonic() - start:.0f} s", flush=True)


def run(command: List[str], what: str) -> None:
    """Run a command silently; its last lines are shown when it fails."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        encoding="utf-8",
        errors="replace",
    )
    if done.returncode:
        tail = "\n  ".join(done.stdout.splitlines()[-PIP_LINES_SHOWN:])
        raise SetupError(
            f"{what} ended with {done.returncode}; is the package registry within reach? It said:\n  {tail}"
        )


def main() -> None:
    """`python3 harness/environment.py demo|test|bench`: only make the environment."""
    asked = sys.argv[1:]
    if len(asked) != 1 or asked[0] not in REQUIREMENTS:
        sys.exit(f"usage: environment.py {'|'.join(REQUIREMENTS)}")
    try:
        ensure(asked[0])
    except SetupError as error:
        sys.exit(f"set-up failed: {error}")


if __name__ == "__main__":
    main()
