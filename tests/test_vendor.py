"""scripts/vendor: what it copies, what the copy's stamp says, and what it leaves alone.

The one file is test_vendor_pyz.py's; that all of these do the demo's job on a store, test_vendor_demo.py's.
"""

import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import cdn_sigv4
from harness import footprint, processes, vendor
from harness.environment import ROOT
from harness.vendor import STAMP, VendorError

COMMIT = ", commit 0123456789abcdef0123456789abcdef01234567 of 2026-11-25"


@pytest.fixture(autouse=True)
def _commit(monkeypatch):
    """Let these tests' copies be of one commit, whatever the checkout is at."""
    monkeypatch.setattr(vendor, "commit", lambda: COMMIT)


@pytest.fixture
def copied(tmp_path):
    """A copy under the name `s3`."""
    vendor.vendor(tmp_path, "s3")
    return tmp_path / "s3"


def contents(folder):
    """All files below a folder, and their bytes."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_program(tmp_path):
    """The program needs nothing but Python: no environment, no site-packages, nothing on the PATH."""
    command = [sys.executable, "-I", "-S", str(ROOT / "scripts" / "vendor"), str(tmp_path), "--name", "s3"]
    done = subprocess.run(command, env={}, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    first, last = done.stdout.splitlines()
    assert first.startswith(f"{tmp_path / 's3'}: cdn_sigv4 {cdn_sigv4.__version__}")
    assert last == "checked: it imports as s3 in a bare Python, and signs AWS's example as AWS does"
    assert set(contents(tmp_path / "s3")) > {"__init__.py", "py.typed", "LICENSE", STAMP}


@pytest.mark.parametrize("arguments", [[], ["there", "--pyz", "file"], ["there", "--nome", "s3"]])
def test_wrong_use(arguments, capsys):
    """Neither a folder nor a file, both, or an unknown option: the usage, and exit code 2."""
    with pytest.raises(SystemExit) as caught:
        vendor.options(arguments, "")
    assert caught.value.code == 2
    assert "usage: scripts/vendor" in capsys.readouterr().err


def test_copy_is_exact(copied):
    """The copy has the package's files and no others, but for its licence and the stamp; no byte code."""
    found = contents(copied)
    assert found.pop("LICENSE") == (ROOT / "LICENSE").read_bytes()
    assert found.pop(STAMP)
    assert {f"cdn_sigv4/{name}": data for name, data in found.items()} == footprint.package_files()


def test_nothing_else_is_left(copied):
    """Beside the copy lies nothing."""
    assert [path.name for path in copied.parent.iterdir()] == ["s3"]


def test_copy_is_readable_by_others(copied):
    """The copy has the rights of what the user makes, not those of a temporary folder."""
    (copied.parent / "other").mkdir()
    assert copied.stat().st_mode == (copied.parent / "other").stat().st_mode
    assert stat.S_IMODE((copied / "__init__.py").stat().st_mode) & 0o444 == 0o444 & ~current_umask()


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_same_commit_same_bytes(copied, tmp_path):
    """Two copies of one commit are the same, whatever they are called and whenever they were made."""
    vendor.vendor(tmp_path, "another_name")
    assert contents(tmp_path / "another_name") == contents(copied)


def test_stamp(copied):
    """The stamp names version and commit, and `sha256sum` can check the copy with it."""
    text = (copied / STAMP).read_text(encoding="utf-8")
    assert text.startswith(f"# cdn_sigv4 {cdn_sigv4.__version__}{COMMIT}\n# A copy, made by scripts/vendor")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    files = contents(copied)
    del files[STAMP]
    assert lines == [f"{hashlib.sha256(data).hexdigest()}  {name}" for name, data in sorted(files.items())]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="no sha256sum here")
def test_stamp_is_checked_by_others(copied):
    """The command that the stamp names says whether the copy has been edited."""
    command = re.search(r"since: (.+)", (copied / STAMP).read_text(encoding="utf-8"))[1].split()
    assert subprocess.run(command, cwd=str(copied), capture_output=True, check=False, timeout=60).returncode == 0
    (copied / "retry.py").write_bytes(b"")
    done = subprocess.run(command, cwd=str(copied), capture_output=True, check=False, text=True, timeout=60)
    assert "retry.py: FAILED" in done.stdout
    assert done.returncode == 1


