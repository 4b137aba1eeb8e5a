"""From an answer that is an error to the exception: its class, its evidence, and the hint that says what to do.

Traps: 403 from a wrong clock (33), HEAD's errors without a body (27), redirects are refused and their query is not
shown (11, 35), a Host header that a proxy has changed (12), bodies that are HTML, empty or without namespace (28), the
wrong region, a console or a TLS port in the place of the store.
"""

import errno
import os
from email.utils import formatdate
from http.client import IncompleteRead, RemoteDisconnected
from socket import EAI_NONAME, gaierror
from ssl import SSLError
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3.exceptions import NewConnectionError

from cdn_sigv4 import diagnosis, failures
from cdn_sigv4.connection import Sending
from cdn_sigv4.endpoint import Endpoint
from cdn_sigv4.errors import AccessDenied, NotFound, NotModified, PreconditionFailed, RedirectRefused, ResponseError
from cdn_sigv4.s3 import Request, SignedRequest

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=200)

NOW = 1_770_091_506.0  # Tue, 03 Feb 2026 04:05:06 GMT
GET = Request("GET", "models", "a/b")
PUT = Request("PUT", "models", "a/b")
ENDPOINT = Endpoint("https://store.example:9000")


def diagnose(status, headers=None, body=b"", *, request=GET, endpoint=ENDPOINT):
    return diagnosis.diagnose(request, endpoint, status, headers or {}, body, region="us-east-1", now=NOW)


def xml(namespace="", **fields):
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in fields.items())
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<Error{namespace}>{inner}</Error>'.encode()


CLASSES = {
    ResponseError: [100, 103, 200, 299, 400, 409, 411, 416, 500, 501, 503, 599],
    RedirectRefused: [300, 301, 302, 307, 308, 399],
    AccessDenied: [401, 403],
    NotModified: [304],
    NotFound: [404],
    PreconditionFailed: [412],
}


@pytest.mark.parametrize(("kind", "status"), [(kind, status) for kind in CLASSES for status in CLASSES[kind]])
def test_the_status_decides_the_class(kind, status):
    """The class follows the status alone; status and place are always there, whatever the body."""
    for body in (b"", xml(Code="NoSuchKey", Message="m"), b"<html></html>", b"text"):
        error = diagnose(status, body=body)
        assert type(error) is kind
        assert (error.status, error.operation, error.bucket, error.key) == (status, "GET", "models", "a/b")


@pytest.mark.parametrize(
    "namespace", ["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'], ids=["bare", "namespace"]
)
def test_evidence_from_the_body(namespace):
    """Code, message and request id come from the XML."""
    error = diagnose(404, body=xml(namespace, Code="NoSuchKey", Message=" The key is not there. ", RequestId="17A"))
    assert (error.code, error.message, error.request_id) == ("NoSuchKey", "The key is not there.", "17A")
    assert str(error) == "GET models/a/b: 404 NoSuchKey: The key is not there. [request id 17A]"


def test_evidence_from_the_headers():
    """A HEAD has no body: MinIO says code and message in headers, the message in quotes."""
    headers = {
        "x-minio-error-code": "NoSuchKey",
        "x-minio-error-desc": '"The specified key does not exist."',
        "x-amz-request-id": "17A",
    }
    error = diagnose(404, headers, request=Request("HEAD", "models", "a/b"))
    assert (error.code, error.message, error.request_id) == ("NoSuchKey", "The specified key does not exist.", "17A")
    assert type(error) is NotFound


def test_which_evidence_goes_first():
    """The body's code and message are nearer to the error, the header's request id is the one in the server's log."""
    headers = {"x-minio-error-code": "A", "x-minio-error-desc": '"a"', "x-amz-request-id": "1"}
    error = diagnose(400, headers, xml(Code="B", Message="b", RequestId="2"))
    assert (error.code, error.message, error.request_id) == ("B", "b", "1")


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        pytest.param(404, b"", "Not Found", id="empty: the status in words"),
        pytest.param(599, b"", "no explanation", id="a status without words"),
        pytest.param(502, b"upstream connect error", "upstream connect error", id="plain text"),
        pytest.param(502, b"  a\r\nb\x1b[2J  ", "a  b [2J", id="plain text with controls"),
        pytest.param(502, b"\xff\xfe\x00", "\ufffd\ufffd ", id="no text"),
        pytest.param(502, b"x" * 300, "x" * 200 + "…", id="long text"),
        pytest.param(502, b" <html><body>Bad</body></html>", "Bad Gateway", id="HTML says nothing in one line"),
        pytest.param(500, b"<Error><Code>X</Code><Mess", "Internal Server Error", id="XML cut short"),
        pytest.param(500, xml(Code="X"), "Internal Server Error", id="XML without message"),
        pytest.param(500, b"<Error/>", "Internal Server Error", id="XML without anything"),
        pytest.param(500, xml(Code="", Message=""), "Internal Server Error", id="XML with empty fields"),
        pytest.param(500, b"<!DOCTYPE x><Error><Message>m</Message></Error>", "Internal Server Error", id="DOCTYPE"),
        pytest.param(
            500, b'<?xml version="1.0" encoding="no-such"?><Error/>', "Internal Server Error", id="odd encoding"
        ),
    ],
)
def test_message(status, body, message):
    """The message is the server's one line, and where it has none, the status in words."""
    error = diagnose(status, body=body)
    assert error.message == message
    assert error.request_id is None


