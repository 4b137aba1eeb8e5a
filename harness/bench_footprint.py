"""How many bytes each client takes on the disk, beyond `requests` and what that needs, and how large our wheel is.

Byte code is left out: it is made where it is used. Of the peers all is counted that their installation brings and
`requests` does not; of this package, what is in its wheel.
"""

from __future__ import annotations

import functools
import importlib.metadata
import subprocess
import tempfile
import zipfile
from pathlib import Path
from typing import Sequence

from packaging.requirements import Requirement

from . import footprint
from .bench_jobs import BOTO3, MINIO, OBSTORE, OURS, REQUESTS, Figures, Job, Kind, WrongError

KIB = "KiB"
INSTALLED = Kind("installed", "installed beyond requests, without byte code", KIB, more_is_better=False)
WHEEL = Kind("wheel", "wheel", KIB, more_is_better=False)
KINDS = (INSTALLED, WHEEL)
DISTRIBUTIONS = {BOTO3: "boto3", MINIO: "minio", OBSTORE: "obstore", REQUESTS: "requests-aws4auth"}


def jobs(peers: Sequence[str], wanted: set[str]) -> list[Job]:
    """Those that are wanted. One round is enough: these do not vary."""
    found = []
    if INSTALLED.name in wanted:
        names = [(peer, name) for peer, name in DISTRIBUTIONS.items() if peer in peers]
        found.append(Job(INSTALLED, OURS, lambda: {KIB: our_wheel()[1] / 1024}))
        found += [Job(INSTALLED, peer, functools.partial(installed, name)) for peer, name in names]
    if WHEEL.name in wanted:
        found.append(Job(WHEEL, OURS, lambda: {KIB: our_wheel()[0] / 1024}))
    return found


def installed(distribution: str) -> Figures:
    """What a distribution brings that requests does not."""
    return {KIB: sum(size_of(name) for name in needed(distribution) - needed("requests")) / 1024}


def needed(distribution: str) -> set[str]:
    """The names of a distribution and all that it needs, as they are installed here."""
    found: set[str] = set()
    left = [distribution]
    while left:
        name = left.pop().lower().replace("_", "-")
        if name in found:
            continue
        found.add(name)
        for text in importlib.metadata.requires(name) or []:
            requirement = Requirement(text)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                left.append(requirement.name)
    return found


def size_of(distribution: str) -> int:
    """Bytes of a distribution's files, without byte code."""
    files = importlib.metadata.files(distribution) or []
    paths = [Path(str(each.locate())) for each in files if each.suffix != ".pyc"]
    return sum(path.stat().st_size for path in paths if path.is_file())


@functools.lru_cache(maxsize=1)
def our_wheel() -> tuple[int, int]:
    """Bytes of this package's wheel, and of the files in it."""
    with tempfile.TemporaryDirectory(prefix="cdn-sigv4-wheel-") as folder:
        try:
            path = footprint.build(Path(folder))
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            raise WrongError(f"no wheel: {error}") from None
        with zipfile.ZipFile(path) as archive:
            return path.stat().st_size, sum(each.file_size for each in archive.infolist())
