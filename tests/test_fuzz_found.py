"""What fuzzing has found: each example on its own, and what should come of it."""

import json
import os
import threading

import pytest
from kit import LONG, client_of, within
from kit_calls import get, listed
from kit_fuzz import MIB, Endless, counted, ended
from rawserver import RawServer, in_turn
from test_fuzz_resume import BODY, OPAQUE, PROVING, closing, first, going_on, killed

from cdn_sigv4 import Retry, answers
from cdn_sigv4.errors import CDNError, TransportError

CHUNKED = b"HTTP/1.1 %s x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("status", [b"200", b"500"])
def test_a_chunk_of_negative_length(status):
    """A chunk of length -1 is no chunk: http.client would read on to the end of the connection, however far that is."""
    with Endless(CHUNKED % status + b"-1\r\n", b" ") as server, client_of(server.endpoint) as client:
        with counted() as peak, within(LONG):
            assert isinstance(ended(lambda: listed(client)), CDNError)
            assert peak() < 40
    assert server.sent < 40 * MIB


def test_trailers_without_end():
    """Fields behind the last chunk are read to their end, but not without one."""
    with Endless(CHUNKED % b"200" + b"0\r\n", b"a: b\r\n") as server, client_of(server.endpoint) as client:
        with within(LONG):
            assert isinstance(ended(lambda: listed(client)), CDNError)
    assert server.sent < 40 * MIB


@pytest.mark.parametrize(
    ("unit", "most"), [(b"<a>", 160), (b"<a b=''>", 160), (b"\xc4\x80\n", 160)], ids=["nested", "attributes", "lines"]
)
def test_xml_of_nothing_but_marks(unit, most):
    """A list page holds some 30,000 elements at the most: millions of them are refused before they are made."""
    body = b"<ListBucketResult>" + unit * (answers.MAX_XML_BYTES // len(unit) - 10)
    with counted() as peak, within(LONG):
        assert isinstance(ended(lambda: answers.parse_list(body)), CDNError)
        assert peak() <= most


def test_a_key_of_megabytes():
    """A key has 1,024 bytes, encoded 3,072: a longer one is refused before it is decoded into 200 times as much."""
    key = b"%" * (answers.MAX_XML_BYTES - 200)
    url = b"<EncodingType>url</EncodingType>"
    page = b"<ListBucketResult>%s<Contents><Key>%s</Key><Size>1</Size></Contents></ListBucketResult>" % (url, key)
    with counted() as peak, within(LONG):
        assert isinstance(ended(lambda: answers.parse_list(page)), CDNError)
        assert peak() <= 160


def test_a_date_of_megabytes():
    """A date has some forty characters: a longer one is none, and no time or memory is spent on it."""
    date = "\u0100 " * (2 * MIB)
    with counted() as peak, within(LONG):
        assert answers.parse_time(date) is None
        assert answers.parse_time("3 Feb " + "9" * MIB + " 04:05:06") is None
        assert peak() <= 20


@pytest.mark.parametrize("tag", ['"\xff"', '"\x01"', '"e" ', '"\x7f"'], ids=ascii)
def test_an_entity_tag_that_cannot_be_sent(tag):
    """What a server names its object may be no header to send: a broken body then ends, and not in a ValueError."""
    with RawServer(in_turn(first(tag, 40), closing(going_on(tag, 40, 100, 100, BODY[40:])))) as server:
        with client_of(server, retry=Retry(attempts=3)) as client:
            result = ended(lambda: get(client))
    assert result == BODY or isinstance(result, TransportError)


@pytest.fixture
def server():
    with RawServer() as started:
        yield started


DAMAGED = {
    "a tag that cannot be sent": {"synced": [[0, 10]], "headers": {"etag": '"\xff"'}},
    "half a surrogate pair": {"synced": [[0, 10]], "headers": {"etag": '"\ud800"'}},
    "a smaller size": {"synced": [[0, 10]], "size": 50},
    "a larger size": {"synced": [[0, 10]], "size": 101},
    "a huge size": {"synced": [[0, 10]], "size": 10**4200},
}


@pytest.mark.parametrize("etag", [PROVING, OPAQUE], ids=["proving", "opaque"])
@pytest.mark.parametrize("way", list(DAMAGED))
def test_a_damaged_record(server, way, etag):
    """A record that does not fit the object is no record: the download begins anew, and ends well."""
    with killed(server, etag) as room:
        first, second = room.record.read_text("ascii").splitlines()
        record = {**json.loads(first), **DAMAGED[way]}
        room.record.write_text(f"{json.dumps(record)}\n{second}\n", "ascii")
        assert room.is_done(room.download())


def test_a_link_in_the_place_of_the_next_record(server):
    """Where others may write beside the target, a link of theirs does not lead our record into another file of ours."""
    with killed(server, OPAQUE) as room:
        mine = room.target.parent / "mine"
        mine.write_bytes(b"precious")
        record, part = room.record, room.part
        record.unlink()
        part.unlink()
        record.with_name(record.name + "~").symlink_to(mine)
        ended(lambda: room.download(attempts=1, cut_after=40))
        assert mine.read_bytes() == b"precious"


def test_a_folder_in_the_place_of_a_record(server):
    """What stands in a record's way costs the record, and not the download."""
    with killed(server, OPAQUE) as room:
        room.record.unlink()
        room.record.mkdir()
        result = room.download()
        assert not isinstance(result, CDNError)
        assert room.target.read_bytes() == BODY


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no such thing here")
def test_a_pipe_in_the_place_of_a_record(server):
    """A pipe in a record's place is no record, and nobody waits for what may come through it."""
    with killed(server, OPAQUE) as room:
        room.record.unlink()
        os.mkfifo(str(room.record))
        holder = os.open(str(room.record), os.O_RDWR)
        results = []
        thread = threading.Thread(target=lambda: results.append(room.download()), daemon=True)
        thread.start()
        thread.join(5)
        waited = thread.is_alive()
        os.close(holder)  # the end of the pipe, for whom it keeps waiting
        thread.join(LONG)
        assert not waited
        assert room.target.read_bytes() == BODY