SIGNED = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (
            f"got Credential=K/a, SignedHeaders=host, Signature={SIGNED}.",
            "got Credential=K/a, SignedHeaders=host, Signature ….",
        ),
        (f"GET /b/k?X-Amz-Signature={SIGNED}&x=1", "GET /b/k?X-Amz-Signature …&x=1"),
        (f"X-Amz-Signature%3D{SIGNED}%26x", "X-Amz-Signature …%26x"),
        (f'{{"signature": "{SIGNED}"}}', '{"signature …"}'),
        ("x-amz-security-token: FwoGZXIvYXdzE/+==, host: h", "x-amz-security-token …, host: h"),
        ("/b/k?X-Amz-Security-Token=FwoGZXIvYXdzE%2F&x=1", "/b/k?X-Amz-Security-Token …&x=1"),
        (f"x-amz-security-token%253D{SIGNED}", "x-amz-security-token …"),
        (f"sent <X-Amz-Security-Token>{SIGNED}<", "sent <X-Amz-Security-Token …<"),
        (f"Signature=&quot;{SIGNED}&quot;", "Signature …&quot;"),
        ("The signature calculated does not match the signature provided", None),
        ("models/signature/20260131.bin is 12345678901234567890 bytes", None),
        ("The security-token is wrong: renew it", None),
    ],
)
def test_what_is_repeated_of_a_request(said, shown):
    """A signature or a session token that a server sends back is not shown; words that only name them are."""
    assert str(diagnose(400, body=xml(Code="X", Message=said))).endswith(f": {said if shown is None else shown}")
    assert diagnose(502, body=said.encode()).message == (said if shown is None else shown)


@same_each_run
@given(status=st.integers(300, 599), body=st.binary(max_size=200), value=st.text(max_size=50))
def test_any_answer_is_a_diagnosis(status, body, value):
    """No status, body or header makes another exception, and the text is one line."""
    names = ("date", "location", "x-amz-request-id", "x-amz-bucket-region", "x-minio-error-code", "x-minio-error-desc")
    for content in (body, xml(Message="m") + body):
        assert str(diagnose(status, dict.fromkeys(names, value), content)).isprintable()


