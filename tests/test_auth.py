"""`SigV4Auth` through `requests` itself: what arrives at a raw socket is verified there, from its bytes.

For S3 the judge is sigcheck.py; for every other service botocore, which is given the request as it arrived and must
make the same Authorization header. Redirects go to a second server, which must learn nothing of the signature.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
import os
import pathlib
import re
import socket
from contextlib import contextmanager
from typing import Any, Iterator
from unittest import mock

import botocore.auth
import botocore.credentials
import pytest
import requests
from botocore.awsrequest import AWSRequest
from rawserver import Answer, MemoryStore, RawRequest, RawServer, make_tls
from sigcheck import Verified, verify

from cdn_sigv4 import Credentials, SigV4Auth

KEY, SECRET, TOKEN = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdz//token=="
REGION = "eu-central-1"
NOW = 1440938160.0  # 2015-08-30T12:36:00Z, the moment of AWS's own examples
SIGNATURE_HEADERS = ("authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token")
REDIRECTS = [301, 302, 303, 307, 308]


@pytest.fixture
def server() -> Iterator[RawServer]:
    """A server that answers 200 and keeps the bytes."""
    with RawServer() as started:
        yield started


def signer(service: str = "s3", token: str | None = None, moment: float = NOW) -> SigV4Auth:
    """An auth object whose clock stands still."""
    auth = SigV4Auth(Credentials(KEY, SECRET, token), REGION, service)
    auth._clock = lambda: moment
    return auth


def judged(request: RawRequest, token: str | None = None, *, allow_unsigned_payload: bool = False) -> Verified:
    """What the judge says to a request for S3; SignatureError if it was not signed exactly as it was sent."""
    proof = verify(
        request.head, request.body, {KEY: SECRET}, region=REGION, allow_unsigned_payload=allow_unsigned_payload
    )
    assert proof.session_token == token
    return proof


def only(server: RawServer) -> RawRequest:
    """The one request that came."""
    (request,) = server.requests
    return request


def signed_headers(request: RawRequest) -> list[str]:
    match = re.search("SignedHeaders=([^,]+),", request.header("authorization") or "")
    assert match is not None
    return match.group(1).split(";")


@contextmanager
def clock_of_botocore(moment: str) -> Iterator[None]:
    now = dt.datetime.strptime(moment + "+0000", "%Y%m%dT%H%M%SZ%z")
    if hasattr(botocore.auth, "get_current_datetime"):
        name, stand_in = "get_current_datetime", mock.Mock(return_value=now)
    else:  # botocore before 1.40, the newest for Python 3.8
        name, stand_in = "datetime", mock.Mock(**{"datetime.utcnow.return_value": now})
    with mock.patch.object(botocore.auth, name, stand_in):
        yield


def check_with_botocore(request: RawRequest, service: str, token: str | None = None) -> None:
    """Let botocore sign the request as it arrived: the same headers and moment must give its signature."""
    own = ("host", "x-amz-date", "x-amz-security-token")
    url = f"http://{request.header('host')}{request.target.decode('ascii')}"
    oracle = AWSRequest(request.method, url, data=request.body)
    for name in signed_headers(request):
        if name not in own:
            oracle.headers[name] = request.header(name)
    with clock_of_botocore(request.header("x-amz-date") or ""):
        credentials = botocore.credentials.Credentials(KEY, SECRET, token)
        botocore.auth.SigV4Auth(credentials, service, REGION).add_auth(oracle)
    assert request.header("authorization") == oracle.headers["Authorization"]
    assert request.header("x-amz-security-token") == token


def check(request: RawRequest, service: str, token: str | None = None) -> None:
    if service == "s3":
        judged(request, token)
    else:
        check_with_botocore(request, service, token)


both_services = pytest.mark.parametrize("service", ["s3", "execute-api"])


# -- what is signed is what arrives


def test_whole_headers(server: RawServer) -> None:
    """A plain GET carries date, payload hash and an Authorization of the right scope, and signs just these and host."""
    requests.get(server.endpoint + "/bucket/key", auth=signer(), timeout=10)
    request = only(server)
    proof = judged(request)
    assert (proof.access_key, proof.region, proof.service) == (KEY, REGION, "s3")
    assert proof.timestamp == "20150830T123600Z"
    assert proof.signed_headers == ("host", "x-amz-content-sha256", "x-amz-date")
    assert request.header("x-amz-content-sha256") == hashlib.sha256(b"").hexdigest()


def test_real_clock(server: RawServer) -> None:
    """Without a test's clock the request bears the time at which it was signed, to the store's satisfaction."""
    server.answer = MemoryStore(
        {KEY: SECRET}, region=REGION, buckets=("bucket",), clock=lambda: dt.datetime.now(dt.timezone.utc)
    )
    auth = SigV4Auth(Credentials(KEY, SECRET), REGION, "s3")
    assert requests.head(server.endpoint + "/bucket/", auth=auth, timeout=10).status_code == 200


@pytest.mark.parametrize(
    ("params", "query"),
    [
        pytest.param({"a": "1"}, b"a=1", id="plain"),
        pytest.param({"z": "1", "a": "2", "B": "3"}, b"B=3&a=2&z=1", id="sorted by bytes"),
        pytest.param({"a": "x y"}, b"a=x%20y", id="blank"),
        pytest.param({"a": "1+1"}, b"a=1%2B1", id="plus sign"),
        pytest.param({"a": ["2", "1", "1"]}, b"a=1&a=1&a=2", id="repeated"),
        pytest.param("acl", b"acl=", id="name only"),
        pytest.param({"a": "", "b": None}, b"a=", id="empty value"),
        pytest.param({"": "x"}, b"=x", id="empty name"),
        pytest.param({"ü": "日本"}, b"%C3%BC=%E6%97%A5%E6%9C%AC", id="not ASCII"),
        pytest.param({"a": b"\xff\xfe"}, b"a=%FF%FE", id="not UTF-8"),
        pytest.param({"a": "/?:@!$'()*,;&=~-._"}, b"a=%2F%3F%3A%40%21%24%27%28%29%2A%2C%3B%26%3D~-._", id="delimiters"),
        pytest.param({"a": "100%", "b": "%41"}, b"a=100%25&b=%2541", id="percent signs"),
        pytest.param({"a": "1", "a-b": "2", "a.b": "3"}, b"a=1&a-b=2&a.b=3", id="names that begin alike"),
    ],
)
@both_services
def test_query(server: RawServer, service: str, params: Any, query: bytes) -> None:
    """`params=` of any kind arrive in the canonical form, with the meaning they had, and are signed as they arrive."""
    requests.get(server.endpoint + "/bucket/key", params=params, auth=signer(service), timeout=10)
    assert only(server).query == query
    check(only(server), service)


@pytest.mark.parametrize(
    ("written", "query"),
    [
        pytest.param("?b=2&a=1", b"a=1&b=2", id="unsorted"),
        pytest.param("?a=x+y", b"a=x%20y", id="plus is a blank"),
        pytest.param("?uploads", b"uploads=", id="name only"),
        pytest.param("?a=%7e%2a", b"a=~%2A", id="lower-case escapes"),
        pytest.param("?a=b=c", b"a=b%3Dc", id="equals sign in a value"),
        pytest.param("?a=1#part", b"a=1", id="fragment"),
        pytest.param("?", b"", id="nothing"),
        pytest.param("?a=1&a=0", b"a=0&a=1", id="repeated"),
    ],
)
@both_services
def test_query_in_url(server: RawServer, service: str, written: str, query: bytes) -> None:
    """A query written into the URL arrives in the canonical form and is signed as it arrives."""
    requests.get(server.endpoint + "/bucket/key" + written, auth=signer(service), timeout=10)
    assert only(server).query == query
    check(only(server), service)


def test_params_are_added_to_those_of_the_url(server: RawServer) -> None:
    """Parameters of the URL, of the session and of the call are all there, sorted and signed together."""
    with requests.Session() as session:
        session.params = {"m": "session"}
        session.get(server.endpoint + "/bucket/key?z=url", params={"a": "call"}, auth=signer(), timeout=10)
    assert only(server).query == b"a=call&m=session&z=url"
    judged(only(server))


@pytest.mark.parametrize(
    ("written", "path"),
    [
        pytest.param("", b"/", id="none"),
        pytest.param("/", b"/", id="root"),
        pytest.param("/bucket/", b"/bucket/", id="trailing slash"),
        pytest.param("/bucket/a b", b"/bucket/a%20b", id="blank"),
        pytest.param("/bucket/a+b", b"/bucket/a%2Bb", id="plus sign"),
        pytest.param("/bucket/ü/日本/😀", b"/bucket/%C3%BC/%E6%97%A5%E6%9C%AC/%F0%9F%98%80", id="not ASCII"),
        pytest.param("/bucket/u\u0308", b"/bucket/u%CC%88", id="not composed"),
        pytest.param("/bucket/%FF", b"/bucket/%FF", id="not UTF-8"),
        pytest.param("/bucket/a%2Fb", b"/bucket/a/b", id="encoded slash, the same key to S3"),
        pytest.param("/bucket/a%2fb", b"/bucket/a/b", id="encoded slash, lower case"),
        pytest.param("/bucket/%7e%41", b"/bucket/~A", id="needlessly encoded"),
        pytest.param("/bucket/~-._", b"/bucket/~-._", id="unreserved"),
        pytest.param("/bucket/!$&'()*,;=:@", b"/bucket/%21%24%26%27%28%29%2A%2C%3B%3D%3A%40", id="delimiters"),
        pytest.param("/bucket/100%25", b"/bucket/100%25", id="percent sign"),
        pytest.param("/bucket/%2541", b"/bucket/%2541", id="encoded twice"),
        pytest.param('/bucket/"<>[]\\^`{|}', b"/bucket/%22%3C%3E%5B%5D%5C%5E%60%7B%7C%7D", id="not in URLs"),
        pytest.param("/bucket/a//b", b"/bucket/a//b", id="empty segment"),
        pytest.param("/bucket/a/../b", b"/bucket/b", id="dot segment, which requests removes"),
        pytest.param("/bucket/x%3Fy%23z", b"/bucket/x%3Fy%23z", id="encoded ? and #"),
    ],
)
def test_path_of_s3(server: RawServer, written: str, path: bytes) -> None:
    """An S3 path arrives encoded once, as S3 signs it, and is signed as it arrives."""
    requests.get(server.endpoint + written, auth=signer(), timeout=10)
    assert only(server).path == path
    judged(only(server))


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("", id="none"),
        pytest.param("/", id="root"),
        pytest.param("/stage/a b/", id="blank, trailing slash"),
        pytest.param("/stage/a+b", id="plus sign"),
        pytest.param("/stage/ü/日本", id="not ASCII"),
        pytest.param("/stage/a%2Fb", id="encoded slash"),
        pytest.param("/stage/a%2fb", id="encoded slash, lower case"),
        pytest.param("/stage/%7e%41", id="needlessly encoded"),
        pytest.param("/stage/!$&'()*,;=:@~-._", id="delimiters"),
        pytest.param("/stage/100%25/%2541", id="percent signs"),
        pytest.param("/stage//a//b", id="empty segments"),
        pytest.param("/stage/a/../b/./c", id="dot segments"),
        pytest.param("/stage/arn%3Aaws%3Aexecute-api", id="encoded colons"),
        pytest.param("/%FF", id="not UTF-8"),
    ],
)
def test_path_of_other_services(server: RawServer, written: str) -> None:
    """For another service, botocore makes the same signature of the path that arrived."""
    requests.get(server.endpoint + written, auth=signer("execute-api"), timeout=10)
    check_with_botocore(only(server), "execute-api")


@pytest.mark.parametrize("service", ["s3", "s3-object-lambda", "s3-outposts", "s3express"])
def test_path_of_s3_by_other_names(server: RawServer, service: str) -> None:
    """The services that are S3 under another name are signed by S3's rules: path as sent, payload hash as a header."""
    requests.put(server.endpoint + "/bucket/a//b%2Fc d", data=b"body", auth=signer(service), timeout=10)
    request = only(server)
    assert request.path == b"/bucket/a//b/c%20d"
    assert verify(request.head, request.body, {KEY: SECRET}, region=REGION, service=service).service == service


