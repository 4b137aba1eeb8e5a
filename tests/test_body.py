"""The bytes of one upload: measured in bytes, hashed as they are sent, bounded, read again from their beginning.

Traps: sizes in elements (memoryview), sources at their end or without a size (16), files that grow or shrink
meanwhile (17), text, paths and dicts (19), sources that cannot seek, and what a source may do while it is read.
"""

import array
import ctypes
import gzip
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
from cdn_sigv4.body import BLOCK
from cdn_sigv4.errors import SourceError
from cdn_sigv4.source import SPOOL_MEMORY, open_body

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=100)

DATA = bytes(range(256)) * 5
FDS = pathlib.Path("/proc/self/fd")


class Pipe(io.RawIOBase):
    """A source that cannot seek, and hands out what it has in pieces of at most 100 bytes."""

    def __init__(self, data):
        super().__init__()
        self.left = data

    def readable(self):
        return True

    def readinto(self, room):
        block, self.left = self.left[: min(len(room), 100)], self.left[min(len(room), 100) :]
        room[: len(block)] = block
        return len(block)


class Broken(io.BytesIO):
    """A seekable file whose disk fails once `broken` is set."""

    broken = False

    def read(self, *args):
        if self.broken:
            raise OSError(5, "Input/output error")
        return super().read(*args)

    def seek(self, *args):
        if self.broken:
            raise OSError(5, "Input/output error")
        return super().seek(*args)


class BrokenPipe(Pipe):
    """A source that cannot seek and fails after its data."""

    def readinto(self, room):
        if room and not self.left:
            raise OSError(5, "Input/output error")
        return super().readinto(room)


class OnlyRead:
    """A file object with nothing but `read`."""

    def __init__(self, data):
        self.read = io.BytesIO(data).read


def at(position, file):
    file.seek(position)
    return file


def everything(body, amount=300):
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
    pytest.param(lambda: b"", b"", id="no bytes"),
    pytest.param(lambda: DOUBLES, DOUBLES.tobytes(), id="array of doubles"),
    pytest.param(lambda: array.array("d"), b"", id="empty array of doubles"),
    pytest.param(lambda: memoryview(DOUBLES)[1:], DOUBLES.tobytes()[8:], id="slice of doubles"),
    pytest.param(lambda: TEXT.cast("H"), b"abcdef", id="cast to shorts"),
    pytest.param(lambda: TEXT.cast("B", (2, 3)), b"abcdef", id="two dimensions"),
    pytest.param(lambda: TEXT[::2], b"ace", id="every second byte"),
    pytest.param(lambda: TEXT[::-1], b"fedcba", id="backwards"),
    pytest.param(lambda: (ctypes.c_uint16.__ctype_be__ * 3)(1, 2, 3), b"\0\1\0\2\0\3", id="big-endian array"),
    pytest.param(lambda: ctypes.c_uint8(5), b"\5", id="no dimension"),
    pytest.param(lambda: io.BytesIO(DATA), DATA, id="file"),
    pytest.param(lambda: at(100, io.BytesIO(DATA)), DATA[100:], id="file from its position"),
    pytest.param(lambda: at(len(DATA), io.BytesIO(DATA)), b"", id="file at its end"),
    pytest.param(lambda: at(len(DATA) + 9, io.BytesIO(DATA)), b"", id="file behind its end"),
    pytest.param(lambda: Pipe(DATA), DATA, id="pipe in short reads"),
    pytest.param(lambda: OnlyRead(DATA), DATA, id="an object with nothing but read"),
    pytest.param(lambda: (DATA[:500], b"", DATA[500:]), DATA, id="tuple with an empty block"),
    pytest.param(lambda: (DATA[i : i + 7] for i in range(0, len(DATA), 7)), DATA, id="generator"),
    pytest.param(
        lambda: [bytearray(b"ab"), memoryview(b"cd"), DOUBLES], b"abcd" + DOUBLES.tobytes(), id="mixed blocks"
    ),
    pytest.param(lambda: [TEXT[::2], TEXT.cast("H")], b"ace" + b"abcdef", id="blocks that are no plain bytes"),
]


