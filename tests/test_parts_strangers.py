"""Parts that are held, planted or changed by others, and file systems without locks.

A folder that others may write to is no safe place, but neither may a download there write into what is not its own,
nor be stopped by what stands in its part's place.
"""

# Like the module that it tests, this file is about the operating system's own calls; and what fails is a whole block.
# ruff: noqa: PT012

import errno
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from kit import LONG
from kit_files import content, raiser
from kit_parts import IS_ROOT, MIB, NOBODY, OLD, SIZE, ended, forking, made, start_child

from cdn_sigv4 import TransportError, parts
from cdn_sigv4.files import Replacement

pytestmark = pytest.mark.skipif(parts.fcntl is None, reason="parts that are gone on with need flock")
root_only = pytest.mark.skipif(not IS_ROOT, reason="only root gives files away")


# -- held


def test_a_part_that_a_thread_holds(room):
    """Who finds the part held makes another one, fetches all, and leaves the holder's alone, who then goes on."""
    room.break_at(5 * MIB)
    held = parts.claim(str(room.target), 0o666, source_of(room))
    try:
        assert room.download().bytes_moved == SIZE
        room.check_target(made(1))
        assert room.kept()
        assert room.part.stat().st_size == 5 * MIB
    finally:
        held.file.close()
        held.release()
    assert room.download().bytes_moved == SIZE - 5 * MIB
    room.check(made(1))


def source_of(room):
    """What the record says the part is of."""
    return room.lines()[0]["source"]


@forking
def test_a_part_that_a_process_holds(room):
    """The same holds between processes: the other one's part is not written to, and free again when it is killed."""
    room.break_at(5 * MIB)
    ready, release = os.pipe(), os.pipe()

    def hold():
        with parts.claim(str(room.target), 0o666, source_of(room)).file:
            os.write(ready[1], b".")
            os.read(release[0], 1)

    child = start_child(hold)
    os.read(ready[0], 1)
    assert room.download().bytes_moved == SIZE
    assert room.kept()
    child.kill()
    assert ended(child) == -9
    assert room.download().bytes_moved == SIZE - 5 * MIB
    room.check(made(1))
    for descriptor in (*ready, *release):
        os.close(descriptor)


@forking
def test_a_child_that_was_forked_meanwhile_holds_nothing(tmp_path):
    """A child that the program forks in the middle of a download inherits the file; what is kept is free all the same.

    flock(2) is of the open file, which both then have: only an explicit unlocking, or the end of both, lets go of it.
    """
    target = str(tmp_path / "model")
    release = os.pipe()
    replacement = Replacement(target, source="s")
    with replacement as file:
        file.write(b"beginning")
        replacement.note({}, [], [])
        child = start_child(lambda: os.read(release[0], 1))
        replacement.keep()
    try:
        with Replacement(target, source="s") as file:
            assert file.tell() == len(b"beginning")
    finally:
        os.write(release[1], b".")
        assert ended(child) == 0
        os.close(release[0])
        os.close(release[1])


# -- planted


def test_a_link_in_the_parts_place(room, victim):
    """A symbolic link there is not followed: neither written to nor taken for the part."""
    room.part.symlink_to(victim)
    room.download()
    room.check_target(made(1))
    assert set(room.left()) <= {room.part.name}


def test_a_link_in_the_place_of_the_record(room, victim):
    """Nor is one where the record goes, or where it is written before it is put there."""
    for path in (room.record, room.record.with_name(room.record.name + "~")):
        path.symlink_to(victim)
    room.download()
    room.check(made(1))


def test_a_part_that_has_another_name(room, tmp_path):
    """A part with a second link could be changed through it behind the checksum: it is not gone on with."""
    room.break_at(5 * MIB)
    os.link(str(room.part), str(tmp_path / "link"))
    before = (tmp_path / "link").read_bytes()
    assert room.download().bytes_moved == SIZE
    room.check(made(1))
    assert (tmp_path / "link").read_bytes() == before


