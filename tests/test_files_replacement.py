"""A file appears whole or not at all: beside the old one until commit, in its place in one step, or gone.

Traps: the temporary file in the target's own folder, with a short name of its own, nothing left behind on failure (39).
Folders that are made, and what reaches the disk when, are in test_files_folders.py.
"""

# Like the module that it tests, this file is about the operating system's own calls; and what fails is a whole block.
# ruff: noqa: PTH108, PTH114, PTH119, PT012

import errno
import os
import stat
import threading
from pathlib import Path

import pytest
from kit_files import content, raiser, save

from cdn_sigv4 import files
from cdn_sigv4.files import Replacement, check_target, confined_path

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX files")


@posix
@pytest.mark.parametrize("dangling", [False, True], ids=["to a file", "to nowhere"])
def test_a_link_at_the_target_is_replaced_and_not_followed(dangling, tmp_path):
    """The target itself may be a link: it becomes the file, and what it pointed to stays as it was."""
    victim = tmp_path / "victim"
    if not dangling:
        victim.write_bytes(b"old")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "k").symlink_to(victim)
    path = confined_path(str(tmp_path / "f"), "k")
    save(path)
    assert not os.path.islink(path)
    assert Path(path).read_bytes() == b"new"
    assert (victim.read_bytes() == b"old") if not dangling else not victim.exists()


@posix
@pytest.mark.parametrize(
    ("make", "number"),
    [
        pytest.param(Path.mkdir, errno.EISDIR, id="directory"),
        pytest.param(lambda path: path.symlink_to(path.parent), errno.EISDIR, id="link to a directory"),
        pytest.param(lambda path: os.mkfifo(str(path)), errno.EINVAL, id="pipe"),
        pytest.param(lambda path: path.symlink_to("/dev/null"), errno.EINVAL, id="device"),
    ],
)
def test_what_is_no_file_is_never_replaced(make, number, tmp_path):
    """A directory, device or pipe is refused at once, and again at commit if it came meanwhile."""
    path = tmp_path / "target"
    replacement = Replacement(str(path))
    make(path)
    before = os.lstat(str(path))
    for attempt in (lambda: check_target(str(path)), lambda: Replacement(str(path))):
        with pytest.raises(OSError, match="target") as caught:
            attempt()
        assert (caught.value.errno, caught.value.filename or str(path)) == (number, str(path))
    with pytest.raises(OSError, match="target"), replacement:
        replacement.commit()
    assert os.lstat(str(path)).st_ino == before.st_ino
    assert list(content(tmp_path)) == ["target"]


def test_a_link_to_what_a_process_has_open(tmp_path):
    """/dev/stdout may lead to a file, and is none: replaced, it would be gone for the whole system."""
    target = tmp_path / "stdout"
    with (tmp_path / "log").open("wb") as log:
        target.symlink_to(f"/proc/self/fd/{log.fileno()}")
        for path in (target, f"/proc/self/fd/{log.fileno()}", f"/dev/fd/{log.fileno()}"):
            with pytest.raises(OSError, match="not a regular file"):
                check_target(str(path))
    target.unlink()
    target.symlink_to("log")
    assert check_target(str(target)) is not None


def test_a_missing_folder_is_refused_at_once(tmp_path):
    """Before anything is sent it is known that there is nowhere to save into."""
    with pytest.raises(FileNotFoundError, match="folder to save into does not exist") as caught:
        Replacement(str(tmp_path / "no" / "file"))
    assert caught.value.filename == str(tmp_path / "no")


def test_a_file_in_the_way_is_the_systems_error(tmp_path):
    """Below a file there is no folder, made or not."""
    (tmp_path / "file").write_bytes(b"old")
    for make_folders in (False, True):
        with pytest.raises(OSError, match=r".+"):
            save(tmp_path / "file" / "a" / "b", make_folders=make_folders)
    assert content(tmp_path) == {"file": b"old"}


@posix
def test_a_dangling_link_in_the_way_is_the_systems_error(tmp_path):
    """A folder that is a link to nowhere is neither made nor followed."""
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "link" / "a", make_folders=True)
    assert not (tmp_path / "nowhere").exists()
    assert (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("old", [None, b"", b"old"], ids=["new", "empty", "there"])
@pytest.mark.parametrize("data", [b"", bytes(100_000)], ids=["nothing", "much"])
def test_a_file_is_saved(old, data, tmp_path):
    """After commit the file is there with all its bytes, and nothing else is."""
    if old is not None:
        (tmp_path / "f").write_bytes(old)
    save(tmp_path / "f", data)
    assert content(tmp_path) == {"f": data}


def test_until_commit_the_old_file_is_there(tmp_path):
    """While it is written the target is the old file, and what is written stands beside it under a short name."""
    (tmp_path / "f").write_bytes(b"old")
    replacement = Replacement(str(tmp_path / "f"))
    with replacement as file:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "f").read_bytes() == b"old"
        (temporary,) = set(content(tmp_path)) - {"f"}
        assert temporary == os.path.basename(file.name)
        assert temporary.startswith(".cdn-")
        assert len(temporary) < 32
        replacement.commit()
        assert content(tmp_path) == {"f": b"new"}, "visible with commit, not with the end of the block"


