"""The bytes of one upload: measured in bytes, hashed as they are sent, bounded, read again from their beginning.

Traps: sizes in elements (memoryview), sources at their end or without a size (16), files that grow or shrink
meanwhile (17), text, paths and dicts (19), sources that cannot seek, and what a source may do while it is read.
"""

from __future__ import annotations

import array
import collections
import ctypes
import hashlib
import io
import os
import pathlib
import tempfile
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdn_sigv4 import body as module
from cdn_sigv4.body import BLOCK, SPOOL_MEMORY, open_body
from cdn_sigv4.errors import SourceError

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=100)

DATA = bytes(range(256)) * 5
FDS = pathlib.Path("/proc/self/fd")


class Pipe(io.RawIOBase):
    """A source that cannot seek, and hands out what it has in pieces of at most 100 bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.left = data

    def readable(self) -> bool:
        return True

    def readinto(self, room: bytearray) -> int:
        block, self.left = self.left[: min(len(room), 100)], self.left[min(len(room), 100) :]
        room[: len(block)] = block
        return len(block)


class Broken(io.BytesIO):
    """A seekable file whose disk fails once `broken` is set."""

    broken = False

    def read(self, *args: int) -> bytes:
        if self.broken:
            raise OSError(5, "Input/output error")
        return super().read(*args)

    def seek(self, *args: int) -> int:
        if self.broken:
            raise OSError(5, "Input/output error")
        return super().seek(*args)


class BrokenPipe(Pipe):
    """A source that cannot seek and fails after its data."""

    def readinto(self, room: bytearray) -> int:
        if room and not self.left:
            raise OSError(5, "Input/output error")
        return super().readinto(room)


class OnlyRead:
    """A file object with nothing but `read`."""

    def __init__(self, data: bytes) -> None:
        self.read = io.BytesIO(data).read


def at(position: int, file: io.BytesIO) -> io.BytesIO:
    file.seek(position)
    return file


def everything(body: module.Body, amount: int = 300) -> bytes:
    blocks = []
    while True:
        block = body.read(amount)
        if not block:
            return b"".join(blocks)
        blocks.append(bytes(block))


DOUBLES = array.array("d", [1.0, -2.5, 3e300])
TEXT = memoryview(b"abcdef")
SOURCES = [
    pytest.param(lambda: DATA, DATA, id="bytes"),
    pytest.param(lambda: bytearray(DATA), DATA, id="bytearray"),
    pytest.param(lambda: memoryview(DATA), DATA, id="memoryview"),
    pytest.param(lambda: b"", b"", id="no bytes"),
    pytest.param(bytearray, b"", id="empty bytearray"),
    pytest.param(lambda: DOUBLES, DOUBLES.tobytes(), id="array of doubles"),
    pytest.param(lambda: array.array("d"), b"", id="empty array of doubles"),
    pytest.param(lambda: memoryview(DOUBLES), DOUBLES.tobytes(), id="memoryview of doubles"),
    pytest.param(lambda: memoryview(DOUBLES)[1:], DOUBLES.tobytes()[8:], id="slice of doubles"),
    pytest.param(lambda: TEXT.cast("H"), b"abcdef", id="cast to shorts"),
    pytest.param(lambda: TEXT.cast("B", (2, 3)), b"abcdef", id="two dimensions"),
    pytest.param(lambda: TEXT.cast("c"), b"abcdef", id="characters"),
    pytest.param(lambda: TEXT[::2], b"ace", id="every second byte"),
    pytest.param(lambda: TEXT[::-1], b"fedcba", id="backwards"),
    pytest.param(lambda: TEXT[:0], b"", id="empty slice"),
    pytest.param(lambda: (ctypes.c_uint16.__ctype_be__ * 3)(1, 2, 3), b"\0\1\0\2\0\3", id="big-endian array"),
    pytest.param(lambda: ctypes.c_uint8(5), b"\5", id="no dimension"),
    pytest.param(lambda: io.BytesIO(DATA), DATA, id="file"),
    pytest.param(lambda: at(100, io.BytesIO(DATA)), DATA[100:], id="file from its position"),
    pytest.param(lambda: at(len(DATA), io.BytesIO(DATA)), b"", id="file at its end"),
    pytest.param(lambda: at(len(DATA) + 9, io.BytesIO(DATA)), b"", id="file behind its end"),
    pytest.param(io.BytesIO, b"", id="empty file"),
    pytest.param(lambda: io.BufferedReader(io.BytesIO(DATA)), DATA, id="buffered file"),
    pytest.param(lambda: Pipe(DATA), DATA, id="pipe in short reads"),
    pytest.param(lambda: Pipe(b""), b"", id="empty pipe"),
    pytest.param(lambda: io.BufferedReader(Pipe(DATA)), DATA, id="buffered pipe"),
    pytest.param(lambda: OnlyRead(DATA), DATA, id="an object with nothing but read"),
    pytest.param(lambda: [DATA[:500], DATA[500:]], DATA, id="list"),
    pytest.param(lambda: (DATA[:500], b"", DATA[500:]), DATA, id="tuple with an empty block"),
    pytest.param(lambda: (DATA[i : i + 7] for i in range(0, len(DATA), 7)), DATA, id="generator"),
    pytest.param(lambda: iter([]), b"", id="empty iterator"),
    pytest.param(
        lambda: [bytearray(b"ab"), memoryview(b"cd"), DOUBLES], b"abcd" + DOUBLES.tobytes(), id="mixed blocks"
    ),
    pytest.param(lambda: [TEXT[::2], TEXT.cast("H")], b"ace" + b"abcdef", id="blocks that are no plain bytes"),
]


@pytest.mark.parametrize(("make", "expected"), SOURCES)
def test_sources(make: object, expected: bytes) -> None:
    """Every kind of source is its bytes, counted in bytes, twice the same, with hashlib's own hash."""
    body = open_body(make())
    assert (body.size, body.remaining) == (len(expected), len(expected))
    assert everything(body) == expected
    assert body.remaining == 0
    assert bytes(body.read()) == b"", "the end stays the end"
    assert body.sha256() == hashlib.sha256(expected).hexdigest()
    assert body.remaining == len(expected), "hashing leaves it at its beginning"
    assert bytes(body.read()) == expected
    body.close()