HINTS = {
    "InvalidAccessKeyId": (403, "does not know the access key"),
    "InvalidTokenId": (403, "session token"),
    "ExpiredToken": (400, "have expired"),
    "NoSuchBucket": (404, "Create the bucket"),
    "BucketNotEmpty": (409, "Delete the objects"),
    "XAmzContentSHA256Mismatch": (400, "damaged on the way"),
    "XAmzContentChecksumMismatch": (400, "damaged on the way"),
    "BadDigest": (400, "damaged on the way"),
    "XMinioInvalidObjectName": (400, "'//'"),
    "XMinioInvalidResourceName": (400, "'.' or '..'"),
    "XMinioStorageFull": (507, "disk is full"),
    "SlowDown": (503, "try again later"),
    "SlowDownRead": (503, "try again later"),
    "SlowDownWrite": (503, "try again later"),
    "XMinioServerNotInitialized": (503, "still starting"),
    "EntityTooLarge": (400, "5 GiB"),
    "MissingContentLength": (411, "dropped Content-Length"),
    "InvalidRange": (416, "no byte in the range"),
}


@pytest.mark.parametrize(("code", "status", "words"), [(code, *rest) for code, rest in HINTS.items()])
def test_hint_by_code(code, status, words):
    """A known code brings its hint, from the body as from MinIO's header, which is all that a HEAD has."""
    assert set(HINTS) == set(diagnosis._HINTS), "the table has every code that the module has a hint for"
    head = Request("HEAD", "models", "a/b")
    for error in (
        diagnose(status, body=xml(Code=code, Message="m"), request=PUT),
        diagnose(status, {"x-minio-error-code": code}, request=head),
    ):
        assert error.code == code
        assert words in error.hint
        assert error.hint.endswith(".")
        assert str(error).endswith(f" - {error.hint}")


@pytest.mark.parametrize(
    ("status", "code"),
    [(404, "NoSuchKey"), (409, "Odd"), (501, "NotImplemented"), (304, ""), (403, "Odd")],
)
def test_no_hint_where_nothing_is_known(status, code):
    """A hint that does not know is none."""
    assert diagnose(status, body=xml(Code=code, Message="m")).hint is None


@pytest.mark.parametrize(
    ("offset", "words"),
    [
        (900, "15 minutes behind"),
        (-900, "15 minutes ahead of"),
        (-7200, "120 minutes ahead of"),
        (1029, "17 minutes behind"),
        (1031, "17 minutes behind"),
        (-NOW, f"{round(NOW / 86400)} days ahead of"),
    ],
)
@pytest.mark.parametrize("code", ["RequestTimeTooSkewed", "SignatureDoesNotMatch", "AccessDenied"])
def test_clock_hint(offset, words, code):
    """A 403 with a Date far from ours is the clock's fault, whatever the code; the hint says how far, which way."""
    hint = f"This machine's clock is {words} the server's, 15 minutes are tolerated: set it."
    assert diagnose(403, {"date": formatdate(NOW + offset, usegmt=True)}, xml(Code=code)).hint == hint


def test_clock_hint_from_the_body():
    """Without Date the XML's ServerTime tells."""
    body = xml(Code="RequestTimeTooSkewed", ServerTime="2026-02-03T05:05:06Z")
    assert "60 minutes behind" in diagnose(403, body=body).hint
    assert "60 minutes behind" in diagnose(403, {"date": "yesterday"}, body).hint, "nor does an unreadable Date hide it"


@pytest.mark.parametrize("offset", [0, 1, -1, 899, -899])
def test_no_clock_hint_within_what_is_tolerated(offset):
    """Up to 15 minutes S3 tolerates, so it was something else."""
    headers = {"date": formatdate(NOW + offset, usegmt=True)}
    assert "clock" not in diagnose(403, headers, xml(Code="AccessDenied")).hint