@pytest.mark.parametrize("name", ["", "a-b", "a.b", "../s3", "/s3", "1a", "class", "ü", "a b"])
def test_names_that_cannot_be_imported(name, tmp_path):
    """A name which no import statement takes is refused, and nothing is made."""
    with pytest.raises(VendorError, match="cannot be imported"):
        vendor.vendor(tmp_path, name)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_is_not_there(tmp_path):
    """The folder to copy into is not made: a mistyped one would be."""
    with pytest.raises(VendorError, match=r"no folder .*/nowhere: make it first"):
        vendor.vendor(tmp_path / "nowhere", "s3")


def test_update(copied, monkeypatch):
    """A copy that is as it was made is replaced whole: what the new version no longer has is gone, and byte code."""
    (copied / "__pycache__").mkdir()
    (copied / "__pycache__" / "retry.pyc").write_bytes(b"x")
    files = footprint.package_files()
    fewer = {name: data for name, data in files.items() if name != "cdn_sigv4/listing.py"}
    monkeypatch.setattr(footprint, "package_files", lambda: fewer)
    lines = vendor.vendor(copied.parent, "s3")
    assert lines[1] == f"in place of cdn_sigv4 {cdn_sigv4.__version__}{COMMIT}"
    assert not (copied / "listing.py").exists()
    assert not (copied / "__pycache__").exists()
    assert [path.name for path in copied.parent.iterdir()] == ["s3"]


def edit(path):
    path.write_bytes(path.read_bytes() + b"# edited\n")


EDITS = {
    "retry.py": edit,
    "s3.py": Path.unlink,
    "added.py": Path.touch,
    "LICENSE": Path.unlink,
    "deeper/added.py": lambda path: path.parent.mkdir() or path.touch(),
    "link": lambda path: path.symlink_to("."),
}


@pytest.mark.parametrize(("name", "change"), EDITS.items(), ids=EDITS)
def test_edited_copy(name, change, copied):
    """A file that was changed, removed or added is named, and the copy stays as it is; --force replaces it."""
    pristine = contents(copied)
    change(copied / name)
    before = contents(copied)
    with pytest.raises(VendorError, match=rf"has been edited: {re.escape(name)}\. --force"):
        vendor.vendor(copied.parent, "s3")
    assert contents(copied) == before
    vendor.vendor(copied.parent, "s3", force=True)
    assert contents(copied) == pristine


def test_folder_of_somebody_else(tmp_path):
    """A folder that is no copy of ours is left alone; with --force it goes. An empty one is taken."""
    (tmp_path / "s3").mkdir()
    (tmp_path / "s3" / "theirs.py").write_bytes(b"1")
    with pytest.raises(VendorError, match="no copy of ours"):
        vendor.vendor(tmp_path, "s3")
    assert list(contents(tmp_path / "s3")) == ["theirs.py"]
    vendor.vendor(tmp_path, "s3", force=True)
    assert "theirs.py" not in contents(tmp_path / "s3")
    (tmp_path / "empty").mkdir()
    vendor.vendor(tmp_path, "empty")


@pytest.mark.parametrize("make", [Path.touch, lambda path: path.symlink_to(".")], ids=["file", "link"])
def test_no_folder(make, tmp_path):
    """A file, or a link, in the copy's place is not replaced, --force or not."""
    make(tmp_path / "s3")
    with pytest.raises(VendorError, match="is no folder"):
        vendor.vendor(tmp_path, "s3", force=True)


@pytest.mark.parametrize(
    ("folder", "name"), [(ROOT, "cdn_sigv4"), (ROOT.parent, ROOT.name), (ROOT / "cdn_sigv4", "s3")]
)
def test_never_itself(folder, name, monkeypatch):
    """Not even by force does the package, or what holds it, become a copy of itself; nor does it hold one."""
    monkeypatch.setattr(vendor, "put", lambda *_: pytest.fail("it would"))
    with pytest.raises(VendorError, match="is, or holds, what is to be copied"):
        vendor.vendor(folder, name, force=True)


BROKEN = {
    "does not import": ("__init__.py", b"from .nowhere import nothing", "nowhere"),
    "signs in another way": ("sigv4.py", b"/aws4_request", "its signature is not that of AWS's example"),
    "names the package": ("__init__.py", b"import json as cdn_sigv4", "it imports cdn_sigv4"),
}


