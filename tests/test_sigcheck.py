"""Proves the judge: what botocore and AWS's documentation sign passes, every tampering is refused by its name."""

import datetime as dt
import hashlib
import json
import re

import botocore.auth
import botocore.awsrequest
import botocore.config
import botocore.credentials
import pytest
from kit import KEY, SECRET, SECRETS
from sigcheck import SignatureError, Verified, decode, encode, verify

REGION = "us-east-1"
BODY = b"Welcome to Amazon S3."
WHEN = dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc)


def head_of(method, target, headers):
    lines = [f"{method} {target} HTTP/1.1"] + [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def by_botocore(
    method="PUT",
    target="/bucket/a%20b/%C3%BC?a=1&b=x%2By",
    headers=None,
    body=BODY,
    *,
    token=None,
    presign=None,
    sign_body=True,
):
    """A request's head as botocore signs it, now, for the host store.test:9000."""
    credentials = botocore.credentials.Credentials(KEY, SECRET, token)
    request = botocore.awsrequest.AWSRequest(method, "https://store.test:9000" + target, headers or {}, body)
    request.context["client_config"] = botocore.config.Config(s3={"payload_signing_enabled": sign_body})
    if presign is None:
        botocore.auth.S3SigV4Auth(credentials, "s3", REGION).add_auth(request)
    else:
        botocore.auth.S3SigV4QueryAuth(credentials, "s3", REGION, expires=presign).add_auth(request)
    prepared = request.prepare()
    sent = [("Host", "store.test:9000")] + [(str(name), str(value)) for name, value in prepared.headers.items()]
    return head_of(method, prepared.url[len("https://store.test:9000") :], sent)


def from_oracle(case, entry):
    """Head and body of one entry of the recorded keys."""
    body = entry["put_body"].encode() if case["op"] == "put_object" else b""
    method = "PUT" if case["op"] == "put_object" else "GET"
    host, _, rest = case["url"].partition("://")[2].partition("/")
    return head_of(method, "/" + rest, [("Host", host), *case.get("headers", {}).items()]), body


HEADERS = {"Content-Type": "text/plain", "x-amz-meta-note": "two  blanks", "Range": "bytes=0-9", "User-Agent": "test"}


@pytest.mark.parametrize("token", [None, "TOKEN/+=="])
@pytest.mark.parametrize("target", ["/", "/bucket?list-type=2&prefix=a%2Fb", "/bucket//a/../b/%2A~%20", "/b/%252F?x="])
def test_botocore_signed_header(target, token):
    """What botocore signs in the header form is accepted, and the value returned says who, where and with what."""
    proof = verify(by_botocore("PUT", target, HEADERS, token=token), BODY, SECRETS, region=REGION)
    assert (proof.access_key, proof.region, proof.service, proof.presigned) == (KEY, REGION, "s3", False)
    assert proof.session_token == token
    assert {"host", "content-type", "range", "x-amz-meta-note", "x-amz-date"} <= set(proof.signed_headers)
    assert "\nx-amz-meta-note:two blanks\n" in proof.canonical_request


@pytest.mark.parametrize("token", [None, "TOKEN/+=="])
def test_botocore_presigned(token):
    """What botocore presigns is accepted; with a token it is sent unsorted, which only the strict reading refuses."""
    head = by_botocore("GET", "/bucket/a%20b", body=b"", token=token, presign=900)
    proof = verify(head, b"", SECRETS, region=REGION, strict_query=token is None)
    assert proof.presigned
    assert proof.session_token == token
    if token is not None:
        with pytest.raises(SignatureError, match="query not sorted"):
            verify(head, b"", SECRETS)


def test_official_headers(vectors):
    """The signatures printed in the S3 API Reference verify, with the canonical request printed beside them."""
    examples = json.loads((vectors / "s3_examples.json").read_text("utf-8"))
    for case in examples["single"]:
        _, path, query, *rest = case["canonical_request"].split("\n")
        authorization = f"AWS4-HMAC-SHA256 Credential={KEY}/{examples['scope']}, SignedHeaders={rest[-2]}, "
        authorization += f"Signature={case['signature']}"
        target = path + ("?" + query if query else "")
        head = head_of(case["method"], target, [*case["headers"].items(), ("Authorization", authorization)])
        proof = verify(head, case["body"].encode(), SECRETS, region=examples["region"])
        assert proof.canonical_request == case["canonical_request"]


def test_official_presigned(vectors):
    """The presigned URL printed in the S3 API Reference verifies within its day, and not a second after it."""
    case = json.loads((vectors / "s3_examples.json").read_text("utf-8"))["presigned"]
    query = case["canonical_request"].split("\n")[2]
    head = head_of("GET", f"/test.txt?{query}&X-Amz-Signature={case['signature']}", case["headers"].items())
    start = dt.datetime(2013, 5, 24, tzinfo=dt.timezone.utc)
    proof = verify(head, b"", SECRETS, now=start + dt.timedelta(days=1))
    assert proof.canonical_request == case["canonical_request"]
    with pytest.raises(SignatureError, match="has expired"):
        verify(head, b"", SECRETS, now=start + dt.timedelta(days=1, seconds=1))
    with pytest.raises(SignatureError, match="not valid yet"):
        verify(head, b"", SECRETS, now=start - dt.timedelta(minutes=16))


def test_recorded_keys(vectors):
    """All awkward keys that botocore signed, in both addressing styles, verify at the recorded moment."""
    recorded = json.loads((vectors / "s3_keys_botocore_oracle.json").read_text("utf-8"))
    for case in recorded["cases"]:
        head, body = from_oracle(case, recorded)
        proof = verify(head, body, SECRETS, region=REGION, now=WHEN, strict_query=case["token"] is None)
        assert proof.session_token == case["token"]
    assert len(recorded["cases"]) == 300


def swap(old, new):
    """Replace the one occurrence of `old`."""

    def change(head):
        assert head.count(old) == 1, (old, head)
        return head.replace(old, new)

    return change


def add(line):
    return lambda head: head[:-2] + line + b"\r\n\r\n"


def flip_signature(head):
    at = head.index(b"Signature=") + 10
    return head[:at] + (b"0" if head[at : at + 1] != b"0" else b"1") + head[at + 1 :]


def later(seconds):
    """Another moment of the same day, or the same moment of another day, in x-amz-date."""

    def change(head):
        at = head.lower().index(b"x-amz-date: ") + 12
        stamp = head[at : at + 9] + b"235959Z" if seconds else b"20200101" + head[at + 8 : at + 16]
        return head[:at] + stamp + head[at + 16 :]

    return change


TAMPERED = {
    "method": (swap(b"PUT ", b"POST "), "signature differs"),
    "path byte": (swap(b"/a%20b/", b"/a%20c/"), "signature differs"),
    "path escape in small letters": (swap(b"%C3%BC", b"%c3%bc"), "path not canonical"),
    "path with needless escape": (swap(b"/bucket/", b"/%62ucket/"), "path not canonical"),
    "path with raw byte": (swap(b"/a%20b/", b"/a+b/"), "path not canonical"),
    "path with half an escape": (swap(b"%BC", b"%B"), "path not canonical"),
    "slash as an escape": (swap(b"/a%20b/", b"%2Fa%20b/"), "path not canonical"),
    "raw blank in the target": (swap(b"/a%20b/", b"/a b/"), "malformed request line"),
    "raw UTF-8 in the target": (swap(b"%C3%BC", b"\xc3\xbc"), "malformed request line"),
    "query value": (swap(b"a=1", b"a=2"), "signature differs"),
    "query parameter more": (swap(b"b=x%2By", b"b=x%2By&c="), "signature differs"),
    "query unsorted": (swap(b"a=1&b=x%2By", b"b=x%2By&a=1"), "query not sorted"),
    "query with plus": (swap(b"x%2By", b"x+y"), "query not canonical"),
    "query without equals": (swap(b"a=1&", b"a&"), "without ="),
    "header value": (swap(b"two  blanks", b"two  planks"), "signature differs"),
    "header value's blanks only": (swap(b"two  blanks", b"two blanks"), ""),
    "host": (swap(b"Host: store.test:9000", b"Host: store.test"), "signature differs"),
    "two hosts": (add(b"Host: store.test:9000"), "exactly one Host"),
    "absolute form": (swap(b"PUT /", b"PUT https://store.test:9000/"), ""),
    "absolute form to elsewhere": (swap(b"PUT /", b"PUT http://other.test/"), "differs from the target's authority"),
    "repeated signed header": (add(b"x-amz-meta-note: more"), "signature differs"),
    "unsigned x-amz header": (add(b"x-amz-acl: public-read"), "x-amz-acl is not signed"),
    "unsigned content-md5": (add(b"Content-MD5: 1B2M2Y8AsgTpgAmY7PhCfg=="), "content-md5 is not signed"),
    "unsigned other header": (add(b"Accept: */*"), ""),
    "second authorization": (add(b"Authorization: Basic eDp5"), "authorization sent more than once"),
    "presigned beside it": (swap(b"?a=1", b"?X-Amz-Signature=00&a=1"), "beside a presigned query"),
    "no blank after the comma": (swap(b", SignedHeaders", b",SignedHeaders"), "Authorization is malformed"),
    "signature": (flip_signature, "signature differs"),
    "signature in capitals": (swap(b"Signature=", b"Signature=A"), "Authorization is malformed"),
    "unsorted signed headers": (swap(b"content-type;host", b"host;content-type"), "SignedHeaders not sorted"),
    "signed header twice": (swap(b"=content-type;host", b"=content-type;host;host"), "SignedHeaders not sorted"),
    "signed headers in capitals": (swap(b"=content-type;host", b"=Content-Type;host"), "not in lower case"),
    "host not signed": (swap(b"content-type;host", b"content-type"), "host is not signed"),
    "content-type not signed": (swap(b"content-type;host", b"host"), "content-type is not signed"),
    "range not signed": (swap(b";range;", b";"), "range is not signed"),
    "user agent signed": (swap(b";range;", b";range;user-agent;"), "user-agent must not be signed"),
    "absent header signed": (swap(b";range;", b";range;te;"), "signed header te was not sent"),
    "time": (later(seconds=True), "signature differs"),
    "day": (later(seconds=False), "differs from the credential scope"),
    "month thirteen": (lambda head: re.sub(rb"(?i)(x-amz-date: ....)..", rb"\g<1>13", head), "no moment in time"),
    "date of HTTP": (swap(b"X-Amz-Date: ", b"X-Amz-Date: Fri, "), "not ISO 8601 basic"),
    "region": (swap(b"/us-east-1/", b"/eu-west-1/"), "region in the credential scope"),
    "service": (swap(b"/s3/", b"/sns/"), "service in the credential scope"),
    "access key": (swap(KEY.encode(), b"somebody"), "access key is not known"),
    "folded header": (swap(b"two  blanks", b"two\r\n blanks"), "malformed header line"),
    "header in UTF-8": (swap(b"two  blanks", b"zw\xc3\xb6lf"), "malformed header line"),
    "bare line feed": (swap(b"Host: ", b"X: y\nHost: "), "malformed header line"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_tampered(what):
    """One change to a good request is refused for its own reason, or accepted where nothing signed changes."""
    change, rule = TAMPERED[what]
    head = change(by_botocore(headers=HEADERS))
    if not rule:
        assert isinstance(verify(head, BODY, SECRETS, region=REGION), Verified)
        return
    with pytest.raises(SignatureError) as caught:
        verify(head, BODY, SECRETS, region=REGION)
    assert rule in str(caught.value)
    assert SECRET not in repr(vars(caught.value)) + repr(caught.value)


def test_body():
    """A body other than the one hashed is refused; UNSIGNED-PAYLOAD passes where allowed; the header may not lack."""
    with pytest.raises(SignatureError, match="not the SHA-256 of the body"):
        verify(by_botocore(), BODY + b"!", SECRETS)
    digest = hashlib.sha256(BODY).hexdigest().encode()
    unsigned = by_botocore(sign_body=False)
    with pytest.raises(SignatureError, match="UNSIGNED-PAYLOAD is not allowed"):
        verify(unsigned, BODY, SECRETS)
    assert verify(unsigned, b"anything", SECRETS, allow_unsigned_payload=True).canonical_request.endswith("PAYLOAD")
    with pytest.raises(SignatureError, match="signature differs"):
        verify(swap(digest, b"UNSIGNED-PAYLOAD")(by_botocore()), BODY, SECRETS, allow_unsigned_payload=True)
    lines = [line for line in by_botocore().split(b"\r\n") if digest not in line]
    with pytest.raises(SignatureError, match="x-amz-content-sha256 was not sent"):
        verify(b"\r\n".join(lines), BODY, SECRETS)


PRESIGNED = {
    "path": (swap(b"/bucket/", b"/pocket/"), "signature differs"),
    "signature": (flip_signature, "signature differs"),
    "signature cut": (swap(b"X-Amz-Signature=", b"X-Amz-Signature=&y="), "X-Amz-Signature is malformed"),
    "expiry": (swap(b"Expires=900", b"Expires=901"), "signature differs"),
    "expiry zero": (swap(b"Expires=900", b"Expires=0"), "not within 1 to 604800"),
    "expiry too long": (swap(b"Expires=900", b"Expires=604801"), "not within 1 to 604800"),
    "expiry missing": (swap(b"X-Amz-Expires=900&", b""), "X-Amz-Expires missing"),
    "expiry twice": (swap(b"X-Amz-Expires=900&", b"X-Amz-Expires=900&X-Amz-Expires=900&"), "sent more than once"),
    "algorithm": (swap(b"AWS4-HMAC-SHA256", b"AWS4-HMAC-SHA1"), "X-Amz-Algorithm is not"),
    "credential": (swap(b"aws4_request", b"aws5_request"), "X-Amz-Credential is malformed"),
    "signed headers": (swap(b"SignedHeaders=host", b"SignedHeaders=hosts"), "host is not signed"),
    "authorization beside it": (add(b"Authorization: Basic eDp5"), "beside a presigned query"),
    "x-amz header beside it": (add(b"x-amz-acl: private"), "x-amz-acl is not signed"),
    "range beside it": (add(b"Range: bytes=0-0"), ""),
    "method": (swap(b"GET ", b"HEAD "), "signature differs"),
}


@pytest.mark.parametrize("what", PRESIGNED)
def test_tampered_presigned(what):
    """One change to a good presigned request is refused for its own reason."""
    change, rule = PRESIGNED[what]
    head = change(by_botocore("GET", "/bucket/a%20b", body=b"", presign=900))
    if not rule:
        assert verify(head, b"", SECRETS).presigned
        return
    with pytest.raises(SignatureError) as caught:
        verify(head, b"", SECRETS)
    assert rule in str(caught.value)


def test_clock():
    """With a clock, fifteen minutes of difference pass and a second more is RequestTimeTooSkewed, either way."""
    head = by_botocore()
    stamp = verify(head, BODY, SECRETS).timestamp
    signed = dt.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.timezone.utc)
    for sign in (1, -1):
        verify(head, BODY, SECRETS, now=signed + sign * dt.timedelta(seconds=900))
        with pytest.raises(SignatureError) as caught:
            verify(head, BODY, SECRETS, now=signed + sign * dt.timedelta(seconds=901))
        assert caught.value.code == "RequestTimeTooSkewed"


def test_no_signature_at_all():
    """An anonymous request is refused."""
    with pytest.raises(SignatureError, match="authorization missing"):
        verify(head_of("GET", "/bucket/key", [("Host", "h")]), b"", SECRETS)


def test_encoding_is_exact():
    """Every byte survives encoding and decoding, and only the unreserved ones stand for themselves."""
    raw = bytes(range(256))
    assert decode(encode(raw)) == raw
    assert encode(b"-._~aZ09/ +%*'()!\xff") == b"-._~aZ09%2F%20%2B%25%2A%27%28%29%21%FF"
    assert encode(b"a/b", keep=b"/") == b"a/b"
