"""Proves what becomes of a source that changes or fails while it is sent: trap 17, and whose fault is named.

The change always falls between the request's head and its body, when the server has seen the one and not the other;
20 MiB are more than the sockets between them hold.
"""

import errno
import io
import os
import pathlib
import socket
import threading

import pytest
from kit import BIG, KEY, SECRETS, TOKEN, at_path, client_of, good, still_works
from rawserver import Answer, MemoryStore, RawServer

from cdn_sigv4 import AccessDenied, CDNError, OutcomeUnknown, ResponseError, SourceError, TransportError

pytestmark = pytest.mark.usefixtures("one_put")


@pytest.fixture
def big_file(tmp_path):
    """An open file of 20 MiB, of which most is still to be read when the server has only seen the request's head."""
    path = tmp_path / "file"
    path.write_bytes(BIG)
    with path.open("rb") as file:
        yield file


def meanwhile(change, then):
    """Something happens between the request's head and its body; only at the first request."""
    left = [change]

    def answer(request):
        if left:
            left.pop()()
        return then(request)

    return answer


def stored_nowhere():
    return MemoryStore(SECRETS, tokens={KEY: TOKEN}, buckets=("bucket",))


def test_a_growing_file_sends_what_it_was(big_file):
    """A file that grows while it is sent arrives as it was, and what it grew by is not the next request."""

    def grow():
        with pathlib.Path(big_file.name).open("ab") as more:
            more.write(b"DELETE /bucket/key HTTP/1.1\r\nHost: x\r\n\r\n")

    with RawServer(meanwhile(grow, good)) as server, client_of(server) as client:
        assert client.put_object("bucket", "key", big_file).size == len(BIG)
        assert pathlib.Path(big_file.name).stat().st_size > len(BIG)
        still_works(client, server)
        assert server.requests[0].body == BIG
        assert server.connections == 1


def test_a_shrinking_file_is_no_object(big_file):
    """A file that shrinks while it is sent is a SourceError, stored nowhere, and its connection is not used again."""
    store = stored_nowhere()
    shrink = lambda: os.truncate(big_file.name, len(BIG) - 1)  # noqa: E731
    with RawServer(meanwhile(shrink, store)) as server, client_of(server) as client:
        with pytest.raises(SourceError, match="bytes at first, and ended 1 bytes before that"):
            client.put_object("bucket", "key", big_file)
        still_works(client, server)
        server.wait_for(3)
        assert [each.complete for each in at_path(server, b"/bucket/key")] == [False]
        assert store.objects == {}
        assert server.connections == 2


def test_a_changed_file_is_refused_by_its_hash(big_file):
    """Bytes that changed after they were hashed are refused by a store that compares, and stored nowhere."""
    store = stored_nowhere()

    def change():
        with pathlib.Path(big_file.name).open("r+b") as other:
            other.seek(-1000, io.SEEK_END)
            other.write(b"!" * 1000)

    with RawServer(meanwhile(change, store)) as server, client_of(server) as client:
        with pytest.raises(ResponseError, match="SHA-256"):
            client.put_object("bucket", "key", big_file)
        assert store.objects == {}


class Failing(io.BytesIO):
    """20 MiB whose reading fails somewhere behind the first byte, from the moment that it is told to."""

    def __init__(self, error):
        super().__init__(BIG)
        self.error = error
        self.fails = False

    def fail(self):
        self.fails = True

    def read(self, amount=-1):
        if self.fails and self.tell() > 0:
            raise self.error
        return super().read(amount)


TROUBLE = [
    OSError(errno.EIO, "input/output error"),
    BrokenPipeError(errno.EPIPE, "broken pipe"),
    ConnectionResetError(errno.ECONNRESET, "reset"),
    socket.timeout("timed out"),
    ValueError("I/O operation on closed file"),
]


@pytest.mark.parametrize("error", TROUBLE, ids=lambda error: type(error).__name__)
def test_trouble_with_the_source_while_sending(error):
    """What the source's read raises is a SourceError with that as its cause, even where it looks like the network's."""
    source = Failing(error)
    with RawServer(meanwhile(source.fail, good)) as server, client_of(server) as client:
        with pytest.raises(SourceError) as caught:
            client.put_object("bucket", "key", source)
        assert caught.value.__cause__ is error
        assert (caught.value.operation, caught.value.bucket, caught.value.key) == ("PUT", "bucket", "key")
        assert str(error) in str(caught.value)
        still_works(client, server)
        server.wait_for(3)
        assert [each.complete for each in at_path(server, b"/bucket/key")] == [False]


def test_an_iterable_that_fails_sends_nothing():
    """What a generator raises comes through as it is, and nothing was sent."""

    def pieces():
        yield b"some"
        raise ZeroDivisionError

    with RawServer(good) as server, client_of(server) as client:
        with pytest.raises(ZeroDivisionError):
            client.put_object("bucket", "key", pieces())
        assert server.connections == 0


REFUSED = [
    ("success", good, None),
    ("early-403", lambda request: Answer(403, before_body=True, drain=0), AccessDenied),
    ("reset", lambda request: Answer(reset=True, before_body=True), TransportError),
    ("answer-lost", lambda request: Answer(reset=True), OutcomeUnknown),
    ("stall", lambda request: Answer(before_body=True, delay=threading.Event()), TransportError),
]


@pytest.mark.parametrize(("answer", "kind"), [each[1:] for each in REFUSED], ids=[each[0] for each in REFUSED])
def test_a_bytearray_is_given_back(answer, kind):
    """After success and after each failure, while its error is still held, the caller's bytearray can be resized."""
    data = bytearray(BIG)
    caught = None
    with RawServer(answer) as server, client_of(server, timeout=(5, 0.3)) as client:
        try:
            client.put_object("bucket", "key", data)
        except CDNError as error:
            caught = error
        assert type(caught) is (type(None) if kind is None else kind)
        data.extend(b"more")
        del data[:]