@pytest.mark.parametrize("status", [400, 401, 404, 501])
def test_no_clock_hint_for_another_status(status):
    """A clock that is off is no reason for anything but a 403."""
    assert diagnose(status, {"date": formatdate(0, usegmt=True)}, xml(Code="Odd", Message="m")).hint is None


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        pytest.param(400, {}, xml(Code="AuthorizationHeaderMalformed", Region="eu-west-1"), id="body"),
        pytest.param(301, {"x-amz-bucket-region": "eu-west-1"}, b"", id="header of a redirect"),
        pytest.param(
            403, {"x-amz-bucket-region": "eu-west-1"}, xml(Code="SignatureDoesNotMatch"), id="header of a 403"
        ),
    ],
)
def test_region_hint(status, headers, body):
    """The region that the server names is the one to give."""
    hint = "The request was signed for region 'us-east-1', the bucket is in 'eu-west-1': give that as region."
    assert diagnose(status, headers, body).hint == hint


@pytest.mark.parametrize("theirs", ["us-east-1", ""])
def test_no_region_hint_where_it_is_right(theirs):
    """The same region, or none, was not the reason."""
    assert diagnose(400, {"x-amz-bucket-region": theirs}, xml(Code="Odd", Region=theirs)).hint is None


@pytest.mark.parametrize("theirs", ["x" * 61, "eu west", "eu\n1", "e\u00fc", "\u0661"])
def test_a_region_that_cannot_be_signed_for_is_not_learnt(theirs):
    """What the server calls a region is part of the next signature and of a hint: only what can be one is taken."""
    error = diagnose(400, {}, xml(Code="AuthorizationHeaderMalformed", Region=theirs))
    assert (error.region, error.hint) == (None, None)


LONG = "x" * 5000 + "\x1b\u202e"
LONG_WORDS = {
    "redirect": (301, {"location": f"https://h{LONG}"}, b""),
    "host": (403, {}, xml(Code="SignatureDoesNotMatch", CanonicalRequest=f"host:{LONG[:-2]}")),
}


@pytest.mark.parametrize("answer", LONG_WORDS.values(), ids=LONG_WORDS)
def test_long_words_of_the_server_are_cut(answer):
    """A server's words in a hint are short and on one line."""
    hint = diagnose(*answer).hint
    assert "xxx" in hint
    assert len(hint) < 400
    assert hint.isprintable()


@pytest.mark.parametrize(
    ("location", "shown"),
    [
        pytest.param("https://h.example/a?X-Amz-Signature=s3cr3t", "https://h.example", id="query"),
        pytest.param("https://h.example?s3cr3t", "https://h.example", id="query without path"),
        pytest.param("https://h.example#s3cr3t", "https://h.example", id="fragment"),
        pytest.param("https://h.example\\s3cr3t", "https://h.example", id="backslash"),
        pytest.param("https://h.example:9000/s3cr3t", "https://h.example:9000", id="port and path"),
        pytest.param("https://user:s3cr3t@h.example/", "https://h.example", id="password"),
        pytest.param("/login/s3cr3t", "the host that it names", id="relative"),
        pytest.param("?X-Amz-Signature=s3cr3t", "the host that it names", id="query alone"),
        pytest.param("", "the host that it names", id="empty"),
        pytest.param(None, "the host that it names", id="none"),
    ],
)
@pytest.mark.parametrize("status", [301, 307])
def test_redirect_hint(location, shown, status):
    """Of a redirect's target only the host is shown: path and query may hold a signature. It is never followed."""
    error = diagnose(status, {} if location is None else {"location": location})
    assert error.hint == (
        f"Redirects are never followed; if {shown} is the store, give it as the endpoint,"
        " else something answers in the store's place (a log-in page, a proxy)."
    )
    assert "s3cr3t" not in str(error)


def test_not_modified_is_no_redirect():
    """A 304 needs no hint."""
    assert diagnose(304, {"location": "https://h/"}).hint is None


SEEN = "GET\n/models/a/b\n\nhost:{}\nx-amz-date:20260203T040506Z\n\nhost;x-amz-date\nUNSIGNED-PAYLOAD"


VIRTUAL = Endpoint("https://store.example", "virtual")
WRONG_SECRET = "The secret key is wrong for this access key."
PROXY = "A proxy has changed the Host header: signed for {}, seen as {}."
EITHER = (
    "The secret key is wrong, or a proxy changes the path or the Host header (it was signed for store.example:9000)."
)


