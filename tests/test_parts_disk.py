"""The disk's own troubles with a part: no room, no right to write, no handles left, and permissions of another day.

Each is the system's error with the target's name, the old file stays, and nothing lies beside it.
"""

# Like the module that it tests, this file is about the operating system's own calls.
# ruff: noqa: PTH208

import contextlib
import errno
import os
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from kit_files import content, raiser
from kit_parts import IS_ROOT, MIB, NOBODY, OLD, SIZE, Room, as_nobody, forking, in_child, made
from rawserver import in_turn

from cdn_sigv4 import CDNError, TransportError, files, filling, parts, transfer

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX files")
needs_mount = pytest.mark.skipif(shutil.which("mount") is None, reason="no mount")
SMALL = 100 * 4096  # bytes of whole pages


@pytest.fixture
def open_room(loopback, store):
    """The same where everybody may write."""
    folder = Path(tempfile.mkdtemp(prefix="cdn-sigv4-room-"))
    folder.chmod(0o777)
    made_room = Room(folder, loopback, store)
    made_room.put(made(1))
    yield made_room
    shutil.rmtree(str(folder))


@contextlib.contextmanager
def mounted(folder, *options):
    """A tmpfs on the folder."""
    done = subprocess.run(["mount", "-t", "tmpfs", *options, "tmpfs", str(folder)], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


# -- no room


def refused(room, **options):
    """Demand that the disk's room ends the download; the error, which names the target."""
    with pytest.raises(OSError) as caught:
        room.download(**options)
    assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(room.target))
    return str(caught.value)


@needs_mount
@pytest.mark.parametrize("old", [None, OLD], ids=["no file", "old file"])
def test_a_disk_that_is_too_small(room, old, monkeypatch):
    """Room for half of the object: that is found before a byte is written, and it is said how many are missing."""
    monkeypatch.setattr(filling, "write_at", raiser(AssertionError("written to")))
    with mounted(room.folder, "-o", "size=4m"):
        if old is not None:
            room.target.write_bytes(old)
        before = content(room.folder)
        free = os.statvfs(str(room.folder)).f_bavail * 4096
        assert f"no space: {SIZE} bytes more are needed, {free} are free" in refused(room)
        assert content(room.folder) == before
    assert room.ranges() == [None]


@needs_mount
@pytest.mark.parametrize(("spare", "is_enough"), [(0, True), (-1, False)], ids=["just enough", "a page too small"])
def test_a_disk_with_just_enough_room(room, spare, is_enough):
    """The check asks for the object's bytes and no more: where they just fit the download ends well."""
    room.put(made(1, SMALL), "key")
    pages = SMALL // 4096 + spare
    with mounted(room.folder, "-o", f"size={pages * 4096}"):
        if is_enough:
            room.download()
            room.check(made(1, SMALL))
        else:
            assert "no space: " in refused(room)
            assert content(room.folder) == {}


@needs_mount
@pytest.mark.parametrize("synced", [False, True], ids=["", "synced"])
def test_a_disk_that_gets_full(room, synced, monkeypatch):
    """A disk that others fill behind the check: its error names the target, and all of the room is given back."""
    if synced:
        monkeypatch.setattr(transfer, "SYNC_EVERY", MIB)
    reserve = files.Replacement.reserve

    def filling_up(self, size):
        reserve(self, size)
        (room.folder / "filler").write_bytes(bytes(8 * MIB))

    monkeypatch.setattr(files.Replacement, "reserve", filling_up)
    with mounted(room.folder, "-o", "size=12m"):
        room.target.write_bytes(OLD)
        assert "No space left" in refused(room)
        assert set(content(room.folder)) == {"filler", "model"}
        assert room.target.read_bytes() == OLD


