"""Fuzzing what goes on after a failure: answers to the requests that follow a broken body, and what lies on the disk.

A body that breaks is gone on with only by bytes that belong to it; a part file and its record are the remains of a run
that was killed, and may hold anything. No test waits: the client's clock stands still.
"""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
import re
import tempfile
from typing import ClassVar
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit import BUCKET, LONG, client_of, judged, within
from kit_calls import get
from kit_fuzz import damaged, ended, fuzzing
from kit_parts import BOOT
from rawserver import Answer, RawServer, in_turn
from test_fuzz_answers import RAW

from cdn_sigv4 import Retry, transfer
from cdn_sigv4.errors import CDNError

BODY = bytes(range(100))
TAGS = [
    '"e"',
    'W/"e"',
    "e",
    "",
    '"\xff"',
    '"\x01"',
    '"e" ',
    '"a  b"',
    '"' + "x" * 2000 + '"',
    '"e',
    '"e", "f"',
    '"\x7f"',
]


def first(tag, count):
    """A good answer of which only `count` bytes of the body come."""
    return Answer(headers={"ETag": tag}, body=BODY, cut_after=count)


def going_on(tag, start, end, size, data):
    """The raw bytes of an answer that goes on, perhaps with something else."""
    head = f"HTTP/1.1 206 Partial Content\r\nETag: {tag}\r\nContent-Range: bytes {start}-{end - 1}/{size}\r\n"
    return f"{head}Content-Length: {len(data)}\r\n\r\n".encode("latin-1") + data


@pytest.fixture(scope="module")
def server():
    with RawServer() as started:
        yield started


def closing(raw):
    return Answer(raw=raw, cut_after=len(raw))


@st.composite
def continuations(draw, tag, done):
    """An answer to the request for the rest: the right one, one that is nearly right, a damaged or a wild one."""
    start = draw(st.sampled_from([done, done, done, 0, done + 1]))
    end = draw(st.sampled_from([100, 100, 100, 99, 101]))
    size = draw(st.sampled_from([100, 100, 100, 101]))
    other = draw(st.sampled_from([tag, tag, tag, '"other"']))
    right = going_on(other, start, end, size, BODY[start:end])
    return draw(st.one_of(st.just(right), damaged(st.just(right)), RAW))


@settings(fuzzing, max_examples=250)
@given(data=st.data(), tag=st.sampled_from(['"e"', *TAGS]), count=st.integers(0, 99))
def test_broken_bodies(server, data, tag, count):
    """Behind a broken body only what goes on with it is taken: all bytes in their places, or a CDNError."""
    answers = data.draw(st.lists(continuations(tag, count), min_size=1, max_size=3))
    server.answer = in_turn(first(tag, count), *map(closing, answers))
    with client_of(server, retry=Retry(attempts=3), timeout=(1, 1)) as client, within(LONG):
        result = ended(lambda: get(client))
    if not isinstance(result, CDNError):
        assert (len(result), result[:count]) == (len(BODY), BODY[:count])
        assert b"206" in b"".join(answers) or result == BODY or result[count:] in b"".join(answers)


# -- what lies on the disk

KEY = "models/a.bin"
NUMBERS = st.one_of(st.integers(-5, 200), st.integers(-(1 << 70), 1 << 70), st.booleans(), st.floats(), st.none())


def sorted_or_not(pair):
    """In their order, where they have one."""
    with contextlib.suppress(TypeError):
        return sorted(pair)
    return pair


JSON = st.one_of(NUMBERS, st.text(st.characters(), max_size=5), st.lists(NUMBERS, max_size=3), st.just({}))
HEADERS = st.dictionaries(
    st.sampled_from(["etag", "content-length", "x-amz-checksum-crc32", "x-amz-checksum-type", "a"]),
    st.one_of(st.sampled_from([*TAGS, '"\ud800"', "AAAAAA==", "100"]), JSON),
)


ENDS = st.one_of(st.integers(0, 110), st.integers(0, 110), NUMBERS)
PAIRS = st.one_of(st.tuples(ENDS, ENDS).map(sorted_or_not), st.tuples(ENDS, ENDS), st.lists(ENDS, max_size=3))
RANGES = st.one_of(st.lists(PAIRS, max_size=6), JSON)
FIELDS = ({"size": JSON, "headers": HEADERS, "synced": RANGES, "source": JSON}, {"here": RANGES, "boot": JSON})


@st.composite
def lines(draw, good, fields):
    """What may stand in a line: anything at all, or the right fields with anything in them."""
    if draw(st.booleans()):
        return draw(st.one_of(st.binary(max_size=50), damaged(st.just(good)), st.just(b"[" * 100_000), st.just(good)))
    line = json.loads(good.decode("ascii"))
    for name in draw(st.lists(st.sampled_from(list(fields)), min_size=1, max_size=3)):
        line[name] = draw(st.one_of(fields[name], JSON))
    return json.dumps(line).encode("ascii")


@st.composite
def records(draw, good):
    """A record of such lines, one of which may be right, or whose bytes are damaged wherever that is."""
    if draw(st.integers(0, 4)) == 0:
        return draw(damaged(st.just(good)))
    made = [draw(lines(line, fields)) for line, fields in zip(good.splitlines(), FIELDS)]
    return b"\n".join(made[: draw(st.sampled_from([2, 2, 2, 1]))]) + draw(st.sampled_from([b"\n", b"", b"\n{}\n"]))


