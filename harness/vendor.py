"""Copies the package under a name of the reader's own, stamped with what it is a copy of, whole or not at all.

Standard library only: the copy is made by a bare Python. The same commit gives the same bytes. The stamp is a file that
`sha256sum --check` reads, so that an edited copy is known for one, by us and by anybody. harness/vendor_pyz.py makes
the one file.
"""

from __future__ import annotations

import argparse
import hashlib
import keyword
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from . import footprint
from .environment import ROOT
from .footprint import PACKAGE, Files
from .processes import told

STAMP = "VENDORED"
SECONDS = 60.0  # for git, and for a fresh interpreter

STAMP_TEXT = """\
# cdn_sigv4 {version}{commit}
# A copy, made by scripts/vendor of that repository, which also updates it: then this folder is replaced whole.
# Whether it has been edited since: sha256sum --check VENDORED
"""
# In a fresh interpreter, without site-packages: the copy imports nothing but itself and Python, and signs the presigned
# URL of https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html as that page does.
CHECK = """
import importlib, sys
place, name = sys.argv[1:]
sys.path.insert(0, place)
package, sigv4 = importlib.import_module(name), importlib.import_module(name + ".sigv4")
credentials = package.Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
scope, headers = sigv4.Scope("20130524T000000Z", "us-east-1", "s3"), [("Host", "examplebucket.s3.amazonaws.com")]
query = sigv4.sign_query(
    credentials, scope, "GET", "/test.txt", [], headers, sigv4.UNSIGNED_PAYLOAD, expires_in=86_400
)
if not query.endswith("=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"):
    sys.exit("its signature is not that of AWS's example")
strangers = [module for module in sys.modules if module.partition(".")[0] == "cdn_sigv4" != name]
if strangers:
    sys.exit("it imports " + ", ".join(strangers))
"""


class VendorError(Exception):
    """Nothing was copied; the text says why."""


