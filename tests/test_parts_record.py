"""The two lines of a record: which bytes of a part they vouch for, and that no line, however hostile, vouches for more.

What is not vouched for is spoilt on the disk before the next run, where the store says no checksum: a byte of it that
were trusted would be in the file.
"""

import base64
import json
import zlib

import pytest
from kit_parts import BOOT, MIB, SIZE, made

from cdn_sigv4 import TransportError, files, parts, ranges, record, transfer

pytestmark = pytest.mark.skipif(parts.fcntl is None or BOOT is None, reason="needs flock, and a name of this boot")
PART = 5 * MIB  # bytes of the part
HUGE = 10**400


def crc_of(body):
    """What a store that keeps the CRC32 of the whole says of it."""
    value = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode("ascii")
    return {"x-amz-checksum-crc32": value, "x-amz-checksum-type": "FULL_OBJECT"}


def spoil(room, *good):
    """Flip all bits of the part outside these ranges."""
    old = room.part.read_bytes()
    data = bytearray(old.translate(bytes(range(255, -1, -1))))
    for first, end in good:
        data[first:end] = old[first:end]
    room.part.write_bytes(data)


def goes_on_with(room, *trusted, **options):
    """Demand that the next run fetches all but these ranges, and ends with the right bytes."""
    spoil(room, *trusted)
    asked = len(room.ranges())
    result = room.download(**{"etag_is_md5": False, **options})
    room.check(made(1))
    assert result.bytes_moved == SIZE - sum(end - first for first, end in trusted)
    wanted = [f"bytes={first}-{end - 1}" for first, end in ranges.missing(list(trusted), SIZE)]
    assert room.ranges()[asked:] == (wanted if trusted else [None])
    return result


@pytest.fixture
def room(room):
    """The same with a part, all of it right."""
    room.break_at(PART, etag_is_md5=False)
    assert room.lines()[0]["synced"] == room.lines()[1]["here"] == [[0, PART]]
    return room


# -- what is in the lines

SETS = {
    "nothing": ([], [], []),
    "one": ([[0, MIB]], [], [(0, MIB)]),
    "both lines": ([[0, MIB]], [[3 * MIB, 4 * MIB]], [(0, MIB), (3 * MIB, 4 * MIB)]),
    "what touches": ([[0, MIB]], [[MIB, 2 * MIB]], [(0, 2 * MIB)]),
    "what overlaps": ([[0, 2 * MIB], [MIB, 3 * MIB]], [[1, 2]], [(0, 3 * MIB)]),
    "any order": ([], [[MIB, 2 * MIB], [5, 7]], [(5, 7), (MIB, 2 * MIB)]),
    "a byte": ([], [[MIB, MIB + 1]], [(MIB, MIB + 1)]),
    "beyond the part": ([], [[MIB, SIZE]], [(MIB, PART)]),
    "beyond the object": ([], [[MIB, 1 << 62]], [(MIB, PART)]),
    "beyond all numbers": ([], [[MIB, HUGE]], [(MIB, PART)]),
    "all of it beyond": ([[PART, SIZE], [HUGE, HUGE + 1]], [[1 << 40, 1 << 41]], []),
    "ten thousand": ([[each, each + 1] for each in range(10_000)], [], [(0, 10_000)]),
    "more than any run has": ([[each, each + 1] for each in range(10_001)], [[0, 5]], [(0, 5)]),
}
NO_RANGES = {
    "the old form": 5 * MIB,
    "none": None,
    "true": True,
    "text": "[[0, 9]]",
    "object": {"0": 9},
    "of numbers": [0, 9],
    "of one": [[9]],
    "of three": [[0, 9, 12]],
    "reversed": [[9, 0]],
    "empty": [[9, 9]],
    "negative": [[-1, 9]],
    "negative end": [[-9, -1]],
    "reals": [[0, 9.0]],
    "infinite": [[0, float("inf")]],
    "no number": [[float("nan"), 9]],
    "booleans": [[False, True]],
    "texts": [["0", "9"]],
    "nulls": [[None, 9]],
    "deep": [[[0], [9]]],
    "wrong behind right": [[0, 9], [20, 10]],
}