@pytest.mark.parametrize(("make", "expected"), SOURCES)
def test_sources(make, expected):
    """Every kind of source is its bytes, counted in bytes, twice the same, with hashlib's own hash."""
    with closing(open_body(make())) as first:
        assert first.sha256() == hashlib.sha256(expected).hexdigest()
        assert bytes(first.read()) == expected, "the hash may be asked for first, as the client does"
    body = open_body(make())
    assert (body.size, body.remaining) == (len(expected), len(expected))
    assert everything(body) == expected
    assert body.remaining == 0
    assert bytes(body.read()) == b"", "the end stays the end"
    assert body.sha256() == hashlib.sha256(expected).hexdigest()
    assert body.remaining == len(expected), "hashing leaves it at its beginning"
    assert bytes(body.read()) == expected
    body.close()


@same_each_run
@given(data=st.binary(max_size=500), start=st.integers(0, 20), amounts=st.lists(st.integers(-1, 200), max_size=20))
def test_reads_stay_within_bounds(data, start, amounts):
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
    pytest.param(lambda: io.StringIO("text"), "not text", id="text in memory"),
    pytest.param(lambda: io.TextIOWrapper(io.BytesIO(b"text")), "not text", id="text file"),
    pytest.param(lambda: tempfile.SpooledTemporaryFile(mode="w+"), "not text|bytes-like", id="spooled text"),  # noqa: SIM115
    pytest.param(lambda: pathlib.Path("model.onnx"), "not a path", id="path"),
    pytest.param(lambda: {"a": b"b"}, "not dict", id="dict"),
    pytest.param(lambda: 5, "not int", id="int"),
    pytest.param(lambda: bytes, "not iterable", id="the type itself"),
    pytest.param(lambda: ["a"], "not text", id="list of str"),
    pytest.param(lambda: [b"a", "b"], "not text", id="str after bytes"),
    pytest.param(lambda: [1, 2], "bytes-like", id="list of int"),
    pytest.param(lambda: [[b"a"]], "bytes-like", id="list in a list"),
]


@pytest.mark.parametrize(("make", "reason"), REFUSED)
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_refused(make, reason):
    """Text, paths and everything that is no bytes is a TypeError that says what to give, before anything is sent."""
    with pytest.raises(TypeError, match=reason):
        open_body(make())


@pytest.mark.parametrize("pipe", [False, True], ids=["file", "pipe"])
def test_a_non_blocking_source_is_refused(pipe):
    """A read that returns None means that nothing is there yet, which is neither bytes nor an end: a TypeError."""

    class NonBlocking(io.BytesIO):
        def read(self, amount=-1):
            return None if amount else b""

        def seek(self, *args):
            if pipe:
                raise OSError(29, "Illegal seek")
            return super().seek(*args)

    with pytest.raises(TypeError, match="bytes-like"):
        open_body(NonBlocking(DATA)).sha256()


def test_a_file_that_is_not_for_reading(tmp_path):
    """A file opened for writing is a source that cannot be read, and that is known before anything is sent."""
    with (tmp_path / "f").open("wb") as file, pytest.raises(SourceError, match="could not be read"):
        open_body(file)


def test_a_file_that_grows_is_bounded():
    """Bytes that come in behind are not part of the body, neither of its hash nor of what is sent."""
    file = io.BytesIO(DATA)
    body = open_body(file)
    at(len(DATA), file).write(b"more")
    assert body.sha256() == hashlib.sha256(DATA).hexdigest()
    assert bytes(body.read()) == DATA
    assert bytes(body.read()) == b""