def test_encoded_slash_is_kept_elsewhere(server: RawServer) -> None:
    """An encoded slash is data to other services, and so is sent on as it was written."""
    requests.get(server.endpoint + "/stage/a%2Fb", auth=signer("execute-api"), timeout=10)
    assert only(server).path == b"/stage/a%2Fb"


# -- bodies


@pytest.mark.parametrize(
    ("options", "body"),
    [
        pytest.param({"data": b"\x00\xffbytes"}, b"\x00\xffbytes", id="bytes"),
        pytest.param({"data": bytearray(b"\x00\xffbytes")}, b"\x00\xffbytes", id="bytearray"),
        pytest.param({"data": "text"}, b"text", id="text"),
        pytest.param({"data": "grün"}, "grün".encode(), id="text, not ASCII"),
        pytest.param({"data": "日本"}, "日本".encode(), id="text beyond Latin-1"),
        pytest.param({"data": {"a": "1 2", "b": "ü"}}, b"a=1+2&b=%C3%BC", id="form"),
        pytest.param({"data": [("a", "2"), ("a", "1")]}, b"a=2&a=1", id="form of pairs"),
        pytest.param({"data": b""}, b"", id="empty bytes"),
        pytest.param({"data": io.BytesIO(b"from memory")}, b"from memory", id="file object"),
        pytest.param({}, b"", id="none"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "POST"])
@both_services
def test_body(server: RawServer, service: str, method: str, options: dict[str, Any], body: bytes) -> None:
    """Every kind of body arrives whole, with its length, under the hash that was signed."""
    if isinstance(options.get("data"), io.BytesIO):
        options["data"].seek(0)
    requests.request(method, server.endpoint + "/bucket/key", auth=signer(service), timeout=10, **options)
    request = only(server)
    assert request.body == body
    assert request.header("content-length") == str(len(body))
    check(request, service)


def test_json(server: RawServer) -> None:
    """A `json=` body is signed together with the Content-Type that `requests` gives it."""
    requests.post(server.endpoint + "/bucket/key", json={"a": "ü"}, auth=signer(), timeout=10)
    request = only(server)
    assert json.loads(request.body) == {"a": "ü"}
    assert request.header("content-type") == "application/json"
    assert "content-type" in judged(request).signed_headers


def test_multipart_form(server: RawServer) -> None:
    """A `files=` body is signed with its boundary."""
    requests.post(server.endpoint + "/bucket/key", files={"f": ("n", b"\x00\xff")}, auth=signer(), timeout=10)
    assert b"\x00\xff" in only(server).body
    assert "content-type" in judged(only(server)).signed_headers


def test_file(server: RawServer, tmp_path: pathlib.Path) -> None:
    """A file of more than one hashing block is hashed, then sent from where it stood, to its end."""
    data = bytes(range(256)) * 5000  # 1.28 MB
    path = tmp_path / "file"
    path.write_bytes(b"skipped" + data)
    with path.open("rb") as file:
        file.seek(7)
        requests.put(server.endpoint + "/bucket/key", data=file, auth=signer(), timeout=10)
    assert only(server).body == data
    judged(only(server))


@pytest.mark.parametrize("at_end", [False, True], ids=["empty", "read to its end"])
def test_empty_file(server: RawServer, tmp_path: pathlib.Path, at_end: bool) -> None:
    """A file without a byte left is an empty body of length 0, not a chunked one, which S3 refuses."""
    path = tmp_path / "file"
    path.write_bytes(b"seen" if at_end else b"")
    with path.open("rb") as file:
        file.read()
        requests.put(server.endpoint + "/bucket/key", data=file, auth=signer(), timeout=10)
    request = only(server)
    assert (request.header("content-length"), request.header("transfer-encoding"), request.body) == ("0", None, b"")
    judged(request)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: (block for block in [b"a", b"b"]), id="generator"),
        pytest.param(lambda: iter([b"a"]), id="iterator"),
    ],
)
def test_stream_refused(server: RawServer, data: Any) -> None:
    """A stream, whose hash nobody knows, is a ValueError that says so, before any connection is made."""
    with pytest.raises(ValueError, match=r"stream.*x-amz-content-sha256"):
        requests.put(server.endpoint + "/bucket/key", data=data(), auth=signer(), timeout=10)
    requests.get(server.endpoint + "/control", timeout=10)
    assert [request.path for request in server.requests] == [b"/control"]
    assert server.connections == 1