def options(arguments: list[str], text: str | None) -> argparse.Namespace:
    """What was asked for on the command line; ends the program where that makes no sense."""
    parser = argparse.ArgumentParser(
        prog="scripts/vendor", description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dir", metavar="DIR", nargs="?", help="the folder to copy into, which exists")
    parser.add_argument("--name", default=PACKAGE.name, help="what the copy is to be called (%(default)s)")
    parser.add_argument("--pyz", metavar="FILE", help="make this file instead")
    parser.add_argument("--force", action="store_true", help="replace what is no copy of ours, or has been edited")
    found = parser.parse_args(arguments)
    if (found.dir is None) == (found.pyz is None):
        parser.error("give DIR, or --pyz FILE")
    return found


def main(asked: argparse.Namespace) -> int:
    """Make the copy, or the one file, and say what it is. The program's exit code."""
    try:
        if asked.pyz is None:
            lines = vendor(Path(asked.dir), asked.name, force=asked.force)
        else:
            from . import vendor_pyz

            lines = vendor_pyz.make(Path(asked.pyz), force=asked.force)
    except (VendorError, OSError, subprocess.SubprocessError) as error:
        print(f"scripts/vendor: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


def vendor(folder: Path, name: str, *, force: bool = False) -> list[str]:
    """Copy the package to `folder`/`name`; what there is to say of it. VendorError where that may not be."""
    if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name):
        raise VendorError(f"{name!r} cannot be imported: a name has letters, digits and _, and is no keyword")
    if not folder.is_dir():
        raise VendorError(f"there is no folder {folder}: make it first")
    target = folder.resolve() / name
    before = found_at(target, force=force)
    files = stamped()
    put(files, target)
    return [
        f"{folder / name}: {first_line(files[STAMP])}, {len(files)} files, {sum(map(len, files.values())):,} bytes",
        *([f"in place of {before}"] if before else []),
        f"checked: it imports as {name} in a bare Python, and signs AWS's example as AWS does",
    ]


def stamped() -> Files:
    """The copy's files by their names in it: the package, its licence, and the stamp."""
    files = {Path(name).relative_to(PACKAGE.name).as_posix(): data for name, data in footprint.package_files().items()}
    files["LICENSE"] = (ROOT / "LICENSE").read_bytes()
    sums = "".join(f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    text = STAMP_TEXT.format(version=version(files["__init__.py"]), commit=commit()) + sums
    return {**files, STAMP: text.encode()}


def version(init: bytes) -> str:
    """The version that stands in the package's `__init__.py`."""
    found = re.search(rb'^__version__ = "(.+)"$', init, re.MULTILINE)
    if found is None:
        raise VendorError("no __version__ in cdn_sigv4/__init__.py")
    return found[1].decode()


def commit() -> str:
    """What is copied beyond the version: git's name of it. Empty where this is no checkout, or git does not say."""
    if not (ROOT / ".git").exists():  # a source distribution; a repository around it is another one
        return ""
    head = git("log", "-1", "--date=short", "--format=%H of %cd")
    if not head:
        return ""
    edits = git("status", "--porcelain", "--", PACKAGE.name, "LICENSE")
    return f", commit {head}{', with changes that are not in it' if edits or edits is None else ''}"


def git(*arguments: str) -> str | None:
    """What git prints about this repository; None where it fails."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}  # set in a hook
    try:
        done = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(ROOT), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            encoding="utf-8",
            env=environ,
            timeout=SECONDS,
        )
    except OSError:
        return None
    return None if done.returncode else done.stdout.strip()


def found_at(target: Path, *, force: bool) -> str:
    """What the copy that is already there says of itself, empty without one. VendorError where it must stay."""
    if target == PACKAGE or target in PACKAGE.parents or PACKAGE in target.parents:
        raise VendorError(f"{target} is, or holds, what is to be copied")
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise VendorError(f"{target} is no folder")
    if not target.exists() or not any(target.iterdir()):
        return ""
    try:
        stamp = (target / STAMP).read_bytes()
    except OSError:
        stamp = b""
    if not stamp.startswith(b"# cdn_sigv4 "):
        if force:
            return "what was there"
        raise VendorError(f"{target} is there, and no copy of ours (it has no {STAMP} that says so)")
    edited = edits(target, stamp)
    if edited and not force:
        raise VendorError(f"{target} has been edited: {', '.join(edited)}. --force replaces it all the same")
    return first_line(stamp)


def edits(target: Path, stamp: bytes) -> list[str]:
    """The files of a copy that are not as its stamp says: changed, missing, or added. Byte code does not count."""
    lines = re.findall(r"^([0-9a-f]{64})  (.+)$", stamp.decode("utf-8", "replace"), re.MULTILINE)
    noted = {name: value for value, name in lines}
    paths = [path for path in target.rglob("*") if "__pycache__" not in path.parts]
    files = [path for path in paths if path.is_symlink() or not path.is_dir()]
    there = {path.relative_to(target).as_posix(): digest(path) for path in files}
    there.pop(STAMP, None)
    return sorted(name for name in {*noted, *there} if noted.get(name) != there.get(name))


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits; of a link there is none, as nothing that we made is one."""
    return "a link" if path.is_symlink() else hashlib.sha256(path.read_bytes()).hexdigest()


def first_line(stamp: bytes) -> str:
    """What a stamp is of."""
    return stamp.decode("utf-8", "replace").partition("\n")[0].lstrip("# ")


def put(files: Files, target: Path) -> None:
    """Put the files where the target is to be, once they have been checked elsewhere; what was there goes."""
    with tempfile.TemporaryDirectory(prefix=".vendor-", dir=str(target.parent)) as folder:
        made, before = Path(folder, target.name), Path(folder, "in its place")  # no name that can be imported
        for name, data in files.items():
            path = made / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        check(made.parent, made.name)
        if target.exists():
            target.rename(before)
        try:
            made.rename(target)
        except BaseException:
            if before.exists():
                before.rename(target)
            raise


def check(place: Path, name: str) -> None:
    """VendorError unless what `place`, a folder or an archive, holds under that name can be imported, and signs."""
    fresh("-c", CHECK, str(place), name)


def fresh(*arguments: str) -> str:
    """What a Python prints that knows nothing but the standard library; VendorError with its last line."""
    done = told([sys.executable, "-I", "-S", "-B", "-W", "error", *arguments], SECONDS)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"it ended with {done.returncode}"])[-1]
        raise VendorError(f"the copy does not work, and was not put there: {last}")
    return done.stdout