def test_a_source_that_gives_too_much_is_an_error():
    """More bytes than were asked for would stand before the next request on the connection."""

    class Generous(io.BytesIO):
        def read(self, amount=-1):
            return super().read(amount + 1) if amount else b""

    body = open_body(Generous(DATA))
    with pytest.raises(SourceError, match="gave 11 bytes when asked for 10"):
        body.read(10)


def test_a_file_that_shrinks_is_an_error():
    """A source that ends early is never a shorter body."""
    file = io.BytesIO(DATA)
    body = open_body(file)
    file.truncate(1000)
    with pytest.raises(SourceError, match="1280 bytes at first, and ended 280 bytes before"):
        everything(body)
    with pytest.raises(SourceError):
        body.sha256()


@pytest.mark.parametrize(
    "use",
    [lambda body: body.read(), lambda body: body.sha256(), lambda body: body.rewind()],
    ids=["read", "hash", "rewind"],
)
@pytest.mark.parametrize("how", ["broken", "closed"])
def test_a_file_that_cannot_be_read(use, how):
    """A failing disk or a closed file is the source's fault, and not taken for trouble with the network."""
    file = Broken(DATA)
    body = open_body(file)
    if how == "closed":
        file.close()
    file.broken = how == "broken"
    with pytest.raises(SourceError, match="could not be read") as caught:
        use(body)
    assert isinstance(caught.value.__cause__, (OSError, ValueError))


def test_a_pipe_that_breaks():
    """A source that fails while it is copied is a SourceError just as one that fails while it is sent."""
    with pytest.raises(SourceError, match="could not be read"):
        open_body(BrokenPipe(DATA))


def test_a_generators_own_error_is_its_own():
    """What an iterable raises comes out as it was raised, with the temporary file closed."""

    def blocks():
        yield b"a" * (SPOOL_MEMORY + 1)
        raise LookupError("mine")

    before = open_descriptors()
    with pytest.raises(LookupError, match="mine"):
        open_body(blocks())
    assert open_descriptors() == before


def open_descriptors():
    return sum(1 for _ in FDS.iterdir()) if FDS.is_dir() else 0


@pytest.mark.parametrize("extra", [0, 1], ids=["in memory", "in a file"])
def test_spooling(extra):
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


def test_memory_is_not_copied():
    """Blocks of a bytes-like object are views on it, so that 5 GB in memory stay 5 GB."""
    data = bytearray(DATA)
    block = open_body(data).read(10)
    data[0] = 99
    assert block[0] == 99


def test_close_gives_a_bytearray_back():
    """While a body lives its bytearray cannot be resized; after `close` it can, and the body is no source any more."""
    data = bytearray(DATA)
    body = open_body(data)
    with pytest.raises(BufferError):
        data.append(1)
    body.close()
    data.append(1)
    with pytest.raises(SourceError):
        body.read(1)


def test_hashing_reads_in_blocks_and_once():
    """A body is hashed a mebibyte at a time, whatever its size, and is not read again for the next hash."""
    body = open_body(io.BytesIO(b"x" * (3 * BLOCK + 1)))
    reads = []
    body._read = lambda amount, read=body._read: reads.append(amount) or read(amount)
    assert body.sha256() == body.sha256()
    assert reads == [BLOCK, BLOCK, BLOCK, 1]


def test_a_bare_body_has_no_source():
    """The base class alone reads nothing: each kind of source says how it is read."""
    with pytest.raises(NotImplementedError):
        module.Body(1).read()


def test_an_iterable_that_cannot_be_read():
    """An OSError of the iterable is the source's, like a file's; so is that of a file that says it can seek."""

    def blocks():
        yield b"first"
        raise OSError(5, "disk")

    with pytest.raises(SourceError, match="disk"):
        open_body(blocks())


def test_a_truncated_gzip_file():
    """A compressed file that ends early is a source that could not be read, too."""
    with gzip.open(io.BytesIO(gzip.compress(DATA)[:-12])) as file, pytest.raises(
        SourceError, match="could not be read"
    ):
        open_body(file).sha256()