def test_pipe_refused(server: RawServer) -> None:
    """A pipe has `seek` and cannot: it is refused as the stream that it is, not with the system's "Illegal seek"."""
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, pytest.raises(ValueError, match=r"stream.*x-amz-content-sha256"):
        requests.put(server.endpoint + "/bucket/key", data=pipe, auth=signer(), timeout=10)
    assert server.requests == []


@pytest.mark.filterwarnings("ignore::requests.exceptions.FileModeWarning")
def test_text_file_refused(server: RawServer, tmp_path: pathlib.Path) -> None:
    """A file opened as text has no bytes of its own: which ones are sent depends on the versions, so it is refused."""
    path = tmp_path / "file"
    path.write_bytes("grün\r\n".encode())
    with path.open(encoding="utf-8") as file, pytest.raises((TypeError, ValueError), match=r"text|'rb'"):
        requests.put(server.endpoint + "/bucket/key", data=file, auth=signer(), timeout=10)
    assert server.requests == []


def test_payload_hash_of_ones_own(server: RawServer) -> None:
    """A stream goes out under the hash that the caller gives for it, and arrives under that signature."""
    digest = hashlib.sha256(b"ab").hexdigest()
    headers = {"X-Amz-Content-SHA256": digest}
    data = (block for block in [b"a", b"b"])
    requests.put(server.endpoint + "/bucket/key", data=data, headers=headers, auth=signer(), timeout=10)
    request = only(server)
    assert request.body == b"ab"
    judged(request)