@pytest.mark.parametrize(
    ("endpoint", "seen", "hint"),
    [
        pytest.param(ENDPOINT, SEEN.format("in:80"), PROXY.format("store.example:9000", "in:80"), id="another host"),
        pytest.param(ENDPOINT, SEEN.format("store.example:9000"), WRONG_SECRET, id="the same host"),
        pytest.param(VIRTUAL, SEEN.format("models.store.example"), WRONG_SECRET, id="the same virtual host"),
        pytest.param(
            VIRTUAL,
            SEEN.format("store.example"),
            PROXY.format("models.store.example", "store.example"),
            id="bucket lost",
        ),
        pytest.param(ENDPOINT, "", EITHER, id="MinIO does not say what it saw"),
        pytest.param(ENDPOINT, "GET\n/models/a/b", EITHER, id="no host line in what it saw"),
    ],
)
def test_signature_hint(endpoint, seen, hint):
    """Where the server sends back what it saw, its Host tells a wrong secret from a proxy."""
    body = xml(Code="SignatureDoesNotMatch", Message="m", CanonicalRequest=seen)
    error = diagnose(403, body=body, endpoint=endpoint)
    assert type(error) is AccessDenied
    assert error.hint == hint


@pytest.mark.parametrize(
    ("request_", "status", "code", "words"),
    [
        pytest.param(GET, 403, "AccessDenied", "s3:ListBucket is not told", id="GET of an object"),
        pytest.param(Request("HEAD", "models", "k"), 403, None, "a GET's does", id="HEAD of an object"),
        pytest.param(GET, 403, None, "s3:GetObject", id="GET without a code"),
        pytest.param(PUT, 403, "AccessDenied", "allow s3:PutObject here", id="PUT"),
        pytest.param(
            Request("PUT", "models", "k", headers={"x-amz-copy-source": "/a/b"}),
            403,
            "AccessDenied",
            "allow s3:PutObject and, of the source, s3:GetObject here",
            id="copy",
        ),
        pytest.param(
            Request("GET", "models", "k", {"uploadId": "1"}),
            403,
            "AccessDenied",
            "allow s3:ListMultipartUploadParts here",
            id="parts",
        ),
        pytest.param(
            Request("DELETE", "models", "k", {"uploadId": "1"}),
            403,
            "AccessDenied",
            "allow s3:AbortMultipartUpload here",
            id="abort",
        ),
        pytest.param(Request("PUT", "models"), 403, "AccessDenied", "allow s3:CreateBucket here", id="new bucket"),
        pytest.param(
            Request("GET", "models", "k", {"versionId": "1"}), 403, None, "(s3:GetObjectVersion)", id="GET of a version"
        ),
        pytest.param(
            Request("DELETE", "models", "k", {"versionId": "1"}),
            403,
            "AccessDenied",
            "allow s3:DeleteObjectVersion here",
            id="DELETE of a version",
        ),
        pytest.param(Request("DELETE", "models", "k"), 403, "AccessDenied", "allow s3:DeleteObject here", id="DELETE"),
        pytest.param(Request("GET", "models"), 403, "AccessDenied", "allow s3:ListBucket here", id="list"),
        pytest.param(Request("HEAD", "models"), 403, None, "a GET's does", id="HEAD of a bucket"),
    ],
)
def test_denied_hint(request_, status, code, words):
    """A 403 to a read may mean that there is nothing to read; to anything else it is the policy."""
    body = b"" if code is None else xml(Code=code, Message="m")
    assert words in diagnose(status, body=body, request=request_).hint


GO = b"Client sent an HTTP request to an HTTPS server.\n"
HTML = b"<!DOCTYPE html>\n<HTML><head><title>MinIO Console</title></head></HTML>"