@pytest.mark.parametrize("make", [param.values[0] for param in SOURCES], ids=[param.id for param in SOURCES])
def test_hash_before_the_first_read(make: object) -> None:
    """The hash may be asked for first, as the client does, and in the middle, and then the bytes are all there."""
    with closing(open_body(make())) as body, closing(open_body(make())) as twin:
        assert body.sha256() == twin.sha256()
        body.read(3)
        assert body.sha256() == twin.sha256()
        assert everything(body) == everything(twin)


@same_each_run
@given(data=st.binary(max_size=500), start=st.integers(0, 20), amounts=st.lists(st.integers(-1, 200), max_size=20))
def test_reads_stay_within_bounds(data: bytes, start: int, amounts: list[int]) -> None:
    """A read gives at most what is asked for and what is left; in memory, in a file and spooled alike."""
    for source in (data[start:], at(start, io.BytesIO(data)), [data[start:]]):
        got = b""
        with closing(open_body(source)) as body:
            for amount in amounts:
                block = bytes(body.read(amount))
                assert amount < 0 or len(block) <= amount
                assert bool(block) == bool(amount and len(got) < body.size)
                got += block
                assert body.remaining == body.size - len(got)
            assert data[start:].startswith(got)
            body.rewind()
            assert bytes(body.read()) == data[start:]


