"""`kill -9` at any moment of a download: the target is the old file or the whole new one, and the next run goes on.

The moments are chosen by counting: bytes that came, and calls of the system. The child that is killed is forked, so
that it is warm; it and the run after it are told by their requests what was fetched twice.
"""

import dataclasses
import os
import random
import signal
import threading

import pytest
from kit import BUCKET, KEY, SECRET
from kit_files import content
from kit_kills import count_calls, die_at_step, die_behind
from kit_parts import MIB, OLD, SIZE, Room, ended, forking, in_child, made, start_child
from rawserver import MemoryStore, RawServer

from cdn_sigv4 import filling, parts, transfer

pytestmark = [
    pytest.mark.skipif(parts.fcntl is None or not hasattr(os, "fork"), reason="parts that are gone on with need flock"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
KILLED = -signal.SIGKILL


SMALL = 2 * MIB + 123  # bytes: enough to be synced once on the way, and quick where there are many runs


@pytest.fixture
def room(tmp_path, loopback, store, monkeypatch):
    """A folder with an old file, a store with a new one; the disk is waited for every three MiB."""
    alone(monkeypatch)
    monkeypatch.setattr(transfer, "SYNC_EVERY", 3 * MIB)
    return room_at(tmp_path / "room", loopback, store)


@pytest.fixture
def small_room(tmp_path, loopback, store, monkeypatch):
    """The same with an object that is small, and worth a part all the same, for tests of many runs."""
    alone(monkeypatch)
    monkeypatch.setattr(transfer, "SYNC_EVERY", MIB)
    monkeypatch.setattr(transfer, "RESUME_LEAST", MIB)
    monkeypatch.setattr(filling, "BLOCK", MIB // 4)
    monkeypatch.setattr(filling, "NOTE_EVERY", MIB // 4)
    return room_at(tmp_path / "room", loopback, store, SMALL)


def alone(patch):
    """Let no connection join, which it would on a busy machine: the steps are those of one, and counted beforehand."""
    patch.setattr(filling, "HELP_AFTER", float("inf"))


def room_at(folder, server, store, size=SIZE):
    """An old file and a new object."""
    folder.mkdir()
    room = Room(folder, server, store)
    room.put(made(1, size))
    room.target.write_bytes(OLD)
    return room


def run_again(room, size=SIZE, *, may_go_on=True):
    """After a kill: the target is whole, the next run makes it the new one, alone in its folder; whether it went on."""
    body = made(1, size)
    room.check_target(OLD, body)
    room.check_noted(body)
    here = room.trusted() if may_go_on else 0
    result = room.download()
    room.check(body)
    assert result.bytes_moved == len(body) - here
    assert room.ranges()[-1] == (f"bytes={here}-{len(body) - 1}" if here else None)
    return here > 0


def killed_at(room, step, **options):
    """Run a download in a child that ends itself at this step; whether it came so far."""

    def run():
        die_at_step(step)
        room.download(**options)

    code = in_child(run)
    assert code in (0, KILLED)
    return code == KILLED


def steps_of(room, **options):
    """The calls that one download makes of the system, in their order."""
    names = []
    with pytest.MonkeyPatch.context() as patch:
        count_calls(patch.setattr, lambda _, name: names.append(name))
        room.download(**options)
    room.target.write_bytes(OLD)
    return names


def test_killed_at_every_step(small_room):
    """A kill before each single call of the system leaves the old file or the new one, and a part to go on with.

    Where the part was recorded, the next run fetches only what is missing.
    """
    room = small_room
    steps = steps_of(room)
    assert {"open", "flock", "pwrite", "fsync", "chmod", "replace", "unlink"} <= set(steps)
    went_on = []
    room.target.write_bytes(OLD)
    while killed_at(room, len(went_on)):  # how many steps there are depends on what each read brings
        went_on.append(run_again(room, SMALL))
        room.target.write_bytes(OLD)
    assert not went_on[0]
    assert went_on.count(True) > 8
    assert len(went_on) > len(steps) // 2


def test_killed_at_every_step_of_the_next_run_too(small_room):
    """The same for a run that goes on with what another one has left, which was killed itself."""
    room = small_room
    room.break_at(MIB)
    left = {path: path.read_bytes() for path in (room.part, room.record)}
    step = 0
    while True:
        room.target.write_bytes(OLD)
        for path, data in left.items():
            path.write_bytes(data)
        if not killed_at(room, step):
            break
        run_again(room, SMALL)
        step += 1
    assert step > 10


def test_killed_at_every_step_without_resume(small_room):
    """A download that leaves nothing to go on with leaves nothing behind for good either."""
    room = small_room
    options = {"resume": False, "durable": False}
    step = 0
    room.target.write_bytes(OLD)
    while killed_at(room, step, **options):
        room.check_target(OLD, made(1, SMALL))
        room.download(**options)
        room.check(made(1, SMALL))
        room.target.write_bytes(OLD)
        step += 1
    assert step > 10


def test_killed_at_every_step_in_new_folders(small_room):
    """Folders that a killed run has made are taken for what they are: the next run saves into them."""
    room = small_room
    room.target = room.folder / "a" / "b" / "model"
    step = 0
    while killed_at(room, step, make_folders=True):
        assert not room.target.exists() or room.target.read_bytes() == made(1, SMALL)
        room.download(make_folders=True)
        assert set(content(room.folder)) == {"model", "a", "a/b", "a/b/model"}
        assert room.target.read_bytes() == made(1, SMALL)
        room.target.unlink()
        room.target.parent.rmdir()
        room.target.parent.parent.rmdir()
        step += 1
    assert step > 10


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("sums", [True, False], ids=["checksum", "no checksum"])
@pytest.mark.parametrize("power", [True, False], ids=["power cut", "kill"])
def test_killed_in_the_body(room, seed, sums, power):
    """Behind whatever byte, and with the last write cut short: what was noted is gone on with, as far as it is there.

    A kill costs no more than what was not noted yet, a power cut what the disk was not waited for.
    """
    chance = random.Random(seed)
    at = chance.randrange(SIZE)

    def run():
        die_behind(at)
        room.download(etag_is_md5=sums)

    assert in_child(run) == KILLED
    room.check_noted(made(1))
    if power:
        room.power_cut(made(1))
    lost = (3 * MIB if power else 0) + filling.NOTE_EVERY + filling.BLOCK  # which was read, and not written yet
    assert room.trusted() >= at - lost
    if seed % 2 and room.part.stat().st_size:
        os.truncate(str(room.part), chance.randrange(room.part.stat().st_size + 1))
    here = room.trusted()
    result = room.download(etag_is_md5=sums)
    room.check(made(1))
    assert result.bytes_moved == SIZE - here


@pytest.mark.parametrize("size", [SIZE, 6 * MIB, 10_000], ids=["same size", "smaller", "small"])
@pytest.mark.parametrize("seed", range(3))
def test_killed_and_replaced_meanwhile(room, seed, size):
    """Where the object was replaced between the runs, the new version comes whole, and nothing of the old one stays."""
    at = random.Random(seed).randrange(SIZE)

    def run():
        die_behind(at)
        room.download()

    assert in_child(run) == KILLED
    room.check_target(OLD)
    room.put(made(2, size))
    assert room.download().bytes_moved == size
    room.check(made(2, size))


class Killing(threading.Event):
    """A delay of the server's, in the middle of a body, which kills the client."""

    def __init__(self):
        super().__init__()
        self.pid = 0

    def wait(self, timeout=None):
        os.kill(self.pid, signal.SIGKILL)
        return True


@pytest.mark.parametrize("seed", range(6))
def test_killed_from_outside(room, seed):
    """A kill that comes from elsewhere while bytes are on their way, at no call in particular."""
    at = random.Random(seed).randrange(SIZE)
    killing = Killing()
    room.server.answer = lambda request: dataclasses.replace(room.store(request), delay=killing, delay_after=at)
    begin = os.pipe()

    def run():
        os.read(begin[0], 1)
        room.download()

    child = start_child(run)
    killing.pid = child.pid
    os.write(begin[1], b".")
    assert ended(child) == KILLED
    os.close(begin[0])
    os.close(begin[1])
    room.server.answer = room.store
    room.check_target(OLD)
    run_again(room)


def test_many_killed_side_by_side(room):
    """Three runs that were killed at once leave three parts; the next one goes on with one and takes all away."""
    room.server.answer = room.store
    begin = os.pipe()

    def run(at):
        die_behind(at)
        os.read(begin[0], 1)
        room.download()

    children = [start_child(run, (2 + number) * MIB) for number in range(3)]
    os.write(begin[1], b"...")
    assert [ended(child) for child in children] == [KILLED] * 3
    os.close(begin[0])
    os.close(begin[1])
    run_again(room)


@forking
def test_a_store_that_is_killed_with_it(tmp_path, monkeypatch):
    """Power that fails on both sides: the store comes back at another port, and what was fetched counts no more."""
    store = MemoryStore({KEY: SECRET}, buckets=(BUCKET,))
    with RawServer(store) as first:
        room = room_at(tmp_path / "room", first, store)

        def run():
            die_behind(4 * MIB)
            room.download()

        assert in_child(run) == KILLED
    with RawServer(store) as second:
        room.server = second
        run_again(room, may_go_on=False)