@pytest.mark.parametrize("request_", [GET, PUT], ids=["GET", "PUT"])
@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        pytest.param(400, GO, "begin the endpoint with https://", id="Go's TLS port"),
        pytest.param(
            400, b"<html>The plain HTTP request was sent to HTTPS port</html>", "https://", id="nginx's TLS port"
        ),
        pytest.param(200, HTML, "MinIO: 9000", id="console"),
        pytest.param(404, HTML, "is the endpoint the S3 port", id="console 404"),
        pytest.param(407, HTML, "The proxy wants a user's credentials", id="proxy's log-in"),
        pytest.param(413, HTML, "limits the size of bodies", id="proxy's limit"),
        pytest.param(502, HTML, "does not reach it: is the store running?", id="proxy"),
        pytest.param(503, HTML, "A proxy before the store has answered: is the store running?", id="proxy 503"),
        pytest.param(504, HTML, "in vain", id="proxy 504"),
        pytest.param(511, HTML, "captive portal", id="portal"),
        pytest.param(401, b'{"message": "No API key"}', "no answer of S3's", id="an API's gateway"),
        pytest.param(403, b"Forbidden", "no answer of S3's", id="a gateway that forbids"),
        pytest.param(404, b"404 page not found\n", "no answer of S3's", id="Go's server"),
        pytest.param(429, HTML, "busy", id="429 of a gateway"),
        pytest.param(500, HTML, "its log", id="500 of a server that shows a page"),
        pytest.param(403, HTML, "web page", id="403 of a firewall: no policy of S3's has anything to do with it"),
    ],
)
def test_stranger_hint(status, body, words, request_):
    """What is no S3 at all is recognised by its body."""
    assert words in diagnose(status, body=body, request=request_).hint


def test_a_stranger_is_known_by_the_beginning_of_its_body():
    """An S3 error that quotes HTML far behind is none."""
    assert diagnose(501, body=b"text " * 300 + b"<html>").hint is None


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (407, "credentials"),
        (412, "already"),
        (413, "size"),
        (429, "busy"),
        (500, "log"),
        (502, "does not reach it"),
        (503, "starting"),
        (504, "in vain"),
        (511, "captive portal"),
    ],
)
def test_status_hint(status, words):
    """Where no code is named, as in a proxy's answer or a HEAD's, the status is what there is to go by."""
    assert words in diagnose(status, request=GET).hint


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_store_with_headers_of_its_own_is_no_stranger(status):
    """An S3 server may say why in plain words."""
    error = diagnose(status, {"x-amz-request-id": "1"}, b"no such thing", request=PUT)
    assert "no answer of S3's" not in (error.hint or "")


@pytest.mark.parametrize(
    ("status", "code", "message", "words"),
    [
        (403, "InvalidAccessKeyId", "Your account is disabled; please contact your administrator.", "enable it"),
        (400, "InvalidArgument", "S3 API Requests must be made to API port.", "MinIO's console"),
        (500, "InternalError", "We encountered an internal error: cause(no space left on device)", "disk is full"),
        (400, "InvalidRequest", "The object was stored using a form of Server Side Encryption. The", "SSE-C"),
        (400, "InvalidRequest", "Requests specifying Server Side Encryption with Customer provided keys must", None),
    ],
)
def test_hint_by_message(status, code, message, words):
    """MinIO has one code for several causes: its words, in the body or a HEAD's header, tell them apart."""
    head = {"x-minio-error-code": code, "x-minio-error-desc": f'"{message}"'}
    for error in (diagnose(status, body=xml(Code=code, Message=message)), diagnose(status, head)):
        assert words in error.hint if words else error.hint is None


@pytest.mark.parametrize("body", [b"", xml(Code="NoSuchKey", Message="m")], ids=["HEAD", "GET"])
def test_delete_marker_hint(body):
    """Where versions are kept, what was deleted is told from what never was."""
    assert "was deleted" in diagnose(404, {"x-amz-delete-marker": "true"}, body).hint
    assert diagnose(404, {"x-amz-delete-marker": "false"}, body).hint is None