@pytest.mark.parametrize(("file", "code", "reason"), BROKEN.values(), ids=BROKEN)
def test_copy_that_does_not_work(file, code, reason, copied, monkeypatch):
    """A copy that cannot be imported, signs otherwise, or needs the original, takes no good one's place."""
    before = contents(copied)
    files = footprint.package_files()
    text = files[f"cdn_sigv4/{file}"]
    if file == "sigv4.py":
        files["cdn_sigv4/sigv4.py"] = text.replace(code, b"/aws5_request")
    elif code.startswith(b"import json"):
        files["cdn_sigv4/__init__.py"] = text + b"\nimport json, sys\nsys.modules['cdn_sigv4'] = json\n"
    else:
        files["cdn_sigv4/__init__.py"] = text + b"\n" + code + b"\n"
    monkeypatch.setattr(footprint, "package_files", lambda: files)
    with pytest.raises(VendorError, match=rf"was not put there: .*{reason}"):
        vendor.vendor(copied.parent, "s3")
    assert contents(copied) == before
    assert [path.name for path in copied.parent.iterdir()] == ["s3"]


def test_interrupted_in_the_middle(copied, monkeypatch):
    """When the new copy cannot take the old one's place the old one is back, and nothing else is left."""
    before = contents(copied)
    real = Path.rename

    def rename(path, target):
        if Path(target) == copied and path.parent.name.startswith(".vendor-") and path.name == "s3":
            raise KeyboardInterrupt
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(KeyboardInterrupt):
        vendor.vendor(copied.parent, "s3")
    assert contents(copied) == before
    assert [path.name for path in copied.parent.iterdir()] == ["s3"]


def test_refusal_is_one_line(tmp_path, capsys):
    """What is refused ends with exit code 1 and one line."""
    assert vendor.main(vendor.options([str(tmp_path), "--name", "a-b"], "")) == 1
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("\n")) == ("", 1)
    assert shown.err.startswith("scripts/vendor: 'a-b' cannot be imported")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository of the test's own, with one commit; what runs git in it."""
    if shutil.which("git") is None:
        pytest.skip("no git here")
    monkeypatch.undo()
    root = tmp_path / "checkout"
    (root / "cdn_sigv4").mkdir(parents=True)
    for name in ("LICENSE", "README.md", "cdn_sigv4/retry.py"):
        (root / name).write_bytes(b"1\n")
    user = ["-c", "user.name=n", "-c", "user.email=e", "-c", "commit.gpgsign=false"]
    environ = {**processes.bare_environment(), "HOME": os.environ["HOME"]}
    environ["GIT_COMMITTER_DATE"] = "2026-11-25T01:02:03+0000"

    def git(*arguments):
        subprocess.run(
            ["git", *user, *arguments], cwd=str(root), env=environ, check=True, capture_output=True, timeout=60
        )

    for arguments in (["init"], ["add", "."], ["commit", "--message", "m"]):
        git(*arguments)
    monkeypatch.setattr(vendor, "ROOT", root)
    return root


def test_commit(checkout):
    """The commit is named with its own date."""
    assert re.fullmatch(r", commit [0-9a-f]{40} of 2026-11-25", vendor.commit())


@pytest.mark.parametrize("name", ["LICENSE", "cdn_sigv4/retry.py", "cdn_sigv4/added.py"])
def test_commit_with_changes(name, checkout):
    """Where what is copied is not what was committed the stamp says so."""
    edit(checkout / name) if (checkout / name).exists() else (checkout / name).touch()
    assert vendor.commit().endswith(" of 2026-11-25, with changes that are not in it")


def test_commit_with_changes_elsewhere(checkout):
    """What is not copied may have any changes."""
    edit(checkout / "README.md")
    assert vendor.commit().endswith(" of 2026-11-25")


def test_commit_ignores_the_surroundings(checkout, monkeypatch, tmp_path):
    """Variables that git sets where it runs a hook do not lead to another repository."""
    expected = vendor.commit()
    monkeypatch.setenv("GIT_DIR", str(tmp_path))
    assert vendor.commit() == expected != ""


def test_no_checkout(checkout, monkeypatch):
    """A source distribution has no commit, also where a repository of somebody else's lies around it."""
    monkeypatch.setattr(vendor, "ROOT", checkout / "cdn_sigv4")
    assert vendor.commit() == ""


def test_no_git(checkout, monkeypatch):
    """Without git the version has to do."""
    monkeypatch.setenv("PATH", "")
    assert vendor.commit() == ""