@pytest.mark.parametrize("as_bytes", [False, True], ids=["str", "bytes"])
def test_unsigned_payload(server: RawServer, as_bytes: bool) -> None:
    """`UNSIGNED-PAYLOAD` given by the caller is what is signed in place of the hash, whichever type it has."""
    value: Any = b"UNSIGNED-PAYLOAD" if as_bytes else "UNSIGNED-PAYLOAD"
    headers = {"x-amz-content-sha256": value}
    requests.put(server.endpoint + "/bucket/key", data=b"body", headers=headers, auth=signer(), timeout=10)
    assert judged(only(server), allow_unsigned_payload=True).canonical_request.endswith("\nUNSIGNED-PAYLOAD")


@pytest.mark.parametrize("body", [None, b"body"], ids=["no body", "body"])
def test_payload_hash_of_ones_own_elsewhere(server: RawServer, body: bytes | None) -> None:
    """For another service too, the x-amz-content-sha256 that the caller gives is what is signed, as botocore has it."""
    headers = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    requests.post(server.endpoint + "/path", data=body, headers=headers, auth=signer("execute-api"), timeout=10)
    assert only(server).header("x-amz-content-sha256") == "UNSIGNED-PAYLOAD"
    check_with_botocore(only(server), "execute-api")


# -- headers


