"""Proves which connections the short way uses again: those on which the next answer will be the next request's.

All others are closed. How many there may be, and what closes them in the end, is test_direct_many.py's.
"""

import threading

import pytest
from kit import BODY, BUCKET, ETAG, LONG, client_of, good, still_works, within
from kit_calls import delete, get, head, listed, part, put, put_big, ranged, xml
from kit_direct import idle, until
from rawserver import Answer, RawServer, chunked, in_turn
from urllib3.util.wait import wait_for_read

from cdn_sigv4 import CDNError, NotModified

CHUNKED = {"Transfer-Encoding": "chunked"}
LISTED = b"<ListBucketResult/>"


def failed(call):
    """The same call, of which the failure is of no interest."""

    def calling(client):
        with pytest.raises(CDNError):
            call(client)

    return calling


def conditional(client):
    """An object that has not changed."""
    with pytest.raises(NotModified):
        client.get_object(BUCKET, "key", if_none_match=ETAG["ETag"])


def put_nothing(client):
    """An empty object."""
    client.put_object(BUCKET, "key", b"")


def dropped(client):
    """An object of which nobody reads anything."""
    client.get_object(BUCKET, "key").close()


def half_read(client):
    """An object of which somebody has enough."""
    with client.get_object(BUCKET, "key") as reader:
        assert reader.read(100) == BODY[:100]


def block_by_block(client):
    """An object in blocks, up to its last byte and no further."""
    with client.get_object(BUCKET, "key") as reader:
        assert b"".join(reader.read(512) for _ in range(10)) == BODY


def raw(start, rest=b""):
    return Answer(raw=b"HTTP/1.1 " + start + b'\r\nETag: "x"\r\n' + rest)


USED_AGAIN = [
    ("GET", get, good),
    ("GET in blocks", block_by_block, good),
    ("GET of nothing", get, Answer(headers=ETAG)),
    ("GET of a range", part, ranged("bytes 2-5/10")),
    ("HEAD", head, good),
    ("HEAD of nothing", head, Answer(headers=ETAG)),
    ("PUT", put, good),
    ("PUT of nothing", put_nothing, good),
    ("PUT with a body in the answer", put, Answer(headers=ETAG, body=b"<Fine/>")),
    ("DELETE, 204", delete, good),
    ("DELETE, 200", delete, Answer()),
    ("304", conditional, Answer(304, headers=ETAG)),
    ("304 with a length", conditional, Answer(304, headers={**ETAG, "Content-Length": "5120"})),
    ("404", failed(get), Answer(404, body=xml("NoSuchKey"))),
    ("404 of nothing", failed(get), Answer(404)),
    ("404 to a HEAD", failed(head), Answer(404, body=xml("NoSuchKey"))),
    ("403 to a PUT", failed(put), Answer(403, body=xml("AccessDenied"))),
    ("503", failed(get), Answer(503, body=xml("SlowDown"))),
    ("301", failed(get), Answer(301, headers={"Location": "http://other.test/"}, body=xml("PermanentRedirect"))),
    ("list", listed, Answer(body=LISTED)),
    ("list in chunks", listed, Answer(headers=CHUNKED, body=chunked(LISTED))),
    ("404 in chunks", failed(get), Answer(404, headers=CHUNKED, body=chunked(xml("NoSuchKey")))),
    (
        "behind an interim answer",
        get,
        raw(b"103 Early", b"\r\nHTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 2\r\n\r\nhi"),
    ),
]

ENDED = [
    ("thrown away unread", dropped, good),
    ("read in part", half_read, good),
    ("Connection: close", get, Answer(headers=ETAG, body=BODY, close=True)),
    ("close in a word among others", get, Answer(headers={**ETAG, "Connection": "x, Close"}, body=BODY)),
    ("HTTP/1.0", get, Answer(raw=b'HTTP/1.0 200 OK\r\nETag: "x"\r\nContent-Length: 2\r\n\r\nhi')),
    ("no length", listed, Answer(body=LISTED, no_length=True)),
    ("no length of an object", failed(get), Answer(headers=ETAG, body=BODY, no_length=True)),
    ("a short body", failed(get), Answer(headers=ETAG, body=BODY, length=9999, cut_after=len(BODY))),
    ("a short chunk", failed(listed), Answer(headers=CHUNKED, body=b"13\r\n<List", cut_after=9)),
    ("an error longer than is read", failed(get), Answer(403, body=xml("AccessDenied") + bytes(1 << 17))),
    ("a list longer than any", failed(listed), Answer(body=bytes((8 << 20) + 2))),
    ("a range where none was asked for", failed(get), ranged("bytes 2-5/10")),
    ("no range where one was asked for", failed(part), Answer(headers=ETAG, body=BODY)),
    ("a success before the whole body", failed(put_big), Answer(headers=ETAG, before_body=True, drain=1 << 30)),
    ("a refusal before the whole body", failed(put_big), Answer(403, before_body=True, drain=1 << 30)),
    ("101", failed(get), Answer(101)),
    ("no HTTP", failed(get), Answer(raw=b"SSH-2.0-OpenSSH\r\n")),
    ("reset", failed(get), Answer(reset=True)),
]


