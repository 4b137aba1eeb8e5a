"""What a run that broke or was killed has left beside its target: gone on with where it is right, else thrown away.

Parts that others have planted are in test_parts_strangers.py, the disk's own troubles in test_parts_disk.py, kills at
every step in test_kills.py; what stands in a record, line by line, in test_parts_record.py and test_fuzz_resume.py.
"""

import pytest
from kit import BUCKET, ETAG
from kit_files import content
from kit_parts import MIB, OLD, SIZE, Room, made
from rawserver import Answer, in_turn

from cdn_sigv4 import (
    CDNError,
    IntegrityError,
    InvalidResponse,
    NotFound,
    NotModified,
    PreconditionFailed,
    Retry,
    TransportError,
    files,
    record,
    transfer,
)

PATIENT = Retry(budget=1e6)
retries = pytest.mark.parametrize("retry", [PATIENT, None], ids=["retries", "no retries"])


@retries
def test_a_part_is_gone_on_with(room, retry):
    """Only what is missing is fetched, by range and of the same version, and the whole is verified."""
    room.break_at(5 * MIB)
    here = room.part.stat().st_size
    result = room.download(retry=retry)
    room.check(made(1))
    assert (result.bytes_moved, result.verified) == (SIZE - here, "md5")
    assert room.ranges() == [None, f"bytes={here}-{SIZE - 1}"]
    assert room.server.requests[-1].header("if-match") == result.info.etag


def test_a_part_is_gone_on_with_again_and_again(room):
    """A link that breaks behind every two MiB brings the whole object in the end, run by run, no byte twice."""
    for _ in range(4):
        room.break_at(2 * MIB)
    result = room.download(retry=None)
    room.check(made(1))
    assert result.bytes_moved == SIZE - 8 * MIB
    assert room.ranges()[1:] == [f"bytes={start * MIB}-{SIZE - 1}" for start in (2, 4, 6, 8)]


def test_a_whole_part_costs_one_byte(room):
    """Where all bytes are here already, one is fetched all the same: the answer shows that it still is this object."""
    room.break_at(5 * MIB)
    room.part.write_bytes(made(1))
    room.says((0, SIZE))
    assert room.download().bytes_moved == 1
    room.check(made(1))


@retries
@pytest.mark.parametrize("size", [SIZE, SIZE + MIB, 6 * MIB, 100], ids=["same", "bigger", "smaller", "tiny"])
def test_a_part_of_another_version(room, retry, size):
    """Where the object was replaced between the runs, all of it is the new one; a leftover is no failure to pay for."""
    room.break_at(5 * MIB)
    room.put(made(2, size))
    result = room.download(retry=retry)
    room.check(made(2, size))
    assert result.bytes_moved == size


@retries
def test_a_part_that_was_damaged(room, retry):
    """A byte that changed on this disk is found by the checksum, and the object is fetched from its beginning."""
    room.break_at(5 * MIB)
    damaged = bytearray(room.part.read_bytes())
    damaged[MIB] ^= 1
    room.part.write_bytes(damaged)
    room.download(retry=retry)
    room.check(made(1))
    assert room.ranges()[-1] is None


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda room: room.record.unlink(), id="gone"),
        pytest.param(lambda room: room.record.write_bytes(b""), id="empty"),
        pytest.param(lambda room: room.record.write_bytes(room.record.read_bytes()[:99]), id="cut short"),
        pytest.param(lambda room: room.record.write_bytes(b"[1]"), id="no record"),
        pytest.param(lambda room: room.edit(headers={"etag": 'W/"weak"'}), id="weak tag"),
        pytest.param(lambda room: room.edit(size=100), id="too small"),
        pytest.param(lambda room: room.edit(source="http://other.example/bucket/key?"), id="of another server"),
    ],
)
def test_a_record_of_no_use(room, damage):
    """A part whose record is missing, damaged or another's is thrown away, and all is fetched in one request."""
    room.break_at(5 * MIB)
    damage(room)
    assert room.download(retry=None).bytes_moved == SIZE
    room.check(made(1))
    assert room.ranges() == [None, None]