@both_services
def test_signed_headers(server: RawServer, service: str) -> None:
    """Signed are host, range, content-* of meaning and x-amz-*, and none that something on the way may change."""
    headers = {
        "Content-Type": "text/plain;  charset=utf-8",
        "Content-MD5": "XrY7u+Ae7tCTyyK7j1rNww==",
        "Range": "bytes=0-1",
        "X-Amz-Meta-Note": "a   b",
        "Cache-Control": "no-store",
        "If-Match": '"x"',
        "User-Agent": "test",
        "X-Other": "1",
    }
    requests.put(
        server.endpoint + "/bucket/key", data=b"hello world", headers=headers, auth=signer(service), timeout=10
    )
    request = only(server)
    expected = ["content-md5", "content-type", "host", "range", "x-amz-date", "x-amz-meta-note"]
    expected += ["x-amz-content-sha256"] if service == "s3" else []
    assert signed_headers(request) == sorted(expected)
    assert {name: request.header(name) for name in headers} == headers
    check(request, service)


def test_header_in_bytes(server: RawServer) -> None:
    """`requests` takes header values as bytes: they are signed like the same text."""
    headers: Any = {"X-Amz-Meta-Note": b"note", "Host": b"store.example"}
    requests.get(server.endpoint + "/bucket/key", headers=headers, auth=signer(), timeout=10)
    request = only(server)
    assert (request.header("x-amz-meta-note"), request.header("host")) == ("note", "store.example")
    assert "x-amz-meta-note" in judged(request).signed_headers


