"""The local side of a download: a key stays below its folder, and a file appears whole or not at all.

Traps: `..`, absolute keys, drive letters, symlinked parents and NUL (38: CVE-2021-32061, s5cmd#872); the temporary file
in the target's own folder, with a short name of its own, fsync before and after the replacing, nothing left behind on
failure (39).
"""

# Like the module that it tests, this file is about the operating system's own calls; and what fails is a whole block.
# ruff: noqa: PTH100, PTH108, PTH112, PTH114, PTH116, PTH118, PTH119, PTH120, PTH208, PT012

from __future__ import annotations

import errno
import io
import itertools
import ntpath
import os
import stat
import sys
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdn_sigv4 import files
from cdn_sigv4.files import Replacement, check_target, confined_path

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=300)

posix = pytest.mark.skipif(os.name == "nt", reason="POSIX files")


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder: files with their bytes, folders and all else with None."""
    found = {str(path.relative_to(folder)): path for path in folder.rglob("*")}
    return {name: path.read_bytes() if path.is_file() else None for name, path in found.items()}


def save(path: Path | str, data: bytes = b"new", **options: bool) -> None:
    replacement = Replacement(str(path), **options)
    with replacement as file:
        file.write(data)
        replacement.commit()


# --- a key becomes a path --------------------------------------------------------------------------------------------

ON_BOTH = [
    "a",
    "a/b",
    "a/b/c.onnx",
    ".hidden",
    "a..b",
    "..a",
    "a b",
    "ü/日本/🤖",
    "-rf",
    "~",
    "$HOME",
    "%2e%2e",
    "a~1",
    "con1",
]
ON_BOTH += ["console", "a/com", "com0", "x.con", "aux1.txt", "k" * 255]
ONLY_POSIX = [
    "a\\b",
    "..\\..\\x",
    "...",
    "ab:c",
    "a/b:c",
    "a*",
    "a?",
    "<a>",
    'a"b',
    "a|b",
    "a\x01",
    "a\n",
    "a.",
    "a ",
    "a./b",
    "a /b",
]
ONLY_POSIX += [
    "con",
    "NUL",
    "aux.txt",
    "a/Prn",
    "com1",
    "COM9.log",
    "lpt¹",
    "com²/x",
    "lpt3 .txt",
    "conin$",
    "CONOUT$.txt",
    "\\x",
    "\\\\srv\\x",
]
NOWHERE = [
    "",
    "/",
    "/etc/passwd",
    "//srv/share",
    "..",
    "../x",
    "a/..",
    "a/../b",
    "a/../../x",
    ".",
    "./a",
    "a/.",
    "a/./b",
    "a/",
    "a//b",
]
NOWHERE += ["\0", "a\0b", "a/b\0.txt", "C:", "c:x", "C:/x", "z:\\x", "C:..", "a/b/../../..", "../", "./"]


@pytest.mark.parametrize("key", ON_BOTH, ids=lambda key: ascii(key[:20]))
@pytest.mark.parametrize("windows", [False, True], ids=["posix", "windows"])
def test_keys_that_are_paths(key: str, windows: bool, tmp_path: Path) -> None:
    """A key's segments become folders and a file below the folder, on either system."""
    assert confined_path(str(tmp_path), key, windows=windows) == os.path.join(str(tmp_path), *key.split("/"))


@pytest.mark.parametrize("key", ONLY_POSIX, ids=ascii)
def test_keys_that_are_no_paths_on_windows(key: str, tmp_path: Path) -> None:
    """What Windows reads in its own way (devices, streams, backslashes, dropped endings) is refused there only."""
    assert confined_path(str(tmp_path), key, windows=False) == os.path.join(str(tmp_path), *key.split("/"))
    with pytest.raises(ValueError, match="is no file name on Windows") as caught:
        confined_path(str(tmp_path), key, windows=True)
    assert repr(key) in str(caught.value)