@pytest.mark.parametrize(("synced", "here", "trusted"), list(SETS.values()), ids=list(SETS))
def test_what_two_lines_vouch_for(room, synced, here, trusted):
    """All bytes of both lines, as far as the part goes, are gone on with; the holes are fetched, and only they."""
    room.edit(synced=synced)
    room.jot(here=here)
    goes_on_with(room, *trusted)


@pytest.mark.parametrize("found", list(NO_RANGES.values()), ids=list(NO_RANGES))
@pytest.mark.parametrize("line", [0, 1], ids=["first line", "second line"])
def test_ranges_that_are_none(room, line, found):
    """What is not of the form of ranges vouches for nothing, and takes nothing from the other line."""
    room.edit(synced=[[0, MIB]] if line else found)
    room.jot(here=found if line else [[0, MIB]])
    goes_on_with(room, (0, MIB))


def jot_of(**fields):
    """A line that vouches for all of the part, where nothing is wrong with it."""
    return json.dumps({"here": [[0, PART]], "boot": BOOT, **fields}).encode("ascii") + b"\n"


GOOD, LESS = jot_of(), [(0, MIB)]
LINES = {
    "right": (GOOD, [(0, PART)]),
    "without an end": (GOOD[:-1], [(0, PART)]),
    "before the end of an older one": (GOOD + b'99]], "boot": "x"}\n', [(0, PART)]),
    "before garbage": (GOOD + b"\0\xff" * 999, [(0, PART)]),
    "none": (b"", LESS),
    "an empty one": (b"\n" + GOOD, LESS),
    "torn": (GOOD[:-9], LESS),
    "torn in a number": (GOOD[:14], LESS),
    "mixed with an older one": (GOOD[:20] + GOOD, LESS),
    "zeros": (bytes(len(GOOD)), LESS),
    "zeros before it": (bytes(9) + GOOD, LESS),
    "no text": (b"\xff\xfe" + GOOD, LESS),
    "no object": (b"[[0, 9]]\n", LESS),
    "a number": (b"9\n", LESS),
    "deep": (b"[" * 200_000, LESS),
    "long": (b" " * (1 << 20) + GOOD, LESS),
    "another boot": (jot_of(boot="11111111-2222-3333-4444-555555555555"), LESS),
    "no boot": (jot_of(boot=None), LESS),
    "an empty boot": (jot_of(boot=""), LESS),
    "a boot of another form": (jot_of(boot=[BOOT]), LESS),
    "boot without here": (json.dumps({"boot": BOOT}).encode("ascii"), LESS),
}


@pytest.mark.parametrize(("line", "trusted"), list(LINES.values()), ids=list(LINES))
def test_a_second_line_that_may_be_anything(room, line, trusted):
    """A line that is torn, garbage, hostile or of another boot vouches for nothing; the first still does."""
    room.edit(synced=[[0, MIB]])
    room.record.write_bytes(room.record.read_bytes().partition(b"\n")[0] + b"\n" + line)
    goes_on_with(room, *trusted)


def test_the_first_line_alone_says_what_was_jotted(room):
    """A field of the first line cannot pass for the second one."""
    room.edit(synced=[[0, MIB]], jotted={"here": [[0, PART]], "boot": BOOT})
    room.jot(here=[])
    goes_on_with(room, (0, MIB))


@pytest.mark.parametrize("boot", ["another", None], ids=["started anew", "a system that does not say"])
def test_after_a_start_only_what_was_synced(room, boot, monkeypatch):
    """What was only jotted may be lost with the power; where the system names no boot it is never believed."""
    room.says((0, PART), synced=[(MIB, 2 * MIB)])
    room.jot(boot=BOOT if boot else None)
    monkeypatch.setattr(record, "_boot", lambda: boot)
    goes_on_with(room, (MIB, 2 * MIB))


def test_a_part_longer_than_the_lines(room):
    """The length of a part says nothing: what another connection wrote at the end has a hole before it."""
    room.says((0, MIB))
    goes_on_with(room, (0, MIB))


# -- holes, and how the whole is proved

HOLE = [(0, MIB), (3 * MIB, PART)]