REFUSED = [
    pytest.param(lambda: None, "not NoneType", id="None"),
    pytest.param(lambda: "text", "not text", id="str"),
    pytest.param(lambda: "", "not text", id="empty str"),
    pytest.param(lambda: io.StringIO("text"), "not text", id="text in memory"),
    pytest.param(lambda: io.TextIOWrapper(io.BytesIO(b"text")), "not text", id="text file"),
    pytest.param(lambda: tempfile.SpooledTemporaryFile(mode="w+"), "not text|bytes-like", id="spooled text"),  # noqa: SIM115
    pytest.param(lambda: pathlib.Path("model.onnx"), "not a path", id="path"),
    pytest.param(lambda: {"a": b"b"}, "not dict", id="dict"),
    pytest.param(lambda: collections.OrderedDict(a=b"b"), "not OrderedDict", id="OrderedDict"),
    pytest.param(lambda: 5, "not int", id="int"),
    pytest.param(lambda: True, "not bool", id="bool"),
    pytest.param(lambda: 5.0, "not float", id="float"),
    pytest.param(object, "not object", id="object"),
    pytest.param(lambda: bytes, "not iterable", id="the type itself"),
    pytest.param(lambda: ["a"], "not text", id="list of str"),
    pytest.param(lambda: (text for text in ("a", "b")), "not text", id="generator of str"),
    pytest.param(lambda: [b"a", "b"], "not text", id="str after bytes"),
    pytest.param(lambda: [1, 2], "bytes-like", id="list of int"),
    pytest.param(lambda: range(3), "bytes-like", id="range"),
    pytest.param(lambda: [None], "bytes-like", id="None in a list"),
    pytest.param(lambda: [[b"a"]], "bytes-like", id="list in a list"),
    pytest.param(lambda: array.array("d", [1.0]).tolist(), "bytes-like", id="list of floats"),
]


@pytest.mark.parametrize(("make", "reason"), REFUSED)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_refused(make: object, reason: str) -> None:
    """Text, paths and everything that is no bytes is a TypeError that says what to give, before anything is sent."""
    with pytest.raises(TypeError, match=reason):
        open_body(make())


@pytest.mark.parametrize("pipe", [False, True], ids=["file", "pipe"])
def test_a_non_blocking_source_is_refused(pipe: bool) -> None:
    """A read that returns None means that nothing is there yet, which is neither bytes nor an end: a TypeError."""

    class NonBlocking(io.BytesIO):
        def read(self, amount: int | None = -1) -> bytes | None:
            return None if amount else b""

        def seek(self, *args: int) -> int:
            if pipe:
                raise OSError(29, "Illegal seek")
            return super().seek(*args)

    with pytest.raises(TypeError, match="bytes-like"):
        open_body(NonBlocking(DATA)).sha256()


def test_a_real_pipe() -> None:
    """An operating system's pipe is read to its end, and stays the caller's to close."""
    reading, writing = os.pipe()
    os.write(writing, DATA)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        body = open_body(file)
        assert everything(body) == DATA
        body.close()
        assert not file.closed


def test_a_file_on_disk(tmp_path: pathlib.Path) -> None:
    """A file is read from where it stands, more than once, and stays open."""
    path = tmp_path / "f"
    path.write_bytes(DATA)
    with path.open("rb") as file:
        file.read(10)
        body = open_body(file)
        assert body.size == len(DATA) - 10
        assert body.sha256() == hashlib.sha256(DATA[10:]).hexdigest()
        assert everything(body) == DATA[10:]
        body.close()
        assert not file.closed


def test_a_file_that_is_not_for_reading(tmp_path: pathlib.Path) -> None:
    """A file opened for writing is a source that cannot be read, and that is known before anything is sent."""
    with (tmp_path / "f").open("wb") as file, pytest.raises(SourceError, match="could not be read"):
        open_body(file)


def test_a_file_that_grows_is_bounded() -> None:
    """Bytes that come in behind are not part of the body, neither of its hash nor of what is sent."""
    file = io.BytesIO(DATA)
    body = open_body(file)
    at(len(DATA), file).write(b"more")
    assert body.sha256() == hashlib.sha256(DATA).hexdigest()
    assert bytes(body.read()) == DATA
    assert bytes(body.read()) == b""


def test_a_source_that_gives_too_much_is_an_error() -> None:
    """More bytes than were asked for would stand before the next request on the connection."""

    class Generous(io.BytesIO):
        def read(self, amount: int | None = -1) -> bytes:
            return super().read(amount + 1) if amount else b""

    body = open_body(Generous(DATA))
    with pytest.raises(SourceError, match="gave 11 bytes when asked for 10"):
        body.read(10)


