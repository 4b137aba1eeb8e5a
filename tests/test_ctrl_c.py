"""Ctrl-C in the middle of a body, up or down: it gets through, and neither connection nor folder suffers.

At any line of the package at all is tried in test_interrupts.py.
"""

import socket

import pytest
from kit import BUCKET, still_works
from kit_files import content
from kit_mixed import BadLink
from kit_parts import MIB, OLD, SIZE, made
from rawserver import RawServer


@pytest.fixture
def ctrl_c(monkeypatch):
    """A Ctrl-C in the client's call of the system that reads, once so many bytes of answers have come."""
    readinto = socket.SocketIO.readinto

    def arm(at):
        left = [at]

        def interrupted(self, buffer):
            if left[0] <= 0:
                monkeypatch.setattr(socket.SocketIO, "readinto", readinto)
                raise KeyboardInterrupt
            count = readinto(self, memoryview(buffer)[: left[0]])
            left[0] -= count
            return count

        monkeypatch.setattr(socket.SocketIO, "readinto", interrupted)

    return arm


@pytest.fixture
def two_ways(room):
    """A client of the room, and a check that it still works: the connection that was broken off answers nobody."""
    with room.client() as client:
        yield client, lambda: still_works(client, room.server)


@pytest.mark.parametrize("at", [0, 40, 1000, 3 * MIB + 1, SIZE], ids=["first", "head", "body", "middle", "late"])
@pytest.mark.parametrize("call", ["all", "read", "iterate"])
def test_ctrl_c_while_reading(room, ctrl_c, two_ways, at, call):
    """Ctrl-C in an answer gets through, ends it for good, and the next request has a connection without stray bytes."""
    client, check = two_ways
    readers = []

    def run():
        readers.append(client.get_object(BUCKET, "key"))
        if call == "all":
            readers[0].read()
        else:
            list(readers[0] if call == "iterate" else iter(lambda: readers[0].read(1000), b""))

    ctrl_c(at)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(readers) == (at >= 1000)
    for reader in readers:
        with pytest.raises(ValueError, match="closed"):
            reader.read(1)
    check()


@pytest.mark.parametrize("at", [1000, 3 * MIB + 1, 8 * MIB])
def test_ctrl_c_while_saving(room, ctrl_c, two_ways, at):
    """Ctrl-C in a download leaves the old file, and what was written by then, with which the next run goes on."""
    client, check = two_ways
    room.target.write_bytes(OLD)
    ctrl_c(at)
    with pytest.raises(KeyboardInterrupt):
        client.download_file(BUCKET, "key", room.target)
    room.check_target(OLD)
    here = room.trusted()
    assert set(room.left()) == ({room.part.name, room.record.name} if here else set())
    assert at - 1000 - MIB <= here <= at
    room.check_noted(made(1))
    check()
    room.server.answer = room.store
    assert client.download_file(BUCKET, "key", room.target).bytes_moved == SIZE - here
    room.check(made(1))


def test_ctrl_c_while_saving_what_is_small(room, ctrl_c, two_ways):
    """Where the object is not worth a part, nothing is left."""
    client, check = two_ways
    room.put(made(2, MIB))
    ctrl_c(5000)
    with pytest.raises(KeyboardInterrupt):
        client.download_file(BUCKET, "key", room.folder / "a" / "model", make_folders=True)
    assert content(room.folder) == {}
    check()


class Source:
    """A file of 4 MiB, which is interrupted when it is read for the `nth` time."""

    def __init__(self, nth):
        self._left, self._at = nth, 0

    def read(self, amount=-1):
        self._left -= 1
        if self._left == 0:
            raise KeyboardInterrupt
        start, self._at = self._at, min(self._at + amount, 4 * MIB)
        return made(3, 4 * MIB)[start : self._at]

    def seek(self, offset, whence=0):
        self._at = offset if whence == 0 else 4 * MIB + offset
        return self._at

    def tell(self):
        return self._at


@pytest.mark.parametrize("nth", [1, 3, 8, 20], ids=["at first", "hashing", "sending", "late"])
def test_ctrl_c_while_sending(room, store, two_ways, nth):
    """Ctrl-C in an upload gets through; nothing is stored, and no half request stands before the next one."""
    client, check = two_ways
    with pytest.raises(KeyboardInterrupt):
        client.put_object(BUCKET, "new", Source(nth))
    assert (BUCKET, b"new") not in store.objects
    check()


def test_ctrl_c_while_waiting(room, two_ways, monkeypatch):
    """Ctrl-C between two attempts, or in what hears of them, gets through as well."""
    client, check = two_ways

    def interrupted(*_):
        raise KeyboardInterrupt

    for name in ("sleep", "_on_event"):
        with monkeypatch.context() as patch:
            patch.setattr(client._exchange, name, interrupted)
            room.server.answer = BadLink(room.store, every=1)
            with pytest.raises(KeyboardInterrupt):
                client.download_file(BUCKET, "key", room.target)
    assert set(room.left()) <= {room.part.name, room.record.name}
    check()


def test_ctrl_c_of_one_server_is_not_the_next_ones(room, store):
    """A client that was closed after an interruption opens new connections, to whoever listens now."""
    with room.client() as client:
        with pytest.raises(KeyboardInterrupt):
            client.put_object(BUCKET, "new", Source(8))
        client.close()
        assert client.head_object(BUCKET, "key").size == SIZE
    with RawServer(store) as second:
        room.server = second
        assert room.download().bytes_moved == SIZE