def test_a_hole_with_a_crc32(room):
    """Only the hole and the end are fetched; the CRC32 of the whole is put together from all of its ranges."""
    room.put(made(1), **crc_of(made(1)))
    room.says(*HOLE)
    room.edit(headers=crc_of(made(1)))
    assert goes_on_with(room, *HOLE, etag_is_md5=True).verified == "crc32"


@pytest.mark.parametrize("place", [MIB - 1, 3 * MIB], ids=["first range", "second range"])
def test_a_range_that_was_damaged(room, place):
    """A byte that changed in any range of a part is found by the CRC32: all is fetched once more, and no more of it."""
    room.put(made(1), **crc_of(made(1)))
    room.says(*HOLE)
    room.edit(headers=crc_of(made(1)))
    data = bytearray(room.part.read_bytes())
    data[place] ^= 1
    room.part.write_bytes(data)
    result = room.download()
    room.check(made(1))
    assert room.ranges()[-1] is None
    assert (result.verified, result.bytes_moved) == ("crc32", 2 * SIZE - 3 * MIB)


@pytest.mark.parametrize(
    ("here", "trusted"),
    [(HOLE, [(0, MIB)]), ([(MIB, PART)], []), ([(1, PART)], [])],
    ids=["a hole", "no beginning", "all but a byte"],
)
def test_a_hole_in_what_is_hashed_in_order(room, here, trusted):
    """An MD5 takes all bytes in their order: of a part with holes only what stands before the first is gone on with."""
    room.says(*here)
    assert goes_on_with(room, *trusted, etag_is_md5=True).verified == "md5"


# -- what a run notes itself


def watched(monkeypatch, room, body):
    """Compare what a run notes with what is in the part at that moment, and with what was there at the last sync."""
    seen = []
    on_disk = [room.part.read_bytes()]
    sync, write, jot = files.Replacement.sync, record.Record.write, record.Record.jot

    def syncing(self):
        data = room.part.read_bytes()
        sync(self)
        on_disk[0] = data

    def check(data, spans, line):
        for first, end in spans:
            assert data[first:end] == body[first:end], f"{line}: {first}-{end}"
        seen.append((line, sum(end - first for first, end in spans)))

    def writing(self, noted, notes, *, durable):
        check(on_disk[0], noted["synced"], "synced")
        check(room.part.read_bytes(), notes["here"], "here")
        write(self, noted, notes, durable=durable)

    def jotting(self, notes):
        check(room.part.read_bytes(), notes["here"], "here")
        jot(self, notes)

    monkeypatch.setattr(files.Replacement, "sync", syncing)
    monkeypatch.setattr(record.Record, "write", writing)
    monkeypatch.setattr(record.Record, "jot", jotting)
    return seen


def test_nothing_is_noted_before_it_is_written(room, monkeypatch):
    """Each line speaks of bytes that were in the file, or on the disk, before it; so do those of a run that goes on."""
    monkeypatch.setattr(transfer, "SYNC_EVERY", 2 * MIB)
    room.says((0, 2 * MIB), synced=[(0, MIB)])
    spoil(room, (0, 2 * MIB))
    seen = watched(monkeypatch, room, made(1))
    monkeypatch.setattr(room.server, "answer", room.cutting(5 * MIB))
    with pytest.raises(TransportError):
        room.download(retry=None, etag_is_md5=False)
    assert next(count for line, count in seen if line == "here") == 2 * MIB
    assert max(count for line, count in seen if line == "here") == 7 * MIB
    assert len({count for line, count in seen if line == "synced"}) >= 3
    assert room.lines()[0]["synced"] == room.lines()[1]["here"] == [[0, 7 * MIB]]


def test_what_is_gone_on_with_is_noted_each_mib(room, monkeypatch):
    """A run that goes on with a part keeps its record up to date from its first MiB on, also long before a sync."""
    room.says((0, MIB))
    monkeypatch.setattr(transfer.Download, "_keep", lambda self, *_: setattr(self._replacement, "_kept", True))
    room.server.answer = room.cutting(3 * MIB + 100)
    with pytest.raises(TransportError):
        room.download(retry=None, etag_is_md5=False)
    monkeypatch.undo()
    room.server.answer = room.store
    ((first, end),) = room.lines()[1]["here"]
    assert first == 0
    assert 3 * MIB + 100 < end <= 4 * MIB + 100
    goes_on_with(room, (0, end))