def test_a_file_that_shrinks_is_an_error() -> None:
    """A source that ends early is never a shorter body."""
    file = io.BytesIO(DATA)
    body = open_body(file)
    file.truncate(1000)
    with pytest.raises(SourceError, match="ended 280 bytes before the 1280"):
        everything(body)
    with pytest.raises(SourceError):
        body.sha256()


@pytest.mark.parametrize(
    "use",
    [lambda body: body.read(), lambda body: body.sha256(), lambda body: body.rewind()],
    ids=["read", "hash", "rewind"],
)
@pytest.mark.parametrize("how", ["broken", "closed"])
def test_a_file_that_cannot_be_read(use: object, how: str) -> None:
    """A failing disk or a closed file is the source's fault, and not taken for trouble with the network."""
    file = Broken(DATA)
    body = open_body(file)
    if how == "closed":
        file.close()
    file.broken = how == "broken"
    with pytest.raises(SourceError, match="could not be read") as caught:
        use(body)
    assert isinstance(caught.value.__cause__, (OSError, ValueError))


def test_a_pipe_that_breaks() -> None:
    """A source that fails while it is copied is a SourceError just as one that fails while it is sent."""
    with pytest.raises(SourceError, match="could not be read"):
        open_body(BrokenPipe(DATA))


def test_a_generators_own_error_is_its_own() -> None:
    """What an iterable raises comes out as it was raised, with the temporary file closed."""

    def blocks() -> object:
        yield b"a" * (SPOOL_MEMORY + 1)
        raise LookupError("mine")

    before = open_descriptors()
    with pytest.raises(LookupError, match="mine"):
        open_body(blocks())
    assert open_descriptors() == before


def open_descriptors() -> int:
    return sum(1 for _ in FDS.iterdir()) if FDS.is_dir() else 0


@pytest.mark.parametrize("extra", [0, 1], ids=["in memory", "in a file"])
def test_spooling(extra: int) -> None:
    """Up to 8 MiB of an iterable stay in memory, a byte more goes to a temporary file, which `close` gives back."""
    data = os.urandom(1 << 20) * (SPOOL_MEMORY >> 20) + b"x" * extra
    before = open_descriptors()
    body = open_body(data[i : i + 999_999] for i in range(0, len(data), 999_999))
    if FDS.is_dir():
        assert open_descriptors() - before == extra
    assert body.size == len(data)
    assert body.sha256() == hashlib.sha256(data).hexdigest()
    assert everything(body, BLOCK) == data
    body.close()
    assert open_descriptors() == before


def test_memory_is_not_copied() -> None:
    """Blocks of a bytes-like object are views on it, so that 5 GB in memory stay 5 GB."""
    data = bytearray(DATA)
    block = open_body(data).read(10)
    data[0] = 99
    assert block[0] == 99


def test_close_gives_a_bytearray_back() -> None:
    """While a body lives its bytearray cannot be resized; after `close` it can, and the body is no source any more."""
    data = bytearray(DATA)
    body = open_body(data)
    with pytest.raises(BufferError):
        data.append(1)
    body.close()
    data.append(1)
    with pytest.raises(SourceError):
        body.read(1)


def test_hash_is_computed_once() -> None:
    """The second attempt's signature does not read the source again."""
    file = Broken(DATA)
    reads = []
    body = open_body(file)
    body._read = lambda amount, read=body._read: reads.append(amount) or read(amount)
    assert body.sha256() == body.sha256()
    assert len(reads) == 1


def test_hashing_reads_in_blocks() -> None:
    """A body is hashed a mebibyte at a time, whatever its size."""
    body = open_body(io.BytesIO(b"x" * (3 * BLOCK + 1)))
    reads = []
    body._read = lambda amount, read=body._read: reads.append(amount) or read(amount)
    body.sha256()
    assert reads == [BLOCK, BLOCK, BLOCK, 1]


def test_a_bare_body_has_no_source() -> None:
    """The base class alone reads nothing: each kind of source says how it is read."""
    body = module.Body(1)
    with pytest.raises(NotImplementedError):
        body.read()
    body.rewind()
    body.close()
    assert bytes(module.Body(0).read()) == b""