@retries
@pytest.mark.parametrize(
    "lie",
    [
        pytest.param({"size": SIZE + 1}, id="bigger"),
        pytest.param({"size": SIZE - 1}, id="smaller"),
        pytest.param({"headers": {"x-amz-checksum-crc32": "AAAAAA=="}}, id="checksum"),
        pytest.param({"headers": {"etag": '"another"'}}, id="tag"),
    ],
)
def test_a_record_that_lies(room, lie, retry):
    """A record that does not fit the object costs a request, and never a right byte, nor the run."""
    room.break_at(5 * MIB)
    room.edit(**lie)
    room.download(retry=retry)
    room.check(made(1))


@pytest.mark.parametrize(("known", "moved"), [(SIZE + 4, 1), (5 * MIB, SIZE - 5 * MIB)], ids=["noted", "not noted"])
@pytest.mark.parametrize("sums", [True, False], ids=["checksum", "no checksum"])
def test_a_part_that_is_bigger_than_the_object(room, known, moved, sums):
    """Bytes behind the object's end are cut off, whether the record speaks of them or not."""
    room.break_at(5 * MIB)
    room.part.write_bytes(made(1) + b"more")
    room.says((0, known))
    assert room.download(etag_is_md5=sums).bytes_moved == moved
    room.check(made(1))


def test_another_object_for_the_same_target(room):
    """The part of one object is never the beginning of another, although both go to one target."""
    room.put(made(2), "other")
    room.break_at(5 * MIB)
    assert room.download("other").bytes_moved == SIZE
    room.check(made(2))
    assert room.ranges() == [None, None]


@pytest.mark.parametrize("what", ["bucket", "version", "endpoint"])
def test_the_same_key_elsewhere(room, what):
    """Nor is it another bucket's, version's or server's object of that key."""
    room.break_at(5 * MIB)
    source = room.lines()[0]["source"]
    others = {"bucket": f"/{BUCKET}x/", "version": "?v2", "endpoint": "http://127.0.0.2:"}
    shown = {"bucket": f"/{BUCKET}/", "version": "?", "endpoint": "http://127.0.0.1:"}
    assert shown[what] in source
    room.edit(source=source.replace(shown[what], others[what]))
    assert room.download().bytes_moved == SIZE


# -- what is trusted without a checksum


def without_checksum(room, monkeypatch, **options):
    """A run that broke behind five MiB, of which it waited for the disk twice, and whose store tells no checksum."""
    monkeypatch.setattr(transfer, "SYNC_EVERY", 2 * MIB)
    with monkeypatch.context() as patched:  # as SIGKILL would: no last wait for the disk
        patched.setattr(transfer.Download, "_keep", lambda self, *_: setattr(self._replacement, "_kept", True))
        room.break_at(5 * MIB, etag_is_md5=False, **options)
    assert room.part.stat().st_size == 5 * MIB


def test_without_a_checksum_a_failure_waits_for_the_disk(room):
    """A call that fails in an orderly way waits for the disk once more: all that it promises is gone on with."""
    answer, room.server.answer = room.server.answer, room.cutting(5 * MIB)
    with pytest.raises(TransportError, match=f"{5 * MIB} bytes are kept beside the target"):
        room.download(retry=None, etag_is_md5=False)
    room.server.answer = answer
    assert room.download(etag_is_md5=False).bytes_moved == SIZE - 5 * MIB
    room.check(made(1))