@pytest.mark.parametrize("key", NOWHERE, ids=ascii)
@pytest.mark.parametrize("windows", [False, True], ids=["posix", "windows"])
def test_keys_that_are_no_paths(key: str, windows: bool, tmp_path: Path) -> None:
    """What leaves the folder, or names the same file as another key, is refused, with the way out."""
    with pytest.raises(ValueError, match="name a file with to=") as caught:
        confined_path(str(tmp_path), key, windows=windows)
    assert repr(key) in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("key", "reason"),
    [("/a", "absolute"), ("c:a", "drive letter"), ("a\0", "NUL"), ("a/../b", "segment"), ("", "segment")],
)
def test_the_reason_is_named(key: str, reason: str) -> None:
    """The text says which rule it was."""
    with pytest.raises(ValueError, match=reason):
        confined_path(".", key)


@pytest.mark.skipif(not hasattr(ntpath, "isreserved"), reason="ntpath.isreserved is new in Python 3.13")
@same_each_run
@given(
    name=st.one_of(
        st.text(min_size=1, max_size=8),
        st.builds(
            "".join,
            st.tuples(
                st.sampled_from(
                    ["con", "NUL", "Aux", "prn", "com1", "lpt9", "COM¹", "lpt²", "conin$", "CONOUT$", "com", "a"]
                ),
                st.sampled_from(["", " ", ".", ".txt", " .x", "..", "0", "$", "."]),
            ),
        ),
    )
)
def test_python_itself_knows_these_names(name: str) -> None:
    """Every name that Python's own list calls reserved on Windows is refused."""
    if ntpath.isreserved(name):
        with pytest.raises(ValueError, match="it cannot be saved"):
            confined_path("f", name, windows=True)


PIECES = ["..", ".", "", "a", "b", "c:", "\\", "\0", "a.", "con", " ", "~", "%2e", "ü"]
KEYS = st.one_of(st.text(max_size=30), st.lists(st.sampled_from(PIECES), max_size=6).map("/".join))


def accepted(folder: str, key: str, windows: bool) -> str | None:
    try:
        return confined_path(folder, key, windows=windows)
    except ValueError:
        return None


@same_each_run
@given(key=KEYS, folder=st.sampled_from([".", "f", "/tmp/f", "f/g", "../f"]))
@example(key="a/../../x", folder="f")
def test_every_path_stays_below_its_folder(key: str, folder: str) -> None:
    """Whatever the key, POSIX's and Windows' own path rules find the result below the folder."""
    path = accepted(folder, key, windows=False)
    if path is not None:
        base = os.path.abspath(folder)
        assert os.path.commonpath([base, os.path.abspath(path)]) == base
        assert os.path.abspath(path) != base
    path = accepted(folder, key, windows=True)
    if path is not None:
        base = ntpath.normpath(ntpath.join("C:\\here", folder))
        full = ntpath.normpath(ntpath.join("C:\\here", path))
        assert full.startswith(base.rstrip("\\") + "\\")
        assert ":" not in full[2:]


@same_each_run
@given(one=KEYS, other=KEYS, windows=st.booleans())
@example(one="a//b", other="a/b", windows=False)
@example(one="a.", other="a", windows=True)
@example(one="a\\b", other="a/b", windows=True)
def test_two_keys_are_never_one_file(one: str, other: str, windows: bool) -> None:
    """Two different keys that are both accepted name different files, as the system itself normalises them."""
    normal = ntpath.normpath if windows else os.path.normpath
    paths = accepted("f", one, windows), accepted("f", other, windows)
    if one != other and None not in paths:
        assert normal(paths[0]) != normal(paths[1])


@posix
@pytest.mark.parametrize("depth", [0, 1, 2])
@pytest.mark.parametrize("dangling", [False, True], ids=["to a folder", "to nowhere"])
def test_symlinked_parents_are_refused(depth: int, dangling: bool, tmp_path: Path) -> None:
    """A symbolic link on the way, at each depth, leads out of the folder: refused."""
    segments = ["a", "b", "c"]
    outside = tmp_path / "outside"
    link = tmp_path.joinpath("f", *segments[: depth + 1])
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    if not dangling:
        outside.joinpath(*segments[depth + 1 :]).mkdir(parents=True)
    with pytest.raises(ValueError, match="leads through a symbolic link"):
        confined_path(str(tmp_path / "f"), "a/b/c/file")