@needs_mount
@pytest.mark.parametrize("size", [SIZE, 100], ids=["big", "small"])
def test_a_disk_that_is_full(room, size):
    """A disk without a byte to give: nothing of the attempt is left, its record neither."""
    room.put(made(1, size))
    with mounted(room.folder, "-o", "size=64k"):
        room.target.write_bytes(OLD)
        with contextlib.suppress(OSError), (room.folder / "filler").open("wb") as filler:
            filler.write(bytes(1 << 20))
        # For a few bytes the system is not asked before: it says so itself.
        asked = f"no space: {size} bytes more are needed, 0 are free" if size == SIZE else "No space left on device"
        assert asked in refused(room)
        assert set(content(room.folder)) == {"filler", "model"}
        assert room.target.read_bytes() == OLD


@needs_mount
@pytest.mark.parametrize(("filler", "is_enough"), [(1, True), (4, False)], ids=["room for the rest", "no room for it"])
def test_a_disk_with_room_for_the_rest(room, filler, is_enough):
    """What is here of a part counts; one that cannot end goes, that the old file's folder is not full for ever."""
    with mounted(room.folder, "-o", "size=10m"):
        room.target.write_bytes(OLD)
        room.break_at(3 * MIB)
        (room.folder / "filler").write_bytes(bytes(filler * MIB))
        if is_enough:
            assert room.download().bytes_moved == SIZE - 3 * MIB
        else:
            assert f"no space: {SIZE - 3 * MIB} bytes more are needed" in refused(room)
        assert set(content(room.folder)) == {"filler", "model"}
        room.check_target(made(1) if is_enough else OLD)


def test_a_disk_that_does_not_say(room, monkeypatch):
    """A file system that says nothing of its size, and a system that cannot be asked, stop no download."""
    for statvfs in (lambda path: SimpleNamespace(f_blocks=0, f_bfree=0, f_bavail=0, f_frsize=4096), None):
        if statvfs is None:
            monkeypatch.delattr(os, "statvfs")
        else:
            monkeypatch.setattr(os, "statvfs", statvfs)
        room.download()
        room.check(made(1))


# -- no right to write


@forking
@pytest.mark.parametrize("old", [None, OLD], ids=["no file", "old file"])
def test_a_folder_that_may_not_be_written_to(open_room, old):
    """It is refused before a request is sent, with the target's name, and nothing has changed."""
    room = open_room
    if old is not None:
        room.target.write_bytes(old)
        room.target.chmod(0o666)
    before = content(room.folder)
    room.folder.chmod(0o555)

    def refused():
        with pytest.raises(PermissionError) as caught:
            room.download()
        assert caught.value.filename == str(room.target)

    assert as_nobody(refused) == 0
    assert content(room.folder) == before
    assert room.server.connections == 0


@needs_mount
def test_a_file_system_that_may_not_be_written_to(room):
    """The same for root, whom only a read-only file system stops."""
    with mounted(room.folder, "-o", "size=1m"):
        room.target.write_bytes(OLD)
        subprocess.run(["mount", "-o", "remount,ro", str(room.folder)], check=True)
        with pytest.raises(OSError, match="Read-only") as caught:
            room.download()
        assert (caught.value.errno, caught.value.filename) == (errno.EROFS, str(room.target))
        assert content(room.folder) == {"model": OLD}
    assert room.server.connections == 0


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc")
@forking
def test_no_file_handles_left(room):
    """With few handles left a download fails with a clear error, whichever handle it is that was one too many."""
    resource = pytest.importorskip("resource")
    room.target.write_bytes(OLD)

    def download_with_few():
        room.download("key")  # everything is imported
        outcomes = set()
        for spare in range(10):
            room.target.write_bytes(OLD)
            highest = max(map(int, os.listdir("/proc/self/fd")))
            fillers = [os.open(os.devnull, os.O_RDONLY) for _ in range(highest)]  # holes below are no spare ones
            limits = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(fillers) + 1 + spare, limits[1]))
            try:
                room.download(retry=None)
            except (OSError, CDNError) as error:
                outcomes.add("failed" if "open files" in str(error) else repr(error))
            else:
                outcomes.add("saved")
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
                for filler in fillers:
                    os.close(filler)
            if not room.kept():  # a link that cannot be had is one more way in which a download breaks
                room.check(OLD, made(1))
            assert len(os.listdir("/proc/self/fd")) <= highest + 2
        assert outcomes == {"failed", "saved"}

    assert in_child(download_with_few) == 0