def test_a_relative_name_is_below_the_current_folder(tmp_path, monkeypatch):
    """A name without a folder is saved here, and the folder is synced like any other."""
    monkeypatch.chdir(tmp_path)
    save("f")
    save("./g")
    save("a/b/h", make_folders=True)
    assert content(tmp_path) == {"f": b"new", "g": b"new", "a": None, "a/b": None, "a/b/h": b"new"}


@posix
def test_a_name_of_255_bytes(tmp_path):
    """The longest name that a file system takes can be saved: the temporary name is not made from it."""
    name = "é" * 127 + "x"
    save(tmp_path / name)
    assert content(tmp_path) == {name: b"new"}


@posix
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o444, 0o400, 0o666, 0o4755])
def test_permissions_of_an_existing_file_are_kept(mode, tmp_path):
    """The new file has the old one's permissions (never set-user-id), whatever the umask."""
    path = tmp_path / "f"
    path.write_bytes(b"old")
    path.chmod(mode)
    save(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode & 0o777


@posix
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o000, 0o666), (0o027, 0o640)])
def test_a_new_file_obeys_the_umask(umask, mode, tmp_path):
    """A new file has the permissions that `open` would give it."""
    before = os.umask(umask)
    try:
        save(tmp_path / "f")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == mode


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400])
def test_a_private_files_successor_is_private_from_its_first_byte(mode, tmp_path):
    """While it is written, nobody else may read what takes a private file's place."""
    path = tmp_path / "f"
    path.write_bytes(b"old")
    path.chmod(mode)
    before = os.umask(0)
    try:
        with Replacement(str(path)) as file:
            assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == mode & 0o700 | 0o600
    finally:
        os.umask(before)


