"""`SigV4Auth` through `requests` itself: what arrives at a raw socket is verified there, from its bytes.

For S3 the judge is sigcheck.py; for every other service botocore, which is given the request as it arrived and must
make the same Authorization header. Bodies, hosts and redirects have files of their own.
"""

import datetime as dt
import hashlib

import pytest
import requests
from kit import KEY, SECRET, TOKEN, only
from kit_auth import REGION, both_services, check, check_with_botocore, judged_there, signed_headers, signer
from rawserver import MemoryStore
from sigcheck import verify

from cdn_sigv4 import Credentials, SigV4Auth


def test_whole_headers(plain):
    """A plain GET carries date, payload hash and an Authorization of the right scope, and signs just these and host."""
    requests.get(plain.endpoint + "/bucket/key", auth=signer(), timeout=10)
    request = only(plain)
    proof = judged_there(request)
    assert (proof.access_key, proof.region, proof.service) == (KEY, REGION, "s3")
    assert proof.timestamp == "20150830T123600Z"
    assert proof.signed_headers == ("host", "x-amz-content-sha256", "x-amz-date")
    assert request.header("x-amz-content-sha256") == hashlib.sha256(b"").hexdigest()


def test_real_clock(plain):
    """Without a test's clock the request bears the time at which it was signed, to the store's satisfaction."""
    plain.answer = MemoryStore(
        {KEY: SECRET}, region=REGION, buckets=("bucket",), clock=lambda: dt.datetime.now(dt.timezone.utc)
    )
    auth = SigV4Auth(Credentials(KEY, SECRET), REGION, "s3")
    assert requests.head(plain.endpoint + "/bucket/", auth=auth, timeout=10).status_code == 200


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
def test_query(plain, service, params, query):
    """`params=` of any kind arrive in the canonical form, with the meaning they had, and are signed as they arrive."""
    requests.get(plain.endpoint + "/bucket/key", params=params, auth=signer(service), timeout=10)
    assert only(plain).query == query
    check(only(plain), service)


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
def test_query_in_url(plain, service, written, query):
    """A query written into the URL arrives in the canonical form and is signed as it arrives."""
    requests.get(plain.endpoint + "/bucket/key" + written, auth=signer(service), timeout=10)
    assert only(plain).query == query
    check(only(plain), service)


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
def test_path_of_s3(plain, written, path):
    """An S3 path arrives encoded once, as S3 signs it, and is signed as it arrives."""
    requests.get(plain.endpoint + written, auth=signer(), timeout=10)
    assert only(plain).path == path
    judged_there(only(plain))


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
def test_path_of_other_services(plain, written):
    """For another service, botocore makes the same signature of the path that arrived."""
    requests.get(plain.endpoint + written, auth=signer("execute-api"), timeout=10)
    check_with_botocore(only(plain), "execute-api")


@pytest.mark.parametrize("service", ["s3", "s3-object-lambda", "s3-outposts", "s3express"])
def test_path_of_s3_by_other_names(plain, service):
    """The services that are S3 under another name are signed by S3's rules: path as sent, payload hash as a header."""
    requests.put(plain.endpoint + "/bucket/a//b%2Fc d", data=b"body", auth=signer(service), timeout=10)
    request = only(plain)
    assert request.path == b"/bucket/a//b/c%20d"
    assert verify(request.head, request.body, {KEY: SECRET}, region=REGION, service=service).service == service


def test_encoded_slash_is_kept_elsewhere(plain):
    """An encoded slash is data to other services, and so is sent on as it was written."""
    requests.get(plain.endpoint + "/stage/a%2Fb", auth=signer("execute-api"), timeout=10)
    assert only(plain).path == b"/stage/a%2Fb"


@both_services
def test_signed_headers(plain, service):
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
    requests.put(plain.endpoint + "/bucket/key", data=b"hello world", headers=headers, auth=signer(service), timeout=10)
    request = only(plain)
    expected = ["content-md5", "content-type", "host", "range", "x-amz-date", "x-amz-meta-note"]
    expected += ["x-amz-content-sha256"] if service == "s3" else []
    assert signed_headers(request) == sorted(expected)
    assert {name: request.header(name) for name in headers} == headers
    check(request, service)


def test_header_in_bytes(plain):
    """`requests` takes header values as bytes: they are signed like the same text."""
    headers = {"X-Amz-Meta-Note": b"note", "Host": b"store.example"}
    requests.get(plain.endpoint + "/bucket/key", headers=headers, auth=signer(), timeout=10)
    request = only(plain)
    assert (request.header("x-amz-meta-note"), request.header("host")) == ("note", "store.example")
    assert "x-amz-meta-note" in judged_there(request).signed_headers


@both_services
def test_session_token(plain, service):
    """The token of temporary credentials is sent, and signed."""
    requests.get(plain.endpoint + "/bucket/key", auth=signer(service, TOKEN), timeout=10)
    request = only(plain)
    assert "x-amz-security-token" in signed_headers(request)
    check(request, service, TOKEN)


def test_headers_of_another_signature_are_replaced(plain):
    """Authorization, date and token that the user or the session set are gone: only this signature's are sent."""
    headers = {"authorization": "Bearer user", "X-AMZ-Date": "20000101T000000Z"}
    with requests.Session() as session:
        session.headers.update({"Authorization": "Bearer session", "x-amz-security-token": "old"})
        session.get(plain.endpoint + "/bucket/key", headers=headers, auth=signer(), timeout=10)
    request = only(plain)
    assert judged_there(request).timestamp == "20150830T123600Z"
    assert sum(name.lower() == "authorization" for name, _ in request.headers) == 1


@pytest.mark.parametrize("token", [None, TOKEN], ids=["static", "temporary"])
def test_repr(token):
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
def test_wrong_settings(arguments, kind):
    """A setting that cannot work is refused when the object is made, without the secret in the text."""
    with pytest.raises(kind) as caught:
        SigV4Auth(*arguments)
    assert SECRET not in str(caught.value)
