"""Proves that an upload's body arrives whole, counted and never chunked, from whatever source: traps 16, 19 and 20.

All kinds of sources are in test_body.py, each that differs on the wire is a row here; sources that misbehave are in
test_wire_sources.py.
"""

import io
import mmap
import os
import threading

import pytest
from kit import client_of, good, judged, still_works
from rawserver import RawServer

DATA = bytes(range(256)) * 1000


def standing_at(position):
    """A file in memory that somebody has read from before."""
    file = io.BytesIO(DATA)
    file.seek(position)
    return file


def piped():
    """The reading end of a pipe, which cannot seek, with DATA on its way."""
    reading, writing = os.pipe()

    def write():
        with os.fdopen(writing, "wb") as file:
            file.write(DATA)

    threading.Thread(target=write).start()
    return os.fdopen(reading, "rb")


def mapped():
    memory = mmap.mmap(-1, len(DATA))
    memory[:] = DATA
    return memory


SOURCES = {
    "bytes": (lambda: DATA, DATA),
    "views with gaps": (lambda: memoryview(DATA)[1::3], DATA[1::3]),
    "memory map": (mapped, DATA),
    "file in the middle": (lambda: standing_at(1000), DATA[1000:]),
    "pipe": (piped, DATA),
    "generator": (lambda: (DATA[at : at + 1000] for at in range(0, len(DATA), 1000)), DATA),
    "no bytes": (lambda: b"", b""),
    "file at its end": (lambda: standing_at(len(DATA)), b""),
    "generator of nothing": (lambda: iter([b"", b""]), b""),
}


@pytest.mark.parametrize(("source", "expected"), SOURCES.values(), ids=SOURCES)
def test_every_source_arrives_with_its_length(source, expected):
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


def test_upload_file(tmp_path):
    """A file on disk arrives whole; an empty one as a body of length 0."""
    with RawServer(good) as server, client_of(server) as client:
        for data in (DATA, b""):
            (tmp_path / "file").write_bytes(data)
            assert client.upload_file("bucket", "key", tmp_path / "file").bytes_moved == len(data)
    assert [each.body for each in server.requests] == [DATA, b""]
    assert [each.header("content-length") for each in server.requests] == [str(len(DATA)), "0"]


def test_text_is_refused_unsent():
    """Text is a TypeError, before anything is sent."""
    with RawServer(good) as server, client_of(server) as client:
        with pytest.raises(TypeError, match="not text"):
            client.put_object("bucket", "key", "text")
        assert server.connections == 0