def test_a_change_of_folder_meanwhile_does_no_harm(tmp_path, monkeypatch):
    """A relative name means the folder that was the current one at the beginning."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    replacement = Replacement("f")
    monkeypatch.chdir(tmp_path / "b")
    with replacement as file:
        file.write(b"new")
        monkeypatch.chdir(tmp_path)
        replacement.commit()
    assert content(tmp_path) == {"a": None, "a/f": b"new", "b": None}


@pytest.mark.parametrize("failure", [OSError, KeyboardInterrupt, GeneratorExit])
@pytest.mark.parametrize("old", [None, b"old"], ids=["new", "there"])
@pytest.mark.parametrize("make_folders", [False, True], ids=["in a folder", "in folders that are made"])
def test_nothing_is_left_after_a_failure(failure, old, make_folders, tmp_path):
    """Whatever ends the block, KeyboardInterrupt too, the folder is as it was."""
    path = tmp_path / "a" / "b" / "f" if make_folders else tmp_path / "f"
    if old is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(old)
    before = content(tmp_path)
    with pytest.raises(failure), Replacement(str(path), make_folders=make_folders) as file:
        file.write(bytes(100_000))
        assert content(tmp_path) != before
        raise failure
    assert content(tmp_path) == before
    assert file.closed


def test_without_commit_nothing_is_saved(tmp_path):
    """A block that ends without commit is a failure."""
    (tmp_path / "f").write_bytes(b"old")
    with Replacement(str(tmp_path / "f")) as file:
        file.write(b"new")
    assert content(tmp_path) == {"f": b"old"}


def test_a_failure_after_commit_keeps_the_file(tmp_path):
    """What was committed stays, with the folders that were made for it."""
    replacement = Replacement(str(tmp_path / "a" / "f"), make_folders=True)
    with pytest.raises(KeyboardInterrupt), replacement as file:
        file.write(b"new")
        replacement.commit()
        raise KeyboardInterrupt
    assert content(tmp_path) == {"a": None, "a/f": b"new"}


def test_a_temporary_file_that_was_taken_away(tmp_path):
    """Somebody who cleans up the folder meanwhile makes commit fail, and the end of the block has nothing to remove."""
    replacement = Replacement(str(tmp_path / "a" / "f"), make_folders=True)
    with pytest.raises(FileNotFoundError), replacement as file:
        os.unlink(file.name)
        replacement.commit()
    assert content(tmp_path) == {}


@posix
def test_a_full_disk(tmp_path):
    """When the system takes no more bytes, the error is its own, the old file stays, and nothing is left or open."""
    resource = pytest.importorskip("resource")
    (tmp_path / "f").write_bytes(b"old")
    replacement = Replacement(str(tmp_path / "f"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    raised = None
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with replacement as file:
            files.write_at(file, memoryview(bytes(100)), 0)
            replacement.commit()
    except OSError as error:
        raised = error
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised is not None
    assert raised.errno == errno.EFBIG
    assert content(tmp_path) == {"f": b"old"}
    assert file.closed


STEPS = ["os.chmod", "os.fsync", "os.replace", "file.close"]


class Failing:
    """A file one of whose methods fails the first time."""

    def __init__(self, file, method, failure):
        self._file = file
        self._method = method
        self._failure = failure

    def __getattr__(self, name):
        if name != self._method:
            return getattr(self._file, name)
        self._method = ""
        raise self._failure


@posix
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("step", STEPS)
def test_a_failure_at_each_step_of_commit(step, failure, tmp_path, monkeypatch):
    """Wherever commit fails, the old file stays, the temporary file goes, and the error comes through."""
    (tmp_path / "f").write_bytes(b"old")

    def fail(*_):
        raise failure

    replacement = Replacement(str(tmp_path / "f"))
    with pytest.raises(type(failure)) as caught, replacement as file:
        file.write(b"new")
        if step.startswith("os."):
            monkeypatch.setattr(files.os, step[3:], fail)
        else:
            replacement._file = Failing(file, step[5:], failure)
        replacement.commit()
    assert caught.value is failure
    assert content(tmp_path) == {"f": b"old"}
    assert file.closed


@posix
def test_two_writers_do_not_meet(tmp_path):
    """Eight at once write files of their own, the last replace wins, and none leaves anything behind."""
    barrier = threading.Barrier(8)
    errors = []

    def write(number):
        try:
            replacement = Replacement(str(tmp_path / "a" / "b" / "f"), make_folders=True, durable=False)
            barrier.wait(30)
            with replacement as file:
                file.write(bytes([number]) * 10_000)
                barrier.wait(30)
                replacement.commit()
        except BaseException as error:  # noqa: BLE001 - all of them belong to the test
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    found = content(tmp_path)
    assert set(found) == {"a", "a/b", "a/b/f"}
    assert len(set(found["a/b/f"])) == 1
    assert len(found["a/b/f"]) == 10_000


@pytest.mark.parametrize("path", ["", "folder/", "a/b/"])
def test_a_name_that_is_no_files(path):
    """A target that is empty or ends in a separator names no file, and is not taken for one."""
    with pytest.raises(ValueError, match="names no file"):
        Replacement(path, make_folders=True)


@pytest.mark.parametrize(
    "failure",
    [OSError(28, "No space left on device"), PermissionError(1, "Operation not permitted", 7), None],
    ids=["full disk", "asked of an open file", "no right to write"],
)
def test_the_error_names_the_target(failure, tmp_path, monkeypatch):
    """A full disk's error names the file that was to be saved; so does one that would name the temporary file."""
    target = str(tmp_path / "model")
    if failure is None:
        monkeypatch.setattr(os, "open", raiser(PermissionError(13, "Permission denied")))
    with pytest.raises(OSError) as caught, Replacement(target):
        raise failure
    assert caught.value.filename == target
    assert "tmp" not in os.path.basename(str(caught.value))


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 1)() != 0, reason="only root gives files away")
def test_the_owner_of_an_existing_file_is_kept(tmp_path):
    """When root replaces another user's private file, it stays that user's, who must go on reading it."""
    target = tmp_path / "model"
    target.write_bytes(b"old")
    os.chown(target, 65534, 65534)
    target.chmod(0o600)
    save(target)
    found = target.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (65534, 65534, 0o600)


def test_an_interruption_keeps_its_words(tmp_path):
    """A TimeoutError that a signal's handler raised has no number; a file's name would hide what it says."""
    with pytest.raises(TimeoutError, match="deadline of the job"), Replacement(str(tmp_path / "model")):
        raise TimeoutError("deadline of the job")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can make a file another group's")
@pytest.mark.parametrize(("group_allowed", "mode"), [(True, 0o664), (False, 0o604)], ids=["member", "stranger"])
def test_another_group_gets_nothing_of_the_old_ones(group_allowed, mode, tmp_path, monkeypatch):
    """Who may not give a file to its old owner keeps its group, or else takes from the new group what was the old's."""
    target = tmp_path / "model"
    target.write_bytes(b"old")
    os.chown(target, -1, 65534)
    target.chmod(0o664)

    def chown(path, user, group):
        if user != -1 or not group_allowed:
            raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chown", chown)
    save(target)
    assert target.stat().st_mode & 0o777 == mode