@both_services
def test_session_token(server: RawServer, service: str) -> None:
    """The token of temporary credentials is sent, and signed."""
    requests.get(server.endpoint + "/bucket/key", auth=signer(service, TOKEN), timeout=10)
    request = only(server)
    assert "x-amz-security-token" in signed_headers(request)
    check(request, service, TOKEN)


def test_headers_of_another_signature_are_replaced(server: RawServer) -> None:
    """Authorization, date and token that the user or the session set are gone: only this signature's are sent."""
    headers = {"authorization": "Bearer user", "X-AMZ-Date": "20000101T000000Z"}
    with requests.Session() as session:
        session.headers.update({"Authorization": "Bearer session", "x-amz-security-token": "old"})
        session.get(server.endpoint + "/bucket/key", headers=headers, auth=signer(), timeout=10)
    request = only(server)
    assert judged(request).timestamp == "20150830T123600Z"
    assert sum(name.lower() == "authorization" for name, _ in request.headers) == 1


def test_netrc_does_not_win(server: RawServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ~/.netrc that names the host, and wins over a plain Authorization header, does not win over the signature."""
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login user password pass\n")
    monkeypatch.setenv("NETRC", str(path))
    requests.get(server.endpoint + "/bucket/key", headers={"Authorization": "mine"}, timeout=10)
    requests.get(server.endpoint + "/bucket/key", auth=signer(), timeout=10)
    plain, signed = server.requests
    assert (plain.header("authorization") or "").startswith("Basic ")  # else the file was not even read
    judged(signed)


def test_user_in_url_does_not_win(server: RawServer) -> None:
    """`user:password@` in the URL neither replaces the signature nor gets into the signed host."""
    url = server.endpoint.replace("://", "://user:pass%2F@") + "/bucket/key"
    requests.get(url, timeout=10)
    requests.get(url, auth=signer(), timeout=10)
    plain, signed = server.requests
    assert (plain.header("authorization") or "").startswith("Basic ")
    assert signed.header("host") == server.authority
    judged(signed)


# -- hosts


def test_ipv6() -> None:
    """An IPv6 address is signed in its brackets, with its port, as it is sent."""
    with RawServer(host="::1") as server:
        requests.get(server.endpoint + "/bucket/key", auth=signer(), timeout=10)
        assert only(server).header("host") == f"[::1]:{server.port}"
        judged(only(server))


@pytest.fixture
def every_way_leads_to(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that sends all of urllib3's connections to one server, whatever host and port the URL names."""

    def connect_to(server: RawServer) -> None:
        def create_connection(address: tuple[str, int], *args: Any, **more: Any) -> socket.socket:
            return socket.create_connection(("127.0.0.1", server.port), 10)

        monkeypatch.setattr("urllib3.util.connection.create_connection", create_connection)

    return connect_to


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        pytest.param("store.example", "store.example", id="no port"),
        pytest.param("store.example:80", "store.example", id="the scheme's own port"),
        pytest.param("store.example:443", "store.example:443", id="the other scheme's port"),
        pytest.param("store.example:8080", "store.example:8080", id="a port that begins alike"),
        pytest.param("STORE.Example", "store.example", id="capital letters"),
        pytest.param("[2001:db8::80]", "[2001:db8::80]", id="IPv6 that ends like a port"),
        pytest.param("[2001:DB8::1]:80", "[2001:db8::1]", id="IPv6, the scheme's own port"),
        pytest.param("bücher.example", "xn--bcher-kva.example", id="international"),
        pytest.param("user:pass@store.example:80", "store.example", id="user name and port"),
    ],
)
def test_host(server: RawServer, every_way_leads_to: Any, authority: str, host: str) -> None:
    """Whatever way a host is written, it is signed in the form in which http.client sends it."""
    every_way_leads_to(server)
    requests.get(f"http://{authority}/bucket/key", auth=signer(), timeout=10)
    assert only(server).header("host") == host
    judged(only(server))


def test_default_port_of_https(every_way_leads_to: Any, tmp_path: pathlib.Path) -> None:
    """Over TLS it is `:443` that is neither sent nor signed."""
    tls, authority = make_tls(tmp_path)
    with RawServer(tls=tls) as server:
        every_way_leads_to(server)
        requests.get("https://localhost:443/bucket/key", auth=signer(), verify=str(authority), timeout=10)
        assert only(server).header("host") == "localhost"
        judged(only(server))