@pytest.mark.parametrize("sums", [True, False], ids=["checksum", "no checksum"])
def test_not_durable_counts_until_the_system_is_started_anew(room, sums, monkeypatch):
    """Where the disk was not waited for, what is kept is gone on with by the same system, and by no later one."""
    for boot, moved in ((record._boot(), SIZE - 5 * MIB), ("another", SIZE), (None, SIZE)):
        room.break_at(5 * MIB, etag_is_md5=sums, durable=False)
        assert room.lines()[0]["synced"] == []
        with monkeypatch.context() as patched:
            patched.setattr(record, "_boot", lambda boot=boot: boot)
            assert room.download(etag_is_md5=sums).bytes_moved == moved
        room.check(made(1))


@pytest.mark.parametrize("status", [400, 405, 501])
def test_a_gateway_that_knows_no_ranges_stops_nothing(room, status):
    """Where a part cannot be gone on with because nobody there knows Range, all of it is fetched."""
    room.break_at(5 * MIB)
    room.server.answer = lambda request: Answer(status) if request.header("range") else room.store(request)
    assert room.download(retry=None).bytes_moved == SIZE
    room.check(made(1))


PAGE_HEADERS = {**ETAG, "Content-Type": "text/html", "Last-Modified": "Tue, 03 Feb 2026 04:05:06 GMT"}
PAGE = Answer(headers=PAGE_HEADERS, body=b"<html>")


@pytest.mark.parametrize("leftover", [True, False], ids=["a part", "in the middle"])
def test_a_web_page_with_a_tag_is_no_new_version(room, leftover):
    """A static page in the store's place, with ETag and all, is neither the rest of the object nor a newer one."""
    room.target.write_bytes(OLD)
    if leftover:
        room.break_at(5 * MIB)
        room.server.answer = lambda request: PAGE
    else:
        room.server.answer = in_turn(room.cutting(5 * MIB), PAGE)
    with pytest.raises(InvalidResponse, match="not from an S3 server"):
        room.download()
    room.check_target(OLD)
    assert room.kept()


def test_without_a_checksum_only_what_was_synced_is_trusted(room, monkeypatch):
    """Behind the last wait for the disk a power cut may have left anything: those bytes are fetched again."""
    without_checksum(room, monkeypatch)
    ((begin, end),) = room.lines()[0]["synced"]
    assert begin == 0
    assert 2 * MIB <= end < 5 * MIB
    data = room.part.read_bytes()
    room.part.write_bytes(data[:end] + bytes(5 * MIB - end))
    monkeypatch.setattr(record, "_boot", lambda: "after the power cut")
    assert room.download(etag_is_md5=False).bytes_moved == SIZE - end
    room.check(made(1))


def test_without_durable_nothing_was_synced(room, monkeypatch):
    """A run that does not wait for the disk must not say that it did: without a checksum nothing of it is trusted."""
    without_checksum(room, monkeypatch, durable=False)
    room.part.write_bytes(bytes(5 * MIB))  # what a power cut may leave of it
    monkeypatch.setattr(record, "_boot", lambda: "after the power cut")
    assert room.download(etag_is_md5=False).bytes_moved == SIZE
    room.check(made(1))


def test_a_record_is_of_its_own_part(room, monkeypatch):
    """A run without resume in between leaves no record that would be taken for one of its own part."""
    without_checksum(room, monkeypatch)
    room.put(made(2))
    room.server.answer = room.cutting(5 * MIB)
    monkeypatch.setattr(files.Replacement, "keep", lambda self: setattr(self, "_kept", True))  # as SIGKILL would
    with pytest.raises(TransportError):
        room.download(retry=None, resume=False, etag_is_md5=False)
    monkeypatch.undo()
    room.server.answer = room.store
    room.put(made(1))  # the first version is back
    room.download(etag_is_md5=False)
    room.check(made(1))


# -- what goes away


@pytest.mark.parametrize(
    "options", [{"resume": False}, {"if_none_match": '"x"'}, {"if_match": "*"}], ids=["no resume", "changed", "match"]
)
def test_a_run_that_cannot_go_on_clears_up(room, options):
    """Without resume, or under a condition, an earlier part is not used; part and record go all the same."""
    room.break_at(5 * MIB)
    assert room.download(**options).bytes_moved == SIZE
    room.check(made(1))


