"""Proves which headers go out, which of them are signed, and what Host says: traps 9, 12, 13, 20 and 23.

The lists are exact: a header more, or one that is signed without need, fails.
"""

import pytest
from kit import BODY, ETAG, KEY, SECRET, TOKEN, client_of, good, judged, lead_to
from rawserver import Answer, RawServer

from cdn_sigv4 import Credentials, S3Client

ALWAYS = {"host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"}
UNSIGNED = {"accept-encoding", "user-agent", "authorization"}

PUT_OPTIONS = {
    "content_type": "text/plain; charset=utf-8",
    "metadata": {"Owner": "me  and   you", "x": ""},
    "headers": {"Cache-Control": "max-age=1", "Content-MD5": "XUFAKrxLKna5cZ2REBfFkg==", "Content-Encoding": "br"},
    "if_none_match": "*",
}
GIVEN = {"content-type", "x-amz-meta-owner", "x-amz-meta-x", "cache-control", "content-md5", "content-encoding"}
RANGE = {"start": 1, "end": 3}

MODE, CRC32 = {"x-amz-checksum-mode"}, {"x-amz-checksum-crc32"}
OPERATIONS = [
    # operation, how it is called, what is signed beside ALWAYS, what is sent unsigned beside UNSIGNED
    ("get", lambda client: client.get_object("bucket", "key").read(), MODE, set()),
    ("get-range", lambda client: client.get_object("bucket", "key", **RANGE).read(), {"range"}, set()),
    ("get-if", lambda client: client.get_object("bucket", "key", if_match='"x"').close(), MODE | {"if-match"}, set()),
    ("head", lambda client: client.head_object("bucket", "key"), set(), set()),
    ("delete", lambda client: client.delete_object("bucket", "key"), set(), set()),
    ("put-empty", lambda client: client.put_object("bucket", "key", b""), CRC32, {"content-length"}),
    ("put-plain", lambda client: client.put_object("bucket", "key", b"x"), CRC32, {"content-length"}),
    (
        "put-described",
        lambda client: client.put_object("bucket", "key", b"hello", **PUT_OPTIONS),
        GIVEN | CRC32 | {"if-none-match"},
        {"content-length"},
    ),
    ("head-bucket", lambda client: client.head_bucket("bucket"), set(), set()),
    ("create-bucket", lambda client: client.create_bucket("bucket"), set(), {"content-length"}),
    ("list", lambda client: list(client.list_objects("bucket")), set(), set()),
    (
        "copy",
        lambda client: client.copy_object("bucket", "a b", "bucket", "key", metadata={"n": "v"}),
        {"x-amz-copy-source", "x-amz-metadata-directive", "x-amz-meta-n"},
        {"content-length"},
    ),
]


def willing(request):
    """A success for whatever is asked."""
    if request.query.startswith(b"encoding-type"):
        return Answer(body=b"<ListBucketResult/>")
    if request.header("x-amz-copy-source"):
        return Answer(body=b"<CopyObjectResult><ETag>x</ETag></CopyObjectResult>")
    if request.header("range"):
        return Answer(206, headers={**ETAG, "Content-Range": f"bytes 1-2/{len(BODY)}"}, body=BODY[1:3])
    return good(request)


@pytest.mark.parametrize("token", [None, TOKEN], ids=["", "token"])
@pytest.mark.parametrize(
    ("call", "signed", "unsigned"), [each[1:] for each in OPERATIONS], ids=[each[0] for each in OPERATIONS]
)
def test_headers_sent_and_signed(call, signed, unsigned, token):
    """Exactly these headers are sent, once each, and exactly these are signed."""
    with RawServer(willing) as server:
        with S3Client(server.endpoint, Credentials(KEY, SECRET, token), timeout=(5, 5)) as client:
            call(client)
    (request,) = server.requests
    always = ALWAYS if token else ALWAYS - {"x-amz-security-token"}
    names = [name.lower() for name, _ in request.headers]
    # A copy has neither body nor any need of a length: both ways are right by RFC 9110, 8.6.
    assert sorted(set(names) | unsigned) == sorted(always | signed | UNSIGNED | unsigned)
    assert len(names) == len(set(names))
    assert set(judged(request).signed_headers) == always | signed
    assert request.header("accept-encoding") == "identity"
    assert request.header("x-amz-security-token") == token


def test_values_arrive_as_given():
    """Values go out letter for letter, inner blanks included, while the signature is over the collapsed form."""
    with RawServer(good) as server, client_of(server) as client:
        client.put_object("bucket", "key", b"hello", **PUT_OPTIONS)
    (request,) = server.requests
    assert b"\r\nx-amz-meta-owner: me  and   you\r\n" in request.head
    assert request.header("content-type") == "text/plain; charset=utf-8"
    assert request.header("cache-control") == "max-age=1"
    assert "x-amz-meta-owner:me and you\n" in judged(request).canonical_request


def test_anonymous():
    """Without credentials nothing that belongs to a signature is sent."""
    with RawServer(lambda request: Answer(headers=ETAG, body=BODY)) as server:
        with S3Client(server.endpoint, None, timeout=(5, 5)) as client:
            client.get_object("bucket", "a/../b").read()
    (request,) = server.requests
    assert {name.lower() for name, _ in request.headers} == {"host", "accept-encoding", "user-agent", *MODE}
    assert request.target == b"/bucket/a/../b"


@pytest.mark.parametrize("style", ["path", "virtual"])
@pytest.mark.parametrize(("port", "shown"), [("", ""), (":080", ""), (":443", ":443"), (":9000/base", ":9000")])
def test_host_of_a_name(port, shown, style, monkeypatch):
    """Host is the signed authority, in small letters and without the scheme's own port, in both addressings."""
    with RawServer(good) as server:
        lead_to(monkeypatch, server, "store.test", "bucket.store.test")
        with client_of(f"http://STORE.test{port}", addressing=style) as client:
            client.put_object("bucket", "key", b"x")
    (request,) = server.requests
    assert request.header("host") == ("" if style == "path" else "bucket.") + "store.test" + shown
    judged(request)


def test_ipv6():
    """An IPv6 endpoint is reached, and Host has the address in brackets before its port."""
    with RawServer(good, host="::1") as server:
        with client_of(f"http://[0:0::1]:{server.port}") as client:
            client.put_object("bucket", "a/../b", b"x")
        with client_of(server) as client:
            client.put_object("bucket", "a/../b", b"x")
    first, second = server.requests
    assert second.header("host") == f"[::1]:{server.port}"
    for each in (first, second):
        assert each.target == b"/bucket/a/../b"
        judged(each)