def test_host_of_ones_own(server: RawServer) -> None:
    """A Host header that the user gives is the one sent, and the one signed."""
    requests.get(server.endpoint + "/bucket/key", headers={"host": "store.example"}, auth=signer(), timeout=10)
    assert only(server).header("host") == "store.example"
    judged(only(server))


# -- sessions, and signing again


def test_session_auth(server: RawServer) -> None:
    """As a session's `auth` it signs each request anew, on one connection."""
    moments = iter([NOW, NOW + 60])
    auth = signer()
    auth._clock = lambda: next(moments)
    with requests.Session() as session:
        session.auth = auth
        session.put(server.endpoint + "/bucket/key", data=b"one", timeout=10)
        session.get(server.endpoint + "/bucket/key", timeout=10)
    assert [judged(request).timestamp for request in server.requests] == ["20150830T123600Z", "20150830T123700Z"]
    assert server.connections == 1


def prepared_put(server: RawServer, body: Any = b"body", auth: SigV4Auth | None = None) -> requests.PreparedRequest:
    return requests.Request("PUT", server.endpoint + "/bucket/key?b=x+y&a", data=body, auth=auth).prepare()


def test_sign_again(server: RawServer) -> None:
    """A prepared request signed twice bears one signature, the second one's, and its own query and body."""
    prepared = prepared_put(server, io.BytesIO(b"body"), signer())
    signer(moment=NOW + 3600)(prepared)
    with requests.Session() as session:
        session.send(prepared, timeout=10)
    request = only(server)
    assert judged(request).timestamp == "20150830T133600Z"
    assert (request.query, request.body) == (b"a=&b=x%20y", b"body")


def test_sign_again_with_other_credentials(server: RawServer) -> None:
    """Signed again with a key that has no session token, the request no longer carries the first key's token."""
    prepared = prepared_put(server, auth=signer(token=TOKEN))
    signer()(prepared)
    with requests.Session() as session:
        session.send(prepared, timeout=10)
    judged(only(server), token=None)


def test_sign_again_with_another_body(server: RawServer) -> None:
    """Signed again with another body, the request carries that body's hash, not the first one's."""
    prepared = prepared_put(server, b"first", signer())
    prepared.prepare_body(b"second", None)
    signer()(prepared)
    with requests.Session() as session:
        session.send(prepared, timeout=10)
    assert only(server).body == b"second"
    judged(only(server))


def test_sign_again_for_another_host(server: RawServer) -> None:
    """Signed again under another URL, the request names that URL's host, in its signature and on the wire."""
    prepared = prepared_put(server, auth=signer())
    prepared.prepare_url(f"http://localhost:{server.port}/bucket/key", None)
    signer()(prepared)
    with requests.Session() as session:
        session.send(prepared, timeout=10)
    judged(only(server))
    assert only(server).header("host") == f"localhost:{server.port}"


def test_retried_by_the_caller(server: RawServer) -> None:
    """The same prepared request can be sent twice within its time: signing has used nothing up."""
    prepared = prepared_put(server, auth=signer())
    with requests.Session() as session:
        session.send(prepared, timeout=10)
        session.send(prepared, timeout=10)
    assert [judged(request).timestamp for request in server.requests] == ["20150830T123600Z"] * 2


# -- redirects


def check_nothing_of_the_signature(request: RawRequest) -> None:
    assert {name: request.header(name) for name in SIGNATURE_HEADERS} == dict.fromkeys(SIGNATURE_HEADERS)
    assert SECRET.encode() not in request.head
    assert TOKEN.encode() not in request.head


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_redirect_to_another_host(server: RawServer, method: str, status: int) -> None:
    """A redirect to another host takes neither Authorization nor token nor the signature's x-amz-* headers there."""
    with RawServer() as foreign:
        url = f"http://localhost:{foreign.port}/elsewhere"
        server.answer = lambda request: Answer(status, headers={"Location": url})
        data = b"body" if method == "PUT" else None
        requests.request(method, server.endpoint + "/bucket/key", data=data, auth=signer(token=TOKEN), timeout=10)
        judged(only(server), TOKEN)
        check_nothing_of_the_signature(only(foreign))
        assert only(foreign).header("host") == f"localhost:{foreign.port}"