BROKEN_CHUNKS = [
    ("no last chunk", Answer(headers=CHUNKED, body=b"13\r\n<ListBucketResult/>\r\n", cut_after=25)),
    ("a chunk that is none", Answer(headers=CHUNKED, body=b"x\r\n\r\n")),
    ("a chunk of -1 bytes", Answer(headers=CHUNKED, body=b"-1\r\n<ListBucketResult/>")),
]


@pytest.mark.parametrize("answer", [each[1] for each in BROKEN_CHUNKS], ids=[each[0] for each in BROKEN_CHUNKS])
def test_broken_chunks(answer):
    """A connection whose last answer broke in a chunk is closed: what comes next on it is anything but an answer."""
    with RawServer(in_turn(answer, good)) as server, client_of(server) as client:
        with within(4):  # not the stall timeout
            failed(listed)(client)
        assert idle(client) == []
        still_works(client, server)
        assert server.connections == 2


def test_what_comes_behind_a_broken_chunk():
    """The rest of an answer that broke in a chunk, which comes late, is not taken for another request's answer."""
    late = threading.Event()
    first = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"
    rest = b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 6\r\n\r\nforged'
    answers = in_turn(Answer(raw=first + rest, delay=late, delay_after=len(first)), good)
    timer = threading.Timer(0.2, late.set)
    with RawServer(answers) as server, client_of(server) as client:
        failed(listed)(client)
        timer.start()
        found = get(client)
        timer.join(LONG)
        assert found == BODY


@pytest.mark.parametrize(
    ("call", "answer", "connections"),
    [(call, answer, 1) for _, call, answer in USED_AGAIN] + [(call, answer, 2) for _, call, answer in ENDED],
    ids=[name for name, _, _ in USED_AGAIN + ENDED],
)
def test_used_again_or_not(call, answer, connections, one_put):
    """The next requests go over the same connection behind a whole answer, and over another behind any other one."""
    with RawServer(in_turn(answer, good)) as server, client_of(server) as client:
        call(client)
        assert len(idle(client)) == 2 - connections
        still_works(client, server)
        assert server.connections == connections
        assert len(idle(client)) == 1


def test_one_connection_for_all():
    """Fifty requests of all kinds, one after the other, take one connection."""
    with RawServer(good) as server, client_of(server) as client:
        for _ in range(10):
            for call in (get, put, head, delete, put_nothing):
                call(client)
        assert server.connections == 1


# -- bytes behind the answer


STRAY = [b"\r\n", b"x", b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 5\r\n\r\nstray", bytes(1 << 16)]


@pytest.mark.parametrize("stray", STRAY, ids=["line", "letter", "answer", "64 KiB"])
@pytest.mark.parametrize("call", [get, put])
def test_stray_bytes_behind_the_answer(call, stray):
    """What comes behind an answer, before the next request, is no answer to that: another connection is used."""
    with RawServer() as server, client_of(server) as client:
        whole = b"".join(good_parts())
        late = threading.Event()
        stray_answer = Answer(raw=whole + stray, delay=late, delay_after=len(whole))
        server.answer = in_turn(stray_answer, good)
        call(client)
        (connection,) = idle(client)
        late.set()
        assert wait_for_read(connection.sock, timeout=LONG)
        still_works(client, server)
        assert server.connections == 2


@pytest.mark.parametrize("stray", STRAY, ids=["line", "letter", "answer", "64 KiB"])
def test_stray_bytes_with_the_answer(stray):
    """So it is where they come together with it: whether the connection is used again or not, they answer nothing."""
    whole = b"".join(good_parts())
    with RawServer(in_turn(Answer(raw=whole + stray), good)) as server, client_of(server) as client:
        assert get(client) == BODY
        still_works(client, server)


def good_parts():
    return Answer(headers=ETAG, body=BODY).parts("GET")


# -- connections that the server has closed


@pytest.mark.parametrize("call", [get, put, delete, listed])
def test_closed_while_idle(call):
    """An idle connection that the server closes costs no failed request, whatever comes next."""
    end = Answer(headers=ETAG, body=BODY, cut_after=len(BODY))
    with RawServer(in_turn(end, lambda request: Answer(headers=ETAG, body=LISTED))) as server:
        with client_of(server) as client:
            assert get(client) == BODY
            until(lambda: not server._sockets)
            call(client)
            assert (server.connections, len(server.requests)) == (2, 2)
            still_works(client, server)


def test_all_closed_while_idle():
    """So it is for many at once: each is noticed, none costs an attempt."""
    with RawServer(good) as server, client_of(server) as client:
        readers = [client.get_object(BUCKET, "key") for _ in range(8)]
        assert [reader.read() for reader in readers] == [BODY] * 8
        server.answer = lambda request: Answer(headers=ETAG, body=BODY, cut_after=len(BODY))
        assert len(idle(client)) == 8
        readers = [client.get_object(BUCKET, "key") for _ in range(8)]
        assert [reader.read() for reader in readers] == [BODY] * 8
        until(lambda: not server._sockets)
        assert server.connections == 8
        server.answer = good
        readers = [client.get_object(BUCKET, "key") for _ in range(8)]
        assert [reader.read() for reader in readers] == [BODY] * 8
        assert (server.connections, len(server.requests)) == (16, 24)