@pytest.mark.parametrize("body", [HTML, b'{"message": "blocked"}'], ids=["page", "JSON"])
def test_no_anonymous_hint_from_a_stranger(body):
    """A firewall's or a gateway's 403 has nothing to do with whether a request was signed."""
    error = diagnosis.diagnose(GET, ENDPOINT, 403, {}, body, region="", now=NOW, anonymous=True)
    assert "anonymous" not in error.hint


@pytest.mark.parametrize(("status", "told"), [(403, True), (404, False)])
def test_anonymous_hint(status, told):
    """A 403 to a request without credentials is explained by just that; other answers have other reasons."""
    error = diagnosis.diagnose(GET, ENDPOINT, status, {}, b"", region="us-east-1", now=NOW, anonymous=True)
    assert ("was anonymous" in (error.hint or "")) is told


class Unreachable(NewConnectionError):
    """As urllib3 raises it: with the system's error as its cause."""

    def __init__(self, number):
        super().__init__(None, "Failed to establish a new connection")
        self.__cause__ = OSError(number, os.strerror(number))


NO_NAME = gaierror(EAI_NONAME, "Name or service not known")
NO_PEM = SSLError("[X509: NO_CERTIFICATE_OR_CRL_FOUND] no certificate or crl found (_ssl.c:4154)")
ADDRESSING, TRY_TLS, TRY_PLAIN = (
    "addressing='path'",
    "begin the endpoint with https://",
    "begin the endpoint with http://",
)


@pytest.mark.parametrize(
    ("error", "url", "words", "absent"),
    [
        pytest.param(NO_NAME, "http://store.example", "Check the endpoint", ADDRESSING, id="no such host"),
        pytest.param(NO_NAME, "http://models.store.example", ADDRESSING, "http", id="no such bucket's host"),
        pytest.param(
            NO_NAME, "http://models.example/models", "Check the endpoint", ADDRESSING, id="a host of that name"
        ),
        pytest.param(RemoteDisconnected(), "http://store.example", TRY_TLS, "http://", id="closed, perhaps TLS"),
        pytest.param(RemoteDisconnected(), "https://store.example", "", TRY_TLS, id="closed under TLS"),
        pytest.param(IncompleteRead(b""), "http://store.example", TRY_TLS, "http://", id="no byte, perhaps TLS"),
        pytest.param(ConnectionResetError(), "http://store.example", TRY_TLS, "http://", id="reset, perhaps TLS"),
        pytest.param(IncompleteRead(b"HTTP"), "http://store.example", "", TRY_TLS, id="cut short, so it is HTTP"),
        pytest.param(Unreachable(errno.ENETUNREACH), "http://store.example", "network up", "http", id="no way"),
        pytest.param(Unreachable(errno.EMFILE), "http://store.example", "this machine", "network", id="no socket"),
        pytest.param(NO_PEM, "https://store.example", "must hold PEM", TRY_PLAIN, id="a CA file that is none"),
        pytest.param(SSLError("wrong"), "https://store.example", TRY_PLAIN, "https", id="no TLS"),
    ],
)
def test_transport_hint(error, url, words, absent):
    """What to do about a connection that did not work, as far as its error tells; nothing that cannot be the cause."""
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    signed = SignedRequest("GET", scheme, authority, f"/{path}", {})
    failure = failures.transport_error(error, GET, signed, Sending(), None, (5.0, 30.0), "", lambda: NOW)
    assert words in (failure.hint or "")
    assert absent not in (failure.hint or "")


@pytest.mark.parametrize("known", ["is_answered", "cut_short"])
def test_no_hint_at_tls_where_http_was_spoken(known):
    """A connection that breaks in an answer's body, or in a large request's, is none to a port that speaks TLS."""
    sending = Sending()
    setattr(sending, known, True)
    signed = SignedRequest("GET", "http", "store.example", "/", {})
    failure = failures.transport_error(ConnectionResetError(), GET, signed, sending, None, (5.0, 30.0), "", lambda: NOW)
    assert failure.hint is None