@pytest.mark.parametrize("status", REDIRECTS)
def test_redirect_within_the_host(server: RawServer, status: int) -> None:
    """Nor does a redirect within the host: the signature is for another URL, and who follows is told 403."""
    server.answer = lambda request: (
        Answer(403) if request.path == b"/there" else Answer(status, headers={"Location": "/there"})
    )
    response = requests.get(server.endpoint + "/bucket/key", auth=signer(token=TOKEN), timeout=10)
    first, second = server.requests
    judged(first, TOKEN)
    check_nothing_of_the_signature(second)
    assert response.status_code == 403


@pytest.mark.parametrize("second_status", REDIRECTS)
@pytest.mark.parametrize("first_status", [302, 307])
def test_chain_of_redirects(server: RawServer, first_status: int, second_status: int) -> None:
    """A chain through the same host to another one loses the signature at its first step, for good."""
    with RawServer() as foreign:
        url = f"http://localhost:{foreign.port}/elsewhere"
        server.answer = lambda request: (
            Answer(second_status, headers={"Location": url})
            if request.path == b"/there"
            else Answer(first_status, headers={"Location": "/there"})
        )
        with requests.Session() as session:
            session.auth = signer(token=TOKEN)
            session.put(server.endpoint + "/bucket/key", data=b"body", timeout=10)
        first, second = server.requests
        judged(first, TOKEN)
        check_nothing_of_the_signature(second)
        check_nothing_of_the_signature(only(foreign))


def test_redirect_with_a_payload_hash_of_ones_own(server: RawServer) -> None:
    """A payload hash that the user gave goes no further either; another x-amz-* header of the user's does."""
    with RawServer() as foreign:
        url = f"http://localhost:{foreign.port}/elsewhere"
        server.answer = lambda request: Answer(307, headers={"Location": url})
        headers = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-meta-note": "mine"}
        requests.put(server.endpoint + "/bucket/key", data=b"body", headers=headers, auth=signer(), timeout=10)
        judged(only(server), allow_unsigned_payload=True)
        check_nothing_of_the_signature(only(foreign))
        assert only(foreign).header("x-amz-meta-note") == "mine"


@pytest.mark.parametrize("status", [200, 300, 304, 404])
def test_no_redirect_leaves_the_request_as_it_was(server: RawServer, status: int) -> None:
    """Where nothing is redirected, `response.request` still shows what was sent."""
    server.answer = lambda request: Answer(status)
    response = requests.get(server.endpoint + "/bucket/key", auth=signer(), timeout=10)
    assert response.request.headers["Authorization"] == only(server).header("authorization")


# -- the object itself


@pytest.mark.parametrize("token", [None, TOKEN], ids=["static", "temporary"])
def test_repr(token: str | None) -> None:
    """Neither `repr` nor `str` shows the secret or the token, but they say whose signature it is."""
    auth = signer("execute-api", token)
    for text in (repr(auth), str(auth)):
        assert SECRET not in text
        assert TOKEN not in text
        assert KEY in text
        assert REGION in text
        assert "execute-api" in text


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        pytest.param(((KEY, SECRET), REGION, "s3"), TypeError, id="tuple for credentials"),
        pytest.param((None, REGION, "s3"), TypeError, id="no credentials"),
        pytest.param((Credentials(KEY, SECRET), "", "s3"), ValueError, id="empty region"),
        pytest.param((Credentials(KEY, SECRET), "eu/west", "s3"), ValueError, id="slash in the region"),
        pytest.param((Credentials(KEY, SECRET), None, "s3"), TypeError, id="no region"),
        pytest.param((Credentials(KEY, SECRET), REGION, ""), ValueError, id="empty service"),
        pytest.param((Credentials(KEY, SECRET), REGION, "s3\n"), ValueError, id="line break in the service"),
        pytest.param((Credentials(KEY, SECRET), REGION, None), TypeError, id="no service"),
    ],
)
def test_wrong_settings(arguments: Any, kind: type[Exception]) -> None:
    """A setting that cannot work is refused when the object is made, without the secret in the text."""
    with pytest.raises(kind) as caught:
        SigV4Auth(*arguments)
    assert SECRET not in str(caught.value)