@posix
def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    """Where the folder is is the caller's affair: only what the key adds is looked at."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert confined_path(str(tmp_path / "link"), "a/b") == str(tmp_path / "link" / "a" / "b")


@posix
@pytest.mark.parametrize("dangling", [False, True], ids=["to a file", "to nowhere"])
def test_a_link_at_the_target_is_replaced_and_not_followed(dangling: bool, tmp_path: Path) -> None:
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


# --- where a file may be put -----------------------------------------------------------------------------------------


def make_directory(path: Path) -> None:
    path.mkdir()


def make_fifo(path: Path) -> None:
    os.mkfifo(str(path))


def make_device(path: Path) -> None:
    path.symlink_to("/dev/null")


def make_link_to_directory(path: Path) -> None:
    path.symlink_to(path.parent)


@posix
@pytest.mark.parametrize(
    ("make", "number"),
    [
        pytest.param(make_directory, errno.EISDIR, id="directory"),
        pytest.param(make_link_to_directory, errno.EISDIR, id="link to a directory"),
        pytest.param(make_fifo, errno.EINVAL, id="pipe"),
        pytest.param(make_device, errno.EINVAL, id="device"),
    ],
)
def test_what_is_no_file_is_never_replaced(make: object, number: int, tmp_path: Path) -> None:
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
    assert list(tree(tmp_path)) == ["target"]


def test_a_missing_folder_is_refused_at_once(tmp_path: Path) -> None:
    """Before anything is sent it is known that there is nowhere to save into."""
    with pytest.raises(FileNotFoundError, match="folder to save into does not exist") as caught:
        Replacement(str(tmp_path / "no" / "file"))
    assert caught.value.filename == str(tmp_path / "no")


def test_a_file_in_the_way_is_the_systems_error(tmp_path: Path) -> None:
    """Below a file there is no folder, made or not."""
    (tmp_path / "file").write_bytes(b"old")
    for make_folders in (False, True):
        with pytest.raises(OSError, match=r".+"):
            save(tmp_path / "file" / "a" / "b", make_folders=make_folders)
    assert tree(tmp_path) == {"file": b"old"}


@posix
def test_a_dangling_link_in_the_way_is_the_systems_error(tmp_path: Path) -> None:
    """A folder that is a link to nowhere is neither made nor followed."""
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(FileNotFoundError):
        save(tmp_path / "link" / "a", make_folders=True)
    assert not (tmp_path / "nowhere").exists()
    assert (tmp_path / "link").is_symlink()


# --- whole or not at all ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("old", [None, b"", b"old"], ids=["new", "empty", "there"])
@pytest.mark.parametrize("data", [b"", b"new", bytes(100_000)], ids=["nothing", "little", "much"])
@pytest.mark.parametrize("durable", [False, True])
def test_a_file_is_saved(old: bytes | None, data: bytes, durable: bool, tmp_path: Path) -> None:
    """After commit the file is there with all its bytes, and nothing else is."""
    if old is not None:
        (tmp_path / "f").write_bytes(old)
    save(tmp_path / "f", data, durable=durable)
    assert tree(tmp_path) == {"f": data}


def test_until_commit_the_old_file_is_there(tmp_path: Path) -> None:
    """While it is written the target is the old file, and what is written stands beside it under a short name."""
    (tmp_path / "f").write_bytes(b"old")
    replacement = Replacement(str(tmp_path / "f"))
    with replacement as file:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "f").read_bytes() == b"old"
        (temporary,) = set(tree(tmp_path)) - {"f"}
        assert temporary == os.path.basename(file.name)
        assert temporary.startswith(".cdn-")
        assert len(temporary) < 32
        replacement.commit()
        assert tree(tmp_path) == {"f": b"new"}, "visible with commit, not with the end of the block"


def test_a_relative_name_is_below_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without a folder is saved here, and the folder is synced like any other."""
    monkeypatch.chdir(tmp_path)
    save("f")
    save("./g")
    save("a/b/h", make_folders=True)
    assert tree(tmp_path) == {"f": b"new", "g": b"new", "a": None, "a/b": None, "a/b/h": b"new"}


@posix
def test_a_name_of_255_bytes(tmp_path: Path) -> None:
    """The longest name that a file system takes can be saved: the temporary name is not made from it."""
    name = "é" * 127 + "x"
    save(tmp_path / name)
    assert tree(tmp_path) == {name: b"new"}


