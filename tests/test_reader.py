"""The body of an object as a file: all its bytes whatever the connection's pieces, or an error, never fewer.

Traps: a body that was cut ends silently (24), and what reads it (tarfile, TextIOWrapper, copyfileobj) would take the
short one for the whole; connections must be given back or up, once.
"""

import io
import random
import shutil
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdn_sigv4.answers import ObjectInfo
from cdn_sigv4.body import BLOCK
from cdn_sigv4.errors import TransportError
from cdn_sigv4.reader import ObjectReader

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=150)


class Source:
    """A connection that brings `data` in short reads of random sizes; notes what was asked, and when it was closed."""

    def __init__(self, data, seed=0, error=None):
        self.data = io.BytesIO(data)
        self.random = random.Random(seed)
        self.error = error
        self.asked = []
        self.closed = 0

    def read(self, amount):
        assert amount > 0, "a read of nothing looks like the end"
        assert not self.closed
        self.asked.append(amount)
        block = self.data.read(self.random.randint(1, amount))
        if not block and self.error is not None:
            raise self.error
        return block

    def close(self):
        self.closed += 1


def reader_of(data, length=None, **options):
    length = len(data) if length is None else length
    return ObjectReader(Source(data, **options), ObjectInfo("buc", "a/b", 10_000, {}), length)


def by_read(reader, sizes):
    got = [reader.read(size) for size in sizes]
    return b"".join([*got, reader.read()])


def by_read1(reader, sizes):
    got = [reader.read1(size) for size in sizes]
    while True:
        got.append(reader.read1())
        if not got[-1]:
            return b"".join(got)


def by_readinto(reader, sizes):
    got = b""
    for size in [*sizes, 1 << 20]:
        room = bytearray(size)
        got += room[: reader.readinto(room)]
    return got


def by_copyfileobj(reader, sizes):
    target = io.BytesIO()
    shutil.copyfileobj(reader, target, max([*sizes, 1]))
    return target.getvalue()


