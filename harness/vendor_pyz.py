"""Builds the command line as one file (PEP 441), with `requests` and all that it needs inside.

Any Python from 3.8 on runs it, with nothing installed: what is inside is pure Python, pinned by hash, and as old as 3.8
wants it. The same commit, built with the same zlib, gives the same bytes. zipapp of the standard library is not used,
because it writes the time of day into the archive.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import tempfile
import zipfile
from pathlib import Path

from .environment import ROOT
from .footprint import PACKAGE, Files
from .processes import told
from .vendor import SECONDS, STAMP, VendorError, check, first_line, fresh, stamped

REQUIREMENTS = ROOT / "harness" / "requirements-pyz.txt"
INSTALL_SECONDS = 3 * SECONDS
SHEBANG = b"#!/usr/bin/env python3\n"
TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file knows
# Any Python can read this, also one that cannot read what is imported.
ENTRY = b"""\
import sys

if sys.version_info < (3, 8):
    sys.exit("this needs Python 3.8 or newer, and is run by Python " + sys.version.split()[0])

from cdn_sigv4.cli import main

if __name__ == "__main__":
    sys.exit(main())
"""
# Of what an installation leaves beside the packages only these go in: the licences, for those who get the file, and
# METADATA, for those who look in it for versions with known holes.
KEPT_METADATA = ("METADATA", "LICENSE", "LICENCE", "NOTICE", "COPYING", "AUTHORS")


def make(target: Path, *, force: bool = False) -> list[str]:
    """Make the file, or replace it whole; what there is to say of it. VendorError where that may not be."""
    may_replace(target, force=force)
    ours = stamped()
    data = archive({**libraries(), **{f"{PACKAGE.name}/{name}": part for name, part in ours.items()}})
    handle, temporary = tempfile.mkstemp(prefix=".vendor-", dir=str(target.parent))
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        check(Path(temporary), PACKAGE.name)
        fresh(temporary, "--version")
        os.chmod(temporary, 0o755)  # noqa: S103, PTH101 - a program, for everybody to run
        os.replace(temporary, target)  # noqa: PTH105
    finally:
        if Path(temporary).exists():
            Path(temporary).unlink()
    return [
        f"{target}: {first_line(ours[STAMP])}, with {', '.join(pins())}",
        f"{len(data):,} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}",
        "checked: a bare Python runs it, and it signs AWS's example as AWS does",
    ]


def may_replace(target: Path, *, force: bool) -> None:
    """VendorError where something else than such a file is there."""
    if target.is_dir() or not target.parent.is_dir():
        raise VendorError(f"{target} is a folder" if target.is_dir() else f"there is no folder {target.parent}")
    if not target.exists() or force:
        return
    try:
        with zipfile.ZipFile(target) as there:
            there.getinfo(f"{PACKAGE.name}/{STAMP}")
    except (zipfile.BadZipFile, KeyError):
        raise VendorError(f"{target} is there, and was not made by this. --force replaces it all the same") from None


def pins() -> list[str]:
    """The libraries that go in, with their versions."""
    lines = REQUIREMENTS.read_text(encoding="utf-8").splitlines()
    return [line.split()[0].replace("==", " ") for line in lines if line and not line.startswith("#")]


def libraries() -> Files:
    """`requests` and what it needs, by their names in the archive."""
    with tempfile.TemporaryDirectory(prefix="cdn-sigv4-pyz-") as folder:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-compile", "--require-hashes", "--only-binary=:all:", "--target", folder]
        command += ["--platform", "any", "--python-version", "3.8", "--implementation", "py", "--abi", "none"]
        done = told([*command, "--requirement", str(REQUIREMENTS)], INSTALL_SECONDS)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["it gave no reason"])[-1]
            raise VendorError(f"pip cannot fetch what goes into the file; is the package registry within reach? {last}")
        paths = sorted(path for path in Path(folder).rglob("*") if path.is_file())
        return {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in paths
            if belongs(path.relative_to(folder))
        }


def belongs(path: Path) -> bool:
    """Whether a file that was installed goes into the archive."""
    if path.parts[0].endswith(".dist-info"):
        return path.name.startswith(KEPT_METADATA)
    return path.parts[0] != "bin" and "__pycache__" not in path.parts


def archive(files: Files) -> bytes:
    """The program: sorted, compressed, and of no particular time."""
    target = io.BytesIO()
    target.write(SHEBANG)
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED, compresslevel=9) as made:
        for name, data in sorted({**files, "__main__.py": ENTRY}.items()):
            entry = zipfile.ZipInfo(name, TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, also where it is built on another system
            entry.external_attr = 0o644 << 16
            made.writestr(entry, data, compresslevel=9)
    return target.getvalue()