# -- permissions


@contextlib.contextmanager
def umask(mask):
    """Under this umask."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path):
    """The permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("locks", [True, False], ids=["locks", "no locks"])
@pytest.mark.parametrize(("mask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o000, 0o666)], ids=oct)
def test_a_download_obeys_the_umask(room, mask, expected, locks, monkeypatch):
    """A new file gets what `open` would give it, with locks or without; what describes the part is private."""
    if not locks:
        monkeypatch.setattr(parts, "fcntl", None)
    with umask(mask):
        if locks:
            room.break_at(5 * MIB)
            assert mode(room.record) == 0o600
        room.download()
    assert mode(room.target) == expected


@pytest.mark.parametrize(("before", "now"), [(0o022, 0o077), (0o077, 0o022), (0o000, 0o027)], ids=oct)
def test_the_umask_of_today(room, before, now):
    """A part begun under another umask becomes the file that `open` would make now."""
    with umask(before):
        room.break_at(5 * MIB)
    with umask(now):
        assert room.download().bytes_moved < SIZE
    assert mode(room.target) == 0o666 & ~now


def test_a_private_file_that_is_no_more(room):
    """A part begun for a private file's place does not stay private when that file is gone."""
    room.target.write_bytes(OLD)
    room.target.chmod(0o600)
    room.break_at(5 * MIB)
    room.target.unlink()
    with umask(0o022):
        room.download()
    assert mode(room.target) == 0o644


def test_a_private_file_that_came_meanwhile(room):
    """A part begun in the open is closed to others from the moment on at which it is to replace a private file."""
    with umask(0o022):
        room.break_at(5 * MIB)
    room.target.write_bytes(OLD)
    room.target.chmod(0o600)
    seen = []
    answer = room.store

    def looking(request):
        seen.append(mode(room.part))
        return answer(request)

    room.server.answer = looking
    room.download()
    assert mode(room.target) == 0o600
    assert seen == [0o600]


@forking
@pytest.mark.parametrize("permissions", [0o444, 0o400, 0o640], ids=oct)
def test_a_file_that_its_owner_may_not_write(open_room, permissions):
    """A read-only model is replaced, its part can be gone on with by its owner, and its permissions are kept."""
    room = open_room

    room.server.answer = in_turn(room.cutting(5 * MIB), room.store)

    def twice():
        room.target.write_bytes(OLD)
        room.target.chmod(permissions)
        with pytest.raises(TransportError):
            room.download(retry=None)
        assert room.kept()
        assert room.download().bytes_moved < SIZE
        room.check(made(1))
        assert mode(room.target) == permissions

    assert as_nobody(twice) == 0


@forking
@pytest.mark.parametrize("permissions", [0o444, 0o400], ids=oct)
def test_a_part_that_its_owner_may_not_write(open_room, permissions):
    """Nor is a part lost for good that was killed when it had those permissions already."""
    room = open_room

    room.break_at(5 * MIB)
    room.part.chmod(permissions)
    if IS_ROOT:
        for path in (room.part, room.record):
            os.chown(str(path), NOBODY, NOBODY)

    def again():
        room.download()
        room.check(made(1))

    assert as_nobody(again) == 0


@pytest.mark.skipif(not IS_ROOT, reason="only root gives files away")
@forking
def test_a_part_of_another_users_run(open_room):
    """A part that root has left, which others may not write to, does not stand in their way."""
    room = open_room
    room.break_at(5 * MIB)
    room.part.chmod(0o600)

    def other():
        room.download()
        room.check_target(made(1))

    assert as_nobody(other) == 0
    assert set(room.left()) <= {room.part.name, room.record.name}