@root_only
def test_a_part_of_somebody_else(room):
    """A part that another user owns could be changed by him later: it is not gone on with, and the file is ours."""
    room.break_at(5 * MIB)
    os.chown(str(room.part), NOBODY, NOBODY)
    assert room.download().bytes_moved == SIZE
    room.check(made(1))
    assert room.target.stat().st_uid == os.geteuid()


@pytest.mark.parametrize(
    "make",
    [os.mkdir, os.mkfifo, lambda path: Path(path).symlink_to("nowhere")],
    ids=["folder", "pipe", "link to nowhere"],
)
def test_what_is_no_file_in_the_parts_place(room, make):
    """Whatever stands there, the download takes another name, hangs nowhere, and leaves only what was there."""
    make(str(room.part))
    room.download()
    room.check_target(made(1))
    assert set(room.left()) <= {room.part.name}


@forking
def test_a_pipe_in_the_place_of_the_record(room):
    """A pipe where the record should be is not read from: that would wait for ever for somebody to write."""
    room.break_at(5 * MIB)
    room.record.unlink()
    os.mkfifo(str(room.record))
    child = start_child(room.download)
    child.join(LONG / 6)
    is_hanging = child.exitcode is None
    child.kill()
    assert not is_hanging
    assert ended(child) == 0
    room.check(made(1))


def test_a_part_that_is_swapped(room, victim, monkeypatch):
    """A link that takes the part's place before its end does not get the permissions and the owner of the old file."""
    room.target.write_bytes(OLD)
    room.target.chmod(0o604)
    answer = room.store

    def swapping(request):
        room.part.unlink()
        room.part.symlink_to(victim)
        return answer(request)

    room.server.answer = swapping
    try:
        room.download()
    except OSError:
        room.check_target(OLD)


# -- released too early


def test_a_part_is_held_until_it_is_gone(tmp_path, monkeypatch):
    """Where commit fails, nobody else gets hold of the part between the failure and its removal, only to lose it."""
    target = str(tmp_path / "model")
    unlink = os.unlink
    others = []

    def watched(path):
        if not others:
            others.append(None)
            others[0] = parts.claim(target, 0o666, "s")
        unlink(path)

    replacement = Replacement(target, source="s")
    with pytest.raises(OSError, match="no replace"), replacement as file:
        file.write(b"new")
        replacement.note({}, [], [])
        with monkeypatch.context() as patched:
            patched.setattr(os, "replace", raiser(OSError(errno.EIO, "no replace")))
            try:
                replacement.commit()
            finally:
                monkeypatch.setattr(os, "unlink", watched)
    monkeypatch.undo()
    with others[0].file as file:
        assert os.path.samestat(os.fstat(file.fileno()), os.lstat(others[0].path))
        others[0].release()


# -- without locks


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS], ids=errno.errorcode.get)
def test_a_file_system_without_locks(room, monkeypatch, number):
    """Where flock is not to be had, a download is whole or not at all all the same, and nothing is left or kept."""
    lockless = SimpleNamespace(LOCK_EX=2, LOCK_NB=4, LOCK_UN=8, flock=raiser(OSError(number, "no locks")))
    monkeypatch.setattr(parts, "fcntl", lockless)
    plain_ways(room)


def test_a_system_without_locks(room, monkeypatch):
    """The same on Windows, which has no fcntl at all."""
    monkeypatch.setattr(parts, "fcntl", None)
    plain_ways(room)


def plain_ways(room):
    """A download that succeeds, one that breaks, and eight at once."""
    room.target.write_bytes(OLD)
    room.server.answer = room.cutting(5 * MIB)
    with pytest.raises(TransportError):
        room.download(retry=None)
    assert content(room.folder) == {"model": OLD}
    room.server.answer = room.store
    errors = []

    def download():
        try:
            room.download()
        except BaseException as error:  # noqa: BLE001 - all of them belong to the test
            errors.append(error)

    threads = [threading.Thread(target=download) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert errors == []
    room.check(made(1))