@posix
def test_a_reader_keeps_the_old_file(tmp_path: Path) -> None:
    """Who has the old file open reads it to its end; who opens it afterwards gets the new one."""
    path = tmp_path / "f"
    path.write_bytes(b"old" * 10_000)
    with path.open("rb") as reading:
        assert reading.read(3) == b"old"
        inode = os.stat(str(path)).st_ino
        save(path)
        assert os.fstat(reading.fileno()).st_ino == inode != os.stat(str(path)).st_ino
        assert len(reading.read()) == 29_997
    assert path.read_bytes() == b"new"


@posix
@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o444, 0o400, 0o666, 0o4755])
def test_permissions_of_an_existing_file_are_kept(mode: int, tmp_path: Path) -> None:
    """The new file has the old one's permissions (never set-user-id), whatever the umask."""
    path = tmp_path / "f"
    path.write_bytes(b"old")
    path.chmod(mode)
    save(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode & 0o777


@posix
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o000, 0o666), (0o027, 0o640)])
def test_a_new_file_obeys_the_umask(umask: int, mode: int, tmp_path: Path) -> None:
    """A new file has the permissions that `open` would give it."""
    before = os.umask(umask)
    try:
        save(tmp_path / "f")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == mode


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o400])
def test_a_private_files_successor_is_private_from_its_first_byte(mode: int, tmp_path: Path) -> None:
    """While it is written, nobody else may read what takes a private file's place."""
    path = tmp_path / "f"
    path.write_bytes(b"old")
    path.chmod(mode)
    before = os.umask(0)
    try:
        with Replacement(str(path)) as file:
            assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == mode & 0o700
    finally:
        os.umask(before)


def test_a_change_of_folder_meanwhile_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert tree(tmp_path) == {"a": None, "a/f": b"new", "b": None}


FAILURES = [ValueError, OSError, KeyboardInterrupt, SystemExit, GeneratorExit, MemoryError]


@pytest.mark.parametrize("failure", FAILURES)
@pytest.mark.parametrize("old", [None, b"old"], ids=["new", "there"])
@pytest.mark.parametrize("make_folders", [False, True], ids=["in a folder", "in folders that are made"])
def test_nothing_is_left_after_a_failure(failure: type, old: bytes | None, make_folders: bool, tmp_path: Path) -> None:
    """Whatever ends the block, KeyboardInterrupt too, the folder is as it was."""
    path = tmp_path / "a" / "b" / "f" if make_folders else tmp_path / "f"
    if old is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(old)
    before = tree(tmp_path)
    with pytest.raises(failure), Replacement(str(path), make_folders=make_folders) as file:
        file.write(bytes(100_000))
        assert tree(tmp_path) != before
        raise failure
    assert tree(tmp_path) == before
    assert file.closed


def test_without_commit_nothing_is_saved(tmp_path: Path) -> None:
    """A block that ends without commit is a failure."""
    (tmp_path / "f").write_bytes(b"old")
    with Replacement(str(tmp_path / "f")) as file:
        file.write(b"new")
    assert tree(tmp_path) == {"f": b"old"}


def test_a_failure_after_commit_keeps_the_file(tmp_path: Path) -> None:
    """What was committed stays, with the folders that were made for it."""
    replacement = Replacement(str(tmp_path / "a" / "f"), make_folders=True)
    with pytest.raises(KeyboardInterrupt), replacement as file:
        file.write(b"new")
        replacement.commit()
        raise KeyboardInterrupt
    assert tree(tmp_path) == {"a": None, "a/f": b"new"}


def test_a_temporary_file_that_was_taken_away(tmp_path: Path) -> None:
    """Somebody who cleans up the folder meanwhile makes commit fail, and the end of the block has nothing to remove."""
    replacement = Replacement(str(tmp_path / "a" / "f"), make_folders=True)
    with pytest.raises(FileNotFoundError), replacement as file:
        os.unlink(file.name)
        replacement.commit()
    assert tree(tmp_path) == {}