def spoken_of(record):
    """The bytes of the object that a record's lines vouch for, by the rules as they are written down here."""
    places = set()
    for number, (line, name) in enumerate(zip(record.split(b"\n"), ("synced", "here"))):
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(line)
            is_known = isinstance(found, dict) and (number == 0 or found.get("boot") == BOOT)
            spans = found.get(name) if is_known else None
            if isinstance(spans, list) and all(map(is_range, spans)):
                places.update(place for first, end in spans for place in range(first, min(end, len(BODY))))
    return places


def is_range(found):
    """Whether it is a first byte and an end behind it."""
    numbers = found if isinstance(found, list) and len(found) == 2 else [None]
    return all(type(number) is int for number in numbers) and 0 <= numbers[0] < numbers[1]


def healthy(etag):
    """A store of the one object, under this entity tag, which keeps the rules of If-Match and Range."""

    def answer(request):
        judged(request)
        if request.header("if-match") not in (None, etag):
            return Answer(412, headers={"ETag": etag})
        span = re.fullmatch("bytes=([0-9]+)-([0-9]*)", request.header("range") or "")
        if span is None:
            return Answer(headers={"ETag": etag}, body=BODY)
        start, end = int(span.group(1)), min(int(span.group(2) or 99) + 1, 100)
        if start >= end:
            return Answer(416)
        return Answer(
            206, headers={"ETag": etag, "Content-Range": f"bytes {start}-{end - 1}/100"}, body=BODY[start:end]
        )

    return answer


class Killed:
    """A folder with a target, and beside it the part and the record of a download that was killed behind 40 bytes."""

    remains: ClassVar = {}  # of one such download from a server under an entity tag, which serve for all others

    def __init__(self, folder, server, etag):
        self.target = pathlib.Path(folder, "a.bin")
        self.target.write_bytes(b"old")
        self._server = server
        self._store = healthy(etag)
        left = self.remains.get((server.port, etag))
        if left is None:
            assert isinstance(self.download(attempts=1, durable=True, cut_after=40), CDNError)
            left = {path.name: path.read_bytes() for path in self.target.parent.iterdir() if path != self.target}
            self.remains[server.port, etag] = left
        for name, data in left.items():
            (self.target.parent / name).write_bytes(data)
        self.record = next(path for path in self.target.parent.iterdir() if path.suffix == ".json")
        self.part = next(path for path in self.target.parent.iterdir() if path not in (self.target, self.record))
        assert self.part.read_bytes() == BODY[:40]

    def download(self, attempts=3, durable=False, **lies):
        self._server.answer = lambda request: dataclasses.replace(self._store(request), **lies)
        with client_of(self._server, retry=Retry(attempts=attempts), timeout=(1, 1)) as client, within(LONG):
            return ended(lambda: client.download_file(BUCKET, KEY, self.target, durable=durable))

    def is_done(self, result):
        """Whether the download is whole, and nothing is left beside its target."""
        assert not isinstance(result, CDNError), result
        assert self.target.read_bytes() == BODY
        return list(self.target.parent.iterdir()) == [self.target]


@contextlib.contextmanager
def killed(server, etag):
    """One such folder; objects of any size are worth a record here."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.multiple(transfer, RESUME_LEAST=1, FEW=0):
        yield Killed(folder, server, etag)


PROVING = f'"{hashlib.md5(BODY).hexdigest()}"'
OPAQUE = '"of-no-form-that-proves-anything"'


@settings(fuzzing, max_examples=250)
@given(data=st.data(), etag=st.sampled_from([PROVING, OPAQUE]), length=st.integers(0, 100))
def test_any_record(server, data, etag, length):
    """Whatever stands in a record, the download beside it ends well: with the object's bytes, and nothing left over.

    What no line vouches for is spoilt, so that it would be seen in the file.
    """
    with killed(server, etag) as room:
        record = data.draw(records(room.record.read_bytes()))
        room.record.write_bytes(record)
        right = spoken_of(record)
        room.part.write_bytes(bytes(byte if place in right else 255 for place, byte in enumerate(BODY[:length])))
        assert room.is_done(room.download())


@settings(fuzzing, max_examples=200)
@given(
    spans=st.lists(st.tuples(st.integers(0, 100), st.integers(0, 100)).map(sorted), max_size=8), cut=st.integers(0, 8)
)
def test_any_ranges(server, spans, cut):
    """Whichever bytes two good lines vouch for, these are gone on with, and each of the others is fetched once."""
    spans = [[first, end] for first, end in spans if first < end]
    with killed(server, OPAQUE) as room:
        first, second = map(json.loads, room.record.read_text("ascii").splitlines())
        record = [{**first, "synced": spans[:cut]}, {**second, "here": spans[cut:]}]
        room.record.write_text("\n".join(map(json.dumps, record)), "ascii")
        right = {place for first, end in spans for place in range(first, end)}
        room.part.write_bytes(bytes(byte if place in right else 255 for place, byte in enumerate(BODY)))
        result = room.download()
        assert room.is_done(result)
        assert result.bytes_moved == max(len(BODY) - len(right), 1)


@settings(fuzzing, max_examples=150)
@given(part=st.one_of(st.binary(max_size=120), damaged(st.just(BODY[:40])), st.just(BODY * 2)), keeps=st.booleans())
@example(part=b"", keeps=True)
@example(part=BODY, keeps=True)
def test_any_part(server, part, keeps):
    """Whatever is in a part, with its record or without: where the store gives a checksum it never becomes the file."""
    with killed(server, PROVING) as room:
        room.part.write_bytes(part)
        if not keeps:
            room.record.unlink()
        assert room.is_done(room.download())
