"""Folders that a download makes, and takes away again; and what is on the disk when: file first, then its folders."""

# Like the module that it tests, this file is about the operating system's own calls.
# ruff: noqa: PTH112, PTH119, PTH120, PTH208

import errno
import gc
import itertools
import os
import stat
import sys
from pathlib import Path

import pytest
from kit_files import content, save

from cdn_sigv4 import files
from cdn_sigv4.files import Replacement

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX files")


def test_folders_are_made_and_stay(tmp_path):
    """The folders above the file are made where they are missing, and stay with it."""
    (tmp_path / "a").mkdir()
    save(tmp_path / "a" / "b" / "c" / "f", make_folders=True)
    assert content(tmp_path) == {"a": None, "a/b": None, "a/b/c": None, "a/b/c/f": b"new"}


def test_folders_are_made_only_when_it_begins(tmp_path):
    """Before the block, while it is still asked for, nothing is made."""
    Replacement(str(tmp_path / "a" / "f"), make_folders=True)
    assert content(tmp_path) == {}


def test_only_folders_that_were_made_are_removed(tmp_path):
    """A folder that was there, empty as it is, stays after a failure."""
    (tmp_path / "a").mkdir()
    with Replacement(str(tmp_path / "a" / "b" / "c" / "f"), make_folders=True):
        assert (tmp_path / "a" / "b" / "c").is_dir()
    assert content(tmp_path) == {"a": None}


@pytest.mark.parametrize(("other", "left"), [("a/g", {"a", "a/g"}), ("a/b/g", {"a", "a/b", "a/b/g"})])
def test_folders_with_another_file_stay(other, left, tmp_path):
    """Where another download has put something meanwhile, the folder and those above it stay."""
    with Replacement(str(tmp_path / "a" / "b" / "f"), make_folders=True):
        (tmp_path / other).write_bytes(b"other")
    assert set(content(tmp_path)) == left


@pytest.mark.parametrize("function", ["mkdir", "open"])
def test_folders_are_removed_when_it_cannot_begin(function, tmp_path, monkeypatch):
    """When the second folder, or the file in it, cannot be made, the first one goes again."""
    original = getattr(os, function)
    calls = itertools.count()

    def fail(*args):
        if function == "open" or next(calls) == 1:
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(*args)

    monkeypatch.setattr(files.os, function, fail)
    with pytest.raises(PermissionError), Replacement(str(tmp_path / "a" / "b" / "f"), make_folders=True):
        pytest.fail("it has begun")
    assert content(tmp_path) == {}


def test_a_folder_that_another_makes_meanwhile_is_not_ours(tmp_path, monkeypatch):
    """When another thread is quicker with mkdir, its folder is used, and stays after a failure."""
    original = os.mkdir

    def quicker(path):
        original(path)
        original(path)

    monkeypatch.setattr(files.os, "mkdir", quicker)
    with Replacement(str(tmp_path / "a" / "f"), make_folders=True):
        pass
    assert content(tmp_path) == {"a": None}


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/fd")


@pytest.fixture
def calls(monkeypatch):
    """The calls of os.fsync, by the path that the descriptor has, and of os.replace, in their order."""
    found = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor):
        found.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def noted_replace(source, target):
        assert Path(source).read_bytes() == b"new", "all bytes have left the buffer"
        found.append(("replace", os.path.realpath(target)))
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", noted_fsync)
    monkeypatch.setattr(files.os, "replace", noted_replace)
    return found


@linux
def test_durable(calls, tmp_path):
    """First the file's bytes are on the disk, then it takes its place, then the folder is."""
    folder = os.path.realpath(str(tmp_path))
    save(tmp_path / "f")
    (first, temporary), *rest = calls
    assert first == "fsync"
    assert os.path.dirname(temporary) == folder
    assert os.path.basename(temporary).startswith(".cdn-")
    assert rest == [("replace", f"{folder}/f"), ("fsync", folder)]


@linux
def test_durable_with_folders_that_are_made(calls, tmp_path):
    """Each folder that was made is on the disk too: every folder above is synced, after the file took its place."""
    folder = os.path.realpath(str(tmp_path))
    save(tmp_path / "a" / "b" / "f", make_folders=True)
    assert [name for name, _ in calls[:2]] == ["fsync", "replace"]
    assert sorted(calls[2:]) == [("fsync", folder), ("fsync", f"{folder}/a"), ("fsync", f"{folder}/a/b")]


@linux
def test_not_durable(calls, tmp_path):
    """Without `durable` nothing waits for the disk."""
    save(tmp_path / "a" / "f", make_folders=True, durable=False)
    assert [name for name, _ in calls] == ["replace"]


@linux
@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EINVAL, errno.EBADF, errno.ENOTSUP])
@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_folder_that_does_not_know_syncing_is_none(call, number, tmp_path, monkeypatch):
    """A folder that may not be read, or a file system without the call, undoes nothing: the file is in place."""
    original = getattr(os, call)

    def fail(what, *rest):
        if os.path.isdir(what):
            raise OSError(number, os.strerror(number))
        return original(what, *rest)

    gc.collect()  # what other tests have left open is not to be closed meanwhile
    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(files.os, call, fail)
        save(tmp_path / "f")
    assert content(tmp_path) == {"f": b"new"}
    assert len(os.listdir("/proc/self/fd")) == before


@linux
def test_a_folder_that_cannot_be_synced_is_an_error(tmp_path, monkeypatch):
    """When the folder does not get onto the disk the caller hears of it; the file is whole, so it stays."""
    fsync = os.fsync

    def fail(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        save(tmp_path / "a" / "f", make_folders=True)
    assert content(tmp_path) == {"a": None, "a/f": b"new"}
    assert len(os.listdir("/proc/self/fd")) == before


def test_on_windows_a_folder_is_not_synced(monkeypatch):
    """Windows cannot open a folder: there NTFS's own journal has to do."""
    monkeypatch.setattr(files.os, "open", lambda *_: pytest.fail("opened"))
    with monkeypatch.context() as patched:
        patched.setattr(files.os, "name", "nt")
        files._sync_folder("anything")
