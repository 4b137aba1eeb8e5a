"""Proves that an object comes down byte for byte and whole, or not at all: traps 23, 24 and 39.

A body that breaks off, lies about its length or is compressed, in a reader, in a part and in a file.
"""

import gzip

import pytest
from kit import BODY, ETAG, at_path, client_of, still_works, within
from kit_calls import delete, get, head, listed, part, put, ranged, xml
from rawserver import Answer, RawServer

from cdn_sigv4 import CDNError, TransportError


@pytest.mark.parametrize("cut", [0, 1, 5119], ids=["at-once", "after-1", "before-the-last"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_short_body_is_no_object(cut, reset, tmp_path):
    """A body that breaks off is a TransportError for a reader and a file; the old file stays, and nothing is left."""
    assert len(BODY) == 5120
    answer = Answer(headers=ETAG, body=BODY, cut_after=cut, reset=reset)
    target = tmp_path / "file"
    target.write_bytes(b"old")
    with RawServer(lambda request: answer) as server, client_of(server) as client:
        with pytest.raises(TransportError) as caught:
            get(client)
        assert type(caught.value) is TransportError
        with pytest.raises(TransportError) as caught:
            client.download_file("bucket", "key", target)
        assert (caught.value.operation, caught.value.bucket, caught.value.key) == ("GET", "bucket", "key")
        with pytest.raises(TransportError):
            client.download_file("bucket", "key", tmp_path / "new" / "folder" / "file", make_folders=True)
        with client.get_object("bucket", "key") as reader, pytest.raises(TransportError):
            for _ in reader:
                pass
        assert len(at_path(server, b"/bucket/key")) == 4
        still_works(client, server)
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_body_shorter_than_it_says_on_an_open_connection(tmp_path):
    """A lying Content-Length ends as a stall, and leaves no file."""
    answer = Answer(headers=ETAG, body=BODY, length=len(BODY) + 1)
    with RawServer(lambda request: answer) as server, client_of(server, timeout=(5, 0.3)) as client:
        with within(3, 0.3), pytest.raises(TransportError, match=r"moved no byte for 0\.3 s"):
            client.download_file("bucket", "key", tmp_path / "file")
        still_works(client, server)
    assert list(tmp_path.iterdir()) == []


def test_gzip_is_not_touched(tmp_path):
    """An object with Content-Encoding gzip comes as it is stored, in a reader, a part of it and a file."""
    packed = gzip.compress(BODY)
    headers = {**ETAG, "Content-Encoding": "gzip"}
    with RawServer(lambda request: Answer(headers=headers, body=packed)) as server, client_of(server) as client:
        assert get(client) == packed
        with client.get_object("bucket", "key") as reader:
            assert b"".join(reader) == packed
        assert reader.info.headers["content-encoding"] == "gzip"
        client.download_file("bucket", "key", tmp_path / "file")
        server.answer = lambda request: ranged_gzip(headers, packed)
        assert part(client) == packed[2:6]
    assert (tmp_path / "file").read_bytes() == packed


def ranged_gzip(headers, packed):
    return Answer(206, headers={**headers, "Content-Range": f"bytes 2-5/{len(packed)}"}, body=packed[2:6])


def test_bytes_behind_an_answer_answer_nothing():
    """What a server sends behind an answer is never taken for the answer to the next request."""
    body = b"12345"
    poison = b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 6\r\n\r\npoison"
    raw = b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 5\r\n\r\n" + body + poison
    with RawServer(lambda request: Answer(raw=raw)) as server, client_of(server) as client:
        for _ in range(5):
            assert get(client) == body
        still_works(client, server)


def test_an_empty_object(tmp_path):
    """An object of no bytes is read and saved."""
    with RawServer(lambda request: Answer(headers=ETAG)) as server, client_of(server) as client:
        assert get(client) == b""
        assert client.download_file("bucket", "key", tmp_path / "file").bytes_moved == 0
    assert (tmp_path / "file").read_bytes() == b""


KEPT = [
    ("get", get, Answer(headers=ETAG, body=BODY)),
    ("get-empty", get, Answer(headers=ETAG)),
    ("get-part", part, ranged("bytes 2-5/10")),
    ("head", head, Answer(headers=ETAG, length=5)),
    ("put", put, Answer(headers=ETAG)),
    ("delete", delete, Answer(204)),
    ("delete-200", delete, Answer(200)),
    ("list", listed, Answer(body=b"<ListBucketResult/>")),
    ("head-not-found", head, Answer(404)),
    ("not-found", get, Answer(404, body=xml("NoSuchKey"))),
    ("denied", put, Answer(403, body=xml("AccessDenied"))),
    ("not-modified", get, Answer(304)),
    ("busy", put, Answer(503, body=xml("SlowDown"))),
    ("redirect", get, Answer(307, headers={"Location": "http://other.test/"}, body=xml("TemporaryRedirect"))),
]


@pytest.mark.parametrize(("call", "answer"), [row[1:] for row in KEPT], ids=[row[0] for row in KEPT])
def test_whole_answers_keep_their_connection(call, answer):
    """After an answer that came whole, be it an error, the next request goes over the same connection."""
    with RawServer(lambda request: answer) as server, client_of(server) as client:
        for _ in range(2):
            try:
                call(client)
            except CDNError as error:
                assert error.status == answer.status  # noqa: PT017
        still_works(client, server)
        assert server.connections == 1


def test_a_reader_that_is_closed_early():
    """A reader that is closed before its end gives its connection up, and the next one has its own bytes."""
    with RawServer(lambda request: Answer(headers=ETAG, body=BODY)) as server, client_of(server) as client:
        with client.get_object("bucket", "key") as reader:
            assert reader.read(10) == BODY[:10]
        with pytest.raises(ValueError, match="closed"):
            reader.read(1)
        still_works(client, server)
        assert server.connections == 2
