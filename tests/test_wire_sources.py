"""Proves what becomes of a source that changes or fails while it is sent: trap 17, and whose fault is named.

The change always falls between the request's head and its body, when the server has seen the one and not the other;
20 MiB are more than the sockets between them hold.
"""

from __future__ import annotations

import errno
import io
import os
import pathlib
import socket
import threading
from typing import IO, Any, Callable, Iterator

import pytest
from rawhttp import Answerer
from rawserver import Answer, MemoryStore, RawRequest, RawServer
from test_wire_kit import ACCESS, SECRETS, TOKEN, at_path, client_of, good, still_works

from cdn_sigv4 import AccessDenied, CDNError, OutcomeUnknown, ResponseError, SourceError, TransportError

BIG = b"0123456789abcdef" * (20 << 16)


@pytest.fixture
def big_file(tmp_path: pathlib.Path) -> Iterator[IO[bytes]]:
    """An open file of 20 MiB, of which most is still to be read when the server has only seen the request's head."""
    path = tmp_path / "file"
    path.write_bytes(BIG)
    with path.open("rb") as file:
        yield file


def meanwhile(change: Callable[[], Any], then: Answerer) -> Answerer:
    """Something happens between the request's head and its body; only at the first request."""
    left = [change]

    def answer(request: RawRequest) -> Answer:
        if left:
            left.pop()()
        return then(request)

    return answer


def stored_nowhere() -> MemoryStore:
    return MemoryStore(SECRETS, tokens={ACCESS: TOKEN}, buckets=("bucket",))


def test_a_growing_file_sends_what_it_was(big_file: IO[bytes]) -> None:
    """A file that grows while it is sent arrives as it was, and what it grew by is not the next request."""

    def grow() -> None:
        with pathlib.Path(big_file.name).open("ab") as more:
            more.write(b"DELETE /bucket/key HTTP/1.1\r\nHost: x\r\n\r\n")

    with RawServer(meanwhile(grow, good)) as server, client_of(server) as client:
        assert client.put_object("bucket", "key", big_file).size == len(BIG)
        assert pathlib.Path(big_file.name).stat().st_size > len(BIG)
        still_works(client, server)
        assert server.requests[0].body == BIG
        assert server.connections == 1


def test_a_shrinking_file_is_no_object(big_file: IO[bytes]) -> None:
    """A file that shrinks while it is sent is a SourceError, stored nowhere, and its connection is not used again."""
    store = stored_nowhere()
    shrink = lambda: os.truncate(big_file.name, len(BIG) - 1)  # noqa: E731
    with RawServer(meanwhile(shrink, store)) as server, client_of(server) as client:
        with pytest.raises(SourceError, match=f"ended 1 bytes before the {len(BIG)}"):
            client.put_object("bucket", "key", big_file)
        still_works(client, server)
        server.wait_for(3)
        assert [each.complete for each in at_path(server, b"/bucket/key")] == [False]
        assert store.objects == {}
        assert server.connections == 2


def test_a_changed_file_is_refused_by_its_hash(big_file: IO[bytes]) -> None:
    """Bytes that changed after they were hashed are refused by a store that compares, and stored nowhere."""
    store = stored_nowhere()

    def change() -> None:
        with pathlib.Path(big_file.name).open("r+b") as other:
            other.seek(-1000, io.SEEK_END)
            other.write(b"!" * 1000)

    with RawServer(meanwhile(change, store)) as server, client_of(server) as client:
        with pytest.raises(ResponseError, match="SHA-256"):
            client.put_object("bucket", "key", big_file)
        assert store.objects == {}


class Failing(io.BytesIO):
    """20 MiB whose reading fails somewhere behind the first byte, from the moment that it is told to."""

    def __init__(self, error: Exception) -> None:
        super().__init__(BIG)
        self.error = error
        self.fails = False

    def fail(self) -> None:
        self.fails = True

    def read(self, amount: int | None = -1) -> bytes:
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
def test_trouble_with_the_source_while_sending(error: Exception) -> None:
    """What the source's read raises is a SourceError with that as its cause, even where it looks like the network's."""
    source = Failing(error)
    with RawServer(meanwhile(source.fail, good)) as server, client_of(server) as client:
        with pytest.raises(SourceError) as caught:
            client.put_object("bucket", "key", source)
        assert caught.value.__cause__ is error
        assert str(error) in str(caught.value)
        still_works(client, server)
        server.wait_for(3)
        assert [each.complete for each in at_path(server, b"/bucket/key")] == [False]


@pytest.mark.parametrize("error", TROUBLE, ids=lambda error: type(error).__name__)
def test_trouble_with_the_source_before_sending(error: Exception) -> None:
    """The same while it is hashed; then nothing is sent."""
    source = Failing(error)
    source.fail()
    with RawServer(good) as server, client_of(server) as client:
        with pytest.raises(SourceError):
            client.put_object("bucket", "key", source)
        assert server.connections == 0


def test_source_errors_say_which_object() -> None:
    """A SourceError carries operation, bucket and key, as every other error does."""
    source = Failing(OSError("odd"))
    with RawServer(meanwhile(source.fail, good)) as server, client_of(server) as client:
        with pytest.raises(SourceError) as caught:
            client.put_object("bucket", "key", source)
    assert (caught.value.operation, caught.value.bucket, caught.value.key) == ("PUT", "bucket", "key")


def test_an_iterable_that_fails_sends_nothing() -> None:
    """What a generator raises comes through as it is, and nothing was sent."""

    def pieces() -> Iterator[bytes]:
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
def test_a_bytearray_is_given_back(answer: Answerer, kind: type[CDNError] | None) -> None:
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