@posix
@pytest.mark.parametrize("size", [1 << 20, 100], ids=["while writing", "while flushing at commit"])
@pytest.mark.parametrize("committed", [True, False], ids=["commit", "no commit"])
def test_a_full_disk(size: int, committed: bool, tmp_path: Path) -> None:
    """When the system takes no more bytes, the error is its own, the old file stays, and nothing is left or open."""
    resource = pytest.importorskip("resource")
    (tmp_path / "f").write_bytes(b"old")
    replacement = Replacement(str(tmp_path / "f"))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    raised = None
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with replacement as file:
            file.write(bytes(size))
            if committed:
                replacement.commit()
    except OSError as error:
        raised = error
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    if committed or size > 100:
        assert raised is not None
        assert raised.errno == errno.EFBIG
    else:
        assert raised is None, "who did not commit does not care whether it could have been written"
    assert tree(tmp_path) == {"f": b"old"}
    assert file.raw.closed


STEPS = ["os.chmod", "os.fsync", "os.replace", "file.flush", "file.close"]


@posix
@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("step", STEPS)
def test_a_failure_at_each_step_of_commit(
    step: str, failure: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever commit fails, the old file stays, the temporary file goes, and the error comes through."""
    (tmp_path / "f").write_bytes(b"old")

    def fail(*_: object) -> None:
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
    assert tree(tmp_path) == {"f": b"old"}
    assert file.closed


class Failing:
    """A file one of whose methods fails the first time."""

    def __init__(self, file: io.BufferedWriter, method: str, failure: BaseException) -> None:
        self._file = file
        self._method = method
        self._failure = failure

    def __getattr__(self, name: str) -> object:
        if name != self._method:
            return getattr(self._file, name)
        self._method = ""
        raise self._failure


@posix
def test_two_writers_do_not_meet(tmp_path: Path) -> None:
    """Eight at once write files of their own, the last replace wins, and none leaves anything behind."""
    barrier = threading.Barrier(8)
    errors = []

    def write(number: int) -> None:
        try:
            replacement = Replacement(str(tmp_path / "a" / "b" / "f"), make_folders=True, durable=False)
            barrier.wait(30)
            with replacement as file:
                file.write(bytes([number]) * 10_000)
                barrier.wait(30)
                replacement.commit()
        except BaseException as error:  # noqa: BLE001 - told to the test's own thread
            errors.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    found = tree(tmp_path)
    assert set(found) == {"a", "a/b", "a/b/f"}
    assert len(set(found["a/b/f"])) == 1
    assert len(found["a/b/f"]) == 10_000


# --- folders that are made -------------------------------------------------------------------------------------------


def test_folders_are_made_and_stay(tmp_path: Path) -> None:
    """The folders above the file are made where they are missing, and stay with it."""
    (tmp_path / "a").mkdir()
    save(tmp_path / "a" / "b" / "c" / "f", make_folders=True)
    assert tree(tmp_path) == {"a": None, "a/b": None, "a/b/c": None, "a/b/c/f": b"new"}


def test_folders_are_made_only_when_it_begins(tmp_path: Path) -> None:
    """Before the block, while it is still asked for, nothing is made."""
    Replacement(str(tmp_path / "a" / "f"), make_folders=True)
    assert tree(tmp_path) == {}


def test_only_folders_that_were_made_are_removed(tmp_path: Path) -> None:
    """A folder that was there, empty as it is, stays after a failure."""
    (tmp_path / "a").mkdir()
    with Replacement(str(tmp_path / "a" / "b" / "c" / "f"), make_folders=True):
        assert (tmp_path / "a" / "b" / "c").is_dir()
    assert tree(tmp_path) == {"a": None}


@pytest.mark.parametrize(("other", "left"), [("a/g", {"a", "a/g"}), ("a/b/g", {"a", "a/b", "a/b/g"})])
def test_folders_with_another_file_stay(other: str, left: set[str], tmp_path: Path) -> None:
    """Where another download has put something meanwhile, the folder and those above it stay."""
    with Replacement(str(tmp_path / "a" / "b" / "f"), make_folders=True):
        (tmp_path / other).write_bytes(b"other")
    assert set(tree(tmp_path)) == left


@pytest.mark.parametrize("function", ["mkdir", "urandom"])
def test_folders_are_removed_when_it_cannot_begin(
    function: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the second folder, or the file in it, cannot be made, the first one goes again."""
    original = getattr(os, function)
    calls = itertools.count()

    def fail(*args: object) -> object:
        if function == "urandom" or next(calls) == 1:
            raise PermissionError(errno.EACCES, "Permission denied")
        return original(*args)

    monkeypatch.setattr(files.os, function, fail)
    with pytest.raises(PermissionError), Replacement(str(tmp_path / "a" / "b" / "f"), make_folders=True):
        pytest.fail("it has begun")
    assert tree(tmp_path) == {}


def test_a_folder_that_another_makes_meanwhile_is_not_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When another thread is quicker with mkdir, its folder is used, and stays after a failure."""
    original = os.mkdir

    def quicker(path: str) -> None:
        original(path)
        original(path)

    monkeypatch.setattr(files.os, "mkdir", quicker)
    with Replacement(str(tmp_path / "a" / "f"), make_folders=True):
        pass
    assert tree(tmp_path) == {"a": None}


# --- on the disk -----------------------------------------------------------------------------------------------------


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The calls of os.fsync, by the path that the descriptor has, and of os.replace, in their order."""
    found: list[tuple[str, str]] = []
    fsync, replace = os.fsync, os.replace

    def noted_fsync(descriptor: int) -> None:
        found.append(("fsync", os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def noted_replace(source: str, target: str) -> None:
        assert Path(source).read_bytes() == b"new", "all bytes have left the buffer"
        found.append(("replace", os.path.realpath(target)))
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", noted_fsync)
    monkeypatch.setattr(files.os, "replace", noted_replace)
    return found


linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/self/fd")


@linux
def test_durable(calls: list[tuple[str, str]], tmp_path: Path) -> None:
    """First the file's bytes are on the disk, then it takes its place, then the folder is."""
    folder = os.path.realpath(str(tmp_path))
    save(tmp_path / "f")
    (first, temporary), *rest = calls
    assert first == "fsync"
    assert os.path.dirname(temporary) == folder
    assert os.path.basename(temporary).startswith(".cdn-")
    assert rest == [("replace", f"{folder}/f"), ("fsync", folder)]


@linux
def test_durable_with_folders_that_are_made(calls: list[tuple[str, str]], tmp_path: Path) -> None:
    """Each folder that was made is on the disk too: every folder above is synced, after the file took its place."""
    folder = os.path.realpath(str(tmp_path))
    save(tmp_path / "a" / "b" / "f", make_folders=True)
    assert [name for name, _ in calls[:2]] == ["fsync", "replace"]
    assert sorted(calls[2:]) == [("fsync", folder), ("fsync", f"{folder}/a"), ("fsync", f"{folder}/a/b")]


@linux
def test_not_durable(calls: list[tuple[str, str]], tmp_path: Path) -> None:
    """Without `durable` nothing waits for the disk."""
    save(tmp_path / "a" / "f", make_folders=True, durable=False)
    assert [name for name, _ in calls] == ["replace"]


@linux
@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EINVAL, errno.EBADF, errno.ENOTSUP])
@pytest.mark.parametrize("call", ["open", "fsync"])
def test_a_folder_that_does_not_know_syncing_is_none(
    call: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that may not be read, or a file system without the call, undoes nothing: the file is in place."""
    original = getattr(os, call)

    def fail(what: object, *rest: object) -> object:
        if os.path.isdir(what):
            raise OSError(number, os.strerror(number))
        return original(what, *rest)

    before = len(os.listdir("/proc/self/fd"))
    with monkeypatch.context() as patched:
        patched.setattr(files.os, call, fail)
        save(tmp_path / "f")
    assert tree(tmp_path) == {"f": b"new"}
    assert len(os.listdir("/proc/self/fd")) == before


@linux
def test_a_folder_that_cannot_be_synced_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the folder does not get onto the disk the caller hears of it; the file is whole, so it stays."""
    fsync = os.fsync

    def fail(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    before = len(os.listdir("/proc/self/fd"))
    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output"):
        save(tmp_path / "a" / "f", make_folders=True)
    assert tree(tmp_path) == {"a": None, "a/f": b"new"}
    assert len(os.listdir("/proc/self/fd")) == before


def test_on_windows_a_folder_is_not_synced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows cannot open a folder: there NTFS's own journal has to do."""
    monkeypatch.setattr(files.os, "open", lambda *_: pytest.fail("opened"))
    with monkeypatch.context() as patched:
        patched.setattr(files.os, "name", "nt")
        files._sync_folder("anything")


def test_durable_is_the_default() -> None:
    """Who does not ask otherwise has the file on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        assert Replacement(os.path.join(folder, "f"))._durable