WAYS = {
    "read": by_read,
    "read1": by_read1,
    "readinto": by_readinto,
    "read all": lambda reader, sizes: reader.read(),
    "read None": lambda reader, sizes: reader.read(None),
    "iteration": lambda reader, sizes: b"".join(reader),
    "readline": lambda reader, sizes: b"".join(iter(reader.readline, b"")),
    "BufferedReader": lambda reader, sizes: io.BufferedReader(reader, max([*sizes, 1])).read(),
    "BufferedReader by line": lambda reader, sizes: b"".join(io.BufferedReader(reader, max([*sizes, 1]))),
    "copyfileobj": by_copyfileobj,
    "TextIOWrapper": lambda reader, sizes: io.TextIOWrapper(reader, "latin-1", newline="").read().encode("latin-1"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@same_each_run
@given(data=st.binary(max_size=300), sizes=st.lists(st.integers(0, 100), max_size=8), seed=st.integers(0, 9))
def test_all_ways_give_all_bytes(way, data, sizes, seed):
    """However it is read and however the bytes come in, they are the object's; behind them nothing is asked for."""
    reader = reader_of(data + b"the next answer" if data else b"", len(data), seed=seed)
    assert way(reader, sizes) == data
    assert reader._source.data.tell() == len(data)


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@same_each_run
@given(data=st.binary(max_size=200), missing=st.integers(1, 50), sizes=st.lists(st.integers(0, 100), max_size=8))
def test_an_early_end_is_never_a_short_object(way, data, missing, sizes):
    """However it is read, a body that ends before its length is a TransportError that counts, and then closed."""
    reader = reader_of(data, len(data) + missing)
    with pytest.raises(TransportError) as caught:
        way(reader, sizes)
    assert caught.value.message == f"the body ended after {len(data)} of {len(data) + missing} bytes"
    assert (caught.value.operation, caught.value.bucket, caught.value.key) == ("GET", "buc", "a/b")
    assert reader.closed
    assert reader._source.closed == 1


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_broken_connection_comes_through(way):
    """What the connection raises in the middle is what its reader sees."""
    with pytest.raises(TransportError, match="no byte moved"):
        way(reader_of(b"abc", 10, error=TransportError("no byte moved for 60 s")), [1])


@same_each_run
@given(
    data=st.binary(min_size=1, max_size=300), sizes=st.lists(st.integers(-1, 100), max_size=8), seed=st.integers(0, 9)
)
def test_read_gives_as_much_as_is_asked(data, sizes, seed):
    """`read(n)` gives n bytes, fewer only at the end, over as many short reads as it takes."""
    reader, whole = reader_of(data, seed=seed), io.BytesIO(data)
    for size in sizes:
        assert reader.read(size) == whole.read(size)
    assert reader.read() == whole.read()
    assert reader.read(5) == b""


def test_read1_is_one_read():
    """`read1` gives what one read of the connection brings, asks for no more than that, and for at most 1 MiB."""
    reader = reader_of(b"x" * 100)
    assert 1 <= len(reader.read1(10)) <= 10
    assert reader._source.asked == [10]
    assert reader.read1(0) == b""
    assert reader._source.asked == [10], "nothing is not asked for"
    big = reader_of(b"", 3 * BLOCK)
    with pytest.raises(TransportError):
        big.read1()
    assert big._source.asked == [BLOCK]


def test_iteration_is_in_blocks():
    """A large object comes in blocks of at most 1 MiB, none of them empty, and the last read asks for what is left."""
    length = 2 * BLOCK + 5
    reader = reader_of(bytes(length))
    blocks = [len(block) for block in reader]
    assert sum(blocks) == length
    assert 0 < min(blocks) <= max(blocks) <= BLOCK
    assert max(reader._source.asked) == BLOCK
    assert reader._source.asked[-1] == blocks[-1]
    assert list(reader) == []


def test_no_memory_is_reserved_on_the_servers_word():
    """However long the body is said to be, at most 64 MiB are asked for at once."""
    reader = reader_of(b"", 1 << 50)
    with pytest.raises(TransportError):
        reader.read()
    assert reader._source.asked == [64 << 20]


def test_readlines_are_lines():
    """`readlines` is lines, as of any file, though iteration is in blocks."""
    assert reader_of(b"a\nbc\n\nd").readlines() == [b"a\n", b"bc\n", b"\n", b"d"]


def test_a_cut_tar_archive_is_an_error():
    """An archive unpacked as it comes is whole; a cut one is a TransportError, and not fewer files."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        for name in ("a", "b"):
            member = tarfile.TarInfo(name)
            member.size = 50_000
            tar.addfile(member, io.BytesIO(random.Random(name).getrandbits(8 * 50_000).to_bytes(50_000, "big")))
    data = target.getvalue()
    with tarfile.open(fileobj=reader_of(data, seed=3), mode="r|gz") as tar:
        assert [member.name for member in tar] == ["a", "b"]
    with pytest.raises(TransportError, match="ended after 60000 of"):
        with tarfile.open(fileobj=reader_of(data[:60_000], len(data)), mode="r|gz") as tar:
            list(tar)


def test_what_it_knows():
    """It is a readable file without seek, with the object's description and the number of bytes in this body."""
    reader = reader_of(b"abc")
    assert isinstance(reader, io.BufferedIOBase)
    assert (reader.readable(), reader.writable(), reader.seekable()) == (True, False, False)
    assert (reader.info.size, reader.length) == (10_000, 3)
    assert reader.read(1) == b"a"
    assert reader.length == 3, "the length is the body's, not what is left"


def test_an_empty_object():
    """An object without bytes is at its end at once, and nothing is asked of the connection."""
    for way in WAYS.values():
        assert way(reader_of(b""), []) == b""
    reader = reader_of(b"")
    assert (reader.read(), reader.read1(), list(reader), reader.readinto(bytearray(5))) == (b"", b"", [], 0)
    assert reader._source.asked == []


READS = {
    "read": lambda reader: reader.read(),
    "read(1)": lambda reader: reader.read(1),
    "read1": lambda reader: reader.read1(),
    "readinto": lambda reader: reader.readinto(bytearray(1)),
    "iteration": list,
    "readline": lambda reader: reader.readline(),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_after_close_nothing_is_read(read):
    """A reader that was closed in the middle is a ValueError, as a closed file is, and not an end."""
    reader = reader_of(b"abc")
    reader.read(1)
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        read(reader)


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_after_an_early_end_nothing_is_read(read):
    """Whoever goes on after the error does not see an end of file."""
    reader = reader_of(b"abc", 4)
    with pytest.raises(TransportError):
        reader.read()
    with pytest.raises(ValueError, match="closed"):
        read(reader)


def test_close_gives_the_connection_back_once():
    """Closing twice, by hand and by `with`, closes the connection once; reading to the end does not close it."""
    with reader_of(b"abc") as reader:
        reader.read()
        assert reader._source.closed == 0
        reader.close()
        reader.close()
    assert reader.closed
    assert reader._source.closed == 1
