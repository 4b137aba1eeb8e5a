"""Proves that an upload's body arrives whole, counted and never chunked, from whatever source: traps 16, 19 and 20.

Every kind of source is a row of one table; sources that misbehave are in test_wire_sources.py.
"""

from __future__ import annotations

import array
import io
import mmap
import os
import threading
from typing import TYPE_CHECKING, Any, Callable

import pytest
from rawserver import RawServer
from test_wire_kit import client_of, good, judged, still_works

if TYPE_CHECKING:
    import pathlib

DATA = bytes(range(256)) * 1000


def standing_at(position: int) -> io.BytesIO:
    """A file in memory that somebody has read from before."""
    file = io.BytesIO(DATA)
    file.seek(position)
    return file


def piped() -> io.BufferedReader:
    """The reading end of a pipe, which cannot seek, with DATA on its way."""
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as file:
            file.write(DATA)

    threading.Thread(target=write).start()
    return os.fdopen(reading, "rb")


def mapped() -> mmap.mmap:
    memory = mmap.mmap(-1, len(DATA))
    memory[:] = DATA
    return memory


class Unseekable(io.RawIOBase):
    """Hands out little at a time."""

    def __init__(self) -> None:
        super().__init__()
        self._file = io.BytesIO(DATA)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(memoryview(buffer)[:1000])


class OnlyRead:
    """The least that can be called a file."""

    def __init__(self) -> None:
        self._file = io.BytesIO(DATA)

    def read(self, amount: int = -1) -> bytes:
        return self._file.read(amount)


INTS = array.array("i", range(1000))
SOURCES: list[tuple[str, Callable[[], Any], bytes]] = [
    ("bytes", lambda: DATA, DATA),
    ("bytearray", lambda: bytearray(DATA), DATA),
    ("memoryview", lambda: memoryview(DATA), DATA),
    ("array-of-ints", lambda: INTS, INTS.tobytes()),
    ("memoryview-of-ints", lambda: memoryview(INTS), INTS.tobytes()),
    ("memoryview-2d", lambda: memoryview(DATA).cast("B", (1000, 256)), DATA),
    ("non-contiguous", lambda: memoryview(DATA)[1::3], DATA[1::3]),
    ("backwards", lambda: memoryview(DATA)[::-1], DATA[::-1]),
    ("mmap", mapped, DATA),
    ("file-in-memory", lambda: io.BytesIO(DATA), DATA),
    ("file-in-the-middle", lambda: standing_at(1000), DATA[1000:]),
    ("pipe", piped, DATA),
    ("unseekable", Unseekable, DATA),
    ("only-read", OnlyRead, DATA),
    ("generator", lambda: (DATA[at : at + 1000] for at in range(0, len(DATA), 1000)), DATA),
    ("list-with-empty-pieces", lambda: [b"", b"a", b"", b"b", b""], b"ab"),
    ("list-of-mixed", lambda: [b"a", bytearray(b"b"), memoryview(b"c")], b"abc"),
    ("empty-bytes", lambda: b"", b""),
    ("empty-bytearray", bytearray, b""),
    ("empty-memoryview", lambda: memoryview(b""), b""),
    ("empty-array", lambda: array.array("d"), b""),
    ("empty-file", io.BytesIO, b""),
    ("file-at-its-end", lambda: standing_at(len(DATA)), b""),
    ("file-behind-its-end", lambda: standing_at(len(DATA) + 9), b""),
    ("empty-generator", lambda: iter(()), b""),
    ("generator-of-nothing", lambda: iter([b"", b""]), b""),
]


@pytest.mark.parametrize(("source", "expected"), [each[1:] for each in SOURCES], ids=[each[0] for each in SOURCES])
def test_every_source_arrives_with_its_length(source: Callable[[], Any], expected: bytes) -> None:
    """The bytes arrive, unchunked, under one Content-Length that counts them, and the connection is clean behind."""
    body = source()
    with RawServer(good) as server, client_of(server) as client:
        info = client.put_object("bucket", "key", body)
        still_works(client, server)
        request = server.requests[0]
        assert request.body == expected
        assert [value for name, value in request.headers if name.lower() == "content-length"] == [str(len(expected))]
        assert request.header("transfer-encoding") is None
        assert request.header("expect") is None
        judged(request)
        assert info.size == len(expected)
        assert server.connections == 1
    if hasattr(body, "close"):
        body.close()


def test_upload_file(tmp_path: pathlib.Path) -> None:
    """A file on disk arrives whole; an empty one as a body of length 0."""
    with RawServer(good) as server, client_of(server) as client:
        for data in (DATA, b""):
            (tmp_path / "file").write_bytes(data)
            assert client.upload_file("bucket", "key", tmp_path / "file").bytes_moved == len(data)
    assert [each.body for each in server.requests] == [DATA, b""]
    assert [each.header("content-length") for each in server.requests] == [str(len(DATA)), "0"]


@pytest.mark.parametrize(
    "source",
    ["text", io.StringIO("text"), ["text"], None, 5, {"a": b"b"}, [1, 2], object()],
    ids=["str", "text-file", "list-of-str", "None", "int", "dict", "list-of-int", "object"],
)
def test_what_is_no_bytes_is_refused(source: Any) -> None:
    """Text and all that is not bytes is a TypeError, before anything is sent."""
    with RawServer(good) as server, client_of(server) as client:
        with pytest.raises(TypeError):
            client.put_object("bucket", "key", source)
        assert server.connections == 0