@pytest.mark.parametrize(
    "numbers", [[0], [1], [0, 1, 2], [0, 2], [3]], ids=["first", "second", "all", "gap", "only far ones"]
)
def test_numbered_parts_of_killed_runs_go(room, numbers):
    """Runs that were killed side by side leave numbered parts, also with gaps; one that ends well takes them all."""
    for number in numbers:
        room.numbered(number).write_bytes(made(1)[:MIB])
    room.target.write_bytes(OLD)
    room.download()
    room.check(made(1))


def test_a_record_half_written_goes(room):
    """A run killed while it wrote its record leaves a beginning of it; the next one takes it away."""
    room.break_at(5 * MIB)
    room.record.with_name(room.record.name + "~").write_bytes(b'{"size"')
    room.download()
    room.check(made(1))


def test_a_record_without_part_goes(room):
    """A run killed behind its replace leaves its record alone, which the next one takes away."""
    room.break_at(5 * MIB)
    room.part.unlink()
    assert room.download().bytes_moved == SIZE
    room.check(made(1))


def test_a_part_of_no_further_use_goes(room):
    """Where there is no such object any more nothing stays but the old file."""
    room.target.write_bytes(OLD)
    room.break_at(5 * MIB)
    room.store.objects.clear()
    with pytest.raises(NotFound):
        room.download()
    assert content(room.folder) == {"model": OLD}


@pytest.mark.parametrize("condition", [{"if_match": '"another"'}, {"if_none_match": "*"}], ids=["412", "304"])
def test_a_condition_that_fails_throws_no_part_away(room, condition):
    """Who only looks whether there is something new leaves what is here to the next one who fetches it."""
    room.break_at(5 * MIB)
    with pytest.raises((PreconditionFailed, NotModified)):
        room.download(**condition)
    assert room.kept()
    assert room.download().bytes_moved == SIZE - 5 * MIB
    room.check(made(1))


@pytest.mark.parametrize(
    "portal",
    [Answer(200, body=b"<html>sign in</html>"), Answer(404, body=b"<html>no such page</html>"), Answer(403)],
    ids=["200", "404", "403"],
)
@pytest.mark.parametrize("retry", [PATIENT, None], ids=["retries", "no retries"])
def test_what_a_captive_portal_says_throws_no_part_away(room, portal, retry):
    """A page in the store's place says nothing of the object: what is here of it stays for the next run."""
    room.break_at(5 * MIB)
    room.server.answer = lambda request: portal
    with pytest.raises(CDNError):
        room.download(retry=retry)
    assert room.kept()
    room.server.answer = room.store
    assert room.download().bytes_moved == SIZE - 5 * MIB
    room.check(made(1))


def test_what_is_damaged_in_the_store_is_not_kept(room):
    """Bytes that twice are not those of the checksum are an IntegrityError, and no part is left to go on with."""
    room.put(made(1), **{"x-amz-checksum-crc32": "AAAAAA=="})
    room.target.write_bytes(OLD)
    with pytest.raises(IntegrityError):
        room.download()
    assert content(room.folder) == {"model": OLD}
    assert room.ranges() == [None, None]


def test_small_objects_leave_nothing(room):
    """A part of less than eight MiB is not worth keeping: it goes with the failure."""
    room.put(made(3, 4 * MIB))
    room.server.answer = room.cutting(2 * MIB)
    with pytest.raises(TransportError):
        room.download(retry=None)
    assert content(room.folder) == {}


def test_two_targets_in_one_folder(room):
    """Each target has parts of its own: a download that ends well leaves another's alone."""
    room.break_at(5 * MIB)
    other = Room(room.folder, room.server, room.store)
    other.target = room.folder / "other"
    other.download()
    assert room.kept()
    (room.folder / "other").unlink()
    assert room.download().bytes_moved < SIZE
    room.check(made(1))
