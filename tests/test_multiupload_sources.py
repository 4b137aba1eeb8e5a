"""Every kind of source that can be uploaded in parts: memory, files, what only seeks, what only comes once.

Client and store are told that parts may be small; one test uses the real limit.
"""

import array
import gzip
import io
import os
import socket
import threading
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import BUCKET, SECRETS
from kit_parts import MIB, made
from kit_uploads import DATA, PART, SIZE, allow_small_parts, client_for, put, stored
from rawserver import MemoryStore, RawServer

HALF = PART // 2


pytestmark = pytest.mark.usefixtures("small_parts")


def from_file(path, start=0, **options):
    path.write_bytes(made(8, start) + DATA)
    file = path.open("rb", **options)
    file.seek(start)
    return file


def from_gzip(path):
    path.write_bytes(gzip.compress(DATA, 1))
    return gzip.open(path)


def from_zip(path):
    with zipfile.ZipFile(str(path), "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("member", DATA)
    return zipfile.ZipFile(str(path)).open("member")


def from_bytes_io(start):
    file = io.BytesIO(made(8, start) + DATA)
    file.seek(start)
    return file


def written_by(file):
    """Write all bytes from a thread, as the other end would."""

    def run():
        with file:
            file.write(DATA)

    threading.Thread(target=run, daemon=True).start()


def from_pipe():
    reader, writer = os.pipe()
    written_by(os.fdopen(writer, "wb"))
    return os.fdopen(reader, "rb")


def from_socket():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        written_by(theirs.makefile("wb"))
        return ours.makefile("rb")


def reusing():
    """Blocks in one buffer, which is emptied and filled again, as a reader of frames may do."""
    buffer = bytearray()
    for start in range(0, SIZE, 7777):
        buffer += DATA[start : start + 7777]
        yield buffer
        buffer.clear()


def blocks(size):
    return (DATA[start : start + size] for start in range(0, SIZE, size))


DOUBLES = array.array("d", range(SIZE // 8))
SOURCES = {
    "bytes": (lambda path: DATA, DATA),
    "bytearray": (lambda path: bytearray(DATA), DATA),
    "memoryview": (lambda path: memoryview(DATA)[10:], DATA[10:]),
    "array of doubles": (lambda path: DOUBLES, DOUBLES.tobytes()),
    "view of doubles": (lambda path: memoryview(DOUBLES)[3:], DOUBLES.tobytes()[24:]),
    "every second byte": (lambda path: memoryview(DATA)[::2], DATA[::2]),
    "file": (from_file, DATA),
    "file from its position": (lambda path: from_file(path, 1234), DATA),
    "unbuffered file": (lambda path: from_file(path, 1234, buffering=0), DATA),
    "BytesIO": (lambda path: from_bytes_io(0), DATA),
    "BytesIO from its position": (lambda path: from_bytes_io(99), DATA),
    "gzip member": (from_gzip, DATA),
    "zip member": (from_zip, DATA),
    "generator": (lambda path: blocks(7777), DATA),
    "list of one": (lambda path: [DATA], DATA),
    "blocks of a part": (lambda path: blocks(PART), DATA),
    "blocks of two parts": (lambda path: blocks(2 * PART), DATA),
    "single bytes": (lambda path: (bytes([each]) for each in DATA[: PART + 1]), DATA[: PART + 1]),
    "empty blocks": (lambda path: (block for each in blocks(HALF) for block in (b"", each, b"")), DATA),
    "doubles": (lambda path: iter([DOUBLES, memoryview(DATA)[::2]]), DOUBLES.tobytes() + DATA[::2]),
    "one buffer again and again": (lambda path: reusing(), DATA),
    "pipe": (lambda path: from_pipe(), DATA),
    "socket": (lambda path: from_socket(), DATA),
}


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize(("make", "expected"), SOURCES.values(), ids=SOURCES)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_sources(client, store, loopback, tmp_path, make, expected, workers):
    """Every kind of source is stored byte for byte in parts of the size asked for, by one thread and by four."""
    info = put(client, make(tmp_path / "file"), max_workers=workers)
    assert stored(store).body == expected
    assert [size for size, _ in stored(store).parts] == [
        min(PART, len(expected) - start) for start in range(0, len(expected), PART)
    ]
    assert (info.bucket, info.key, info.size, info.etag) == (BUCKET, "key", len(expected), stored(store).etag)


@settings(max_examples=30)
@given(
    cuts=st.lists(st.integers(0, 40_000), max_size=12),
    size=st.integers(0, 40_000),
    part=st.integers(5000, 20_000),
    workers=st.integers(1, 4),
)
def test_an_iterable_of_any_blocks(cuts, size, part, workers):
    """However an iterable cuts them, bytes are stored as they are: in one PUT up to a part's size, then in parts."""
    ends = sorted({min(cut, size) for cut in cuts} | {0, size})
    store = MemoryStore(SECRETS, buckets=(BUCKET,))
    with pytest.MonkeyPatch.context() as patch:
        allow_small_parts(patch, store)
        with RawServer(store) as server, client_for(server) as client:
            source = (DATA[begin:end] for begin, end in zip(ends, ends[1:]))
            put(client, source, part_size=part, max_workers=workers)
            assert stored(store).body == DATA[:size]
            assert len(stored(store).parts) == (0 if size <= part else -(-size // part))


@pytest.mark.parametrize("how", ["memory", "file", "generator"])
@pytest.mark.parametrize(("size", "count"), [(0, 0), (1, 0), (5 * MIB, 0), (5 * MIB + 1, 2)])
def test_from_5_mib_on_in_parts(client, store, loopback, tmp_path, monkeypatch, how, size, count):
    """By itself an object of up to 5 MiB is one PUT, and one byte more are two parts, the second with that byte."""
    monkeypatch.undo()
    store.least_part = 5 * MIB
    data = made(9, size)
    (tmp_path / "file").write_bytes(data)
    with (tmp_path / "file").open("rb") as file:
        client.put_object(BUCKET, "key", {"memory": data, "file": file, "generator": iter([data])}[how])
    assert stored(store).body == data
    assert [each for each, _ in stored(store).parts] == ([5 * MIB, 1] if count else [])
    assert len(loopback.requests) == (count + 2 if count else 1)
