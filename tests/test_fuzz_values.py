"""Fuzzing what reads an answer's headers: any texts give values that keep their word, or this package's errors.

Lengths, ranges, dates, waits, checksums and the diagnosis of errors, each without a server. Traps: lengths and ranges
(24), checksums of odd forms (25), dates (31), a server's time and region (33).
"""

import base64
import hashlib
import zlib
from datetime import datetime, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit_fuzz import MAX_SHOWN, WILD, ended, fuzzing

from cdn_sigv4 import answers, checksums, errors, retry
from cdn_sigv4.diagnosis import diagnose
from cdn_sigv4.endpoint import Endpoint
from cdn_sigv4.s3 import Request, byte_range

BODY = b"0123456789"
CRC32 = base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode("ascii")
SHA256 = base64.b64encode(hashlib.sha256(BODY).digest()).decode("ascii")
MD5 = hashlib.md5(BODY).hexdigest()
KNOWN = [
    "", " ", "0", "1", "10", "-1", "+1", "1.5", "1e3", "nan", "inf", "0x1", "1_0", "\u0661", "9" * 9, "9" * 19,
    "bytes 0-9/10", "bytes 2-5/10", "bytes 5-2/10", "bytes */10", "bytes 0-9/*", "bytes 0-9/9", "bytes=0-9/10",
    "Tue, 03 Feb 2026 04:05:06 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT",
    "2026-02-03T04:05:06Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "Tue, 03 Feb 2026 04:05:06 -9999",
    CRC32, SHA256, CRC32 + "-2", CRC32[:-1], CRC32 + "\n", "AAAA", "=" * 9, "FULL_OBJECT", "COMPOSITE",
    f'"{MD5}"', f'"{MD5.upper()}"', f'"{MD5}-2"', MD5, f'W/"{MD5}"', '"' + "\u0661" * 32 + '"', "aws:kms", "AES256",
    "eu-west-1", "a/b", "x" * 3000, "<html>", "\x1b[2J", "\xff",
    "http://u:p@host/x?X-Amz-Signature=1", "SlowDown", "full_object",
    "SignatureDoesNotMatch", "chunked", "9" * 5000,
]  # fmt: skip
TEXTS = st.one_of(st.sampled_from(KNOWN), WILD)
NAMES = [
    "content-length", "content-range", "content-type", "transfer-encoding", "etag", "date", "last-modified", "location",
    "retry-after", "x-amz-bucket-region", "x-amz-request-id", "x-minio-error-code", "x-minio-error-desc",
    "x-amz-checksum-crc32", "x-amz-checksum-sha256", "x-amz-checksum-sha1", "x-amz-checksum-crc32c",
    "x-amz-checksum-type", "x-amz-server-side-encryption", "x-amz-server-side-encryption-customer-algorithm",
    "x-amz-meta-a", "x-amz-meta-", "x-amz-version-id",
]  # fmt: skip
HEADERS = st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=8)


@settings(fuzzing, max_examples=400)
@given(text=TEXTS)
def test_lengths(text):
    """A Content-Length is the number of its ASCII digits, fewer than twenty, and everything else an InvalidResponse."""
    result = ended(lambda: answers.content_length({"content-length": text}))
    if isinstance(result, errors.CDNError):
        assert type(result) is errors.InvalidResponse
    else:
        assert text.lstrip("0") == (str(result) if result else "")


@settings(fuzzing, max_examples=400)
@given(text=TEXTS)
@example(text="Fri, 31 Dec 9999 23:59:59 -2359")
@example(text="Mon, 01 Jan 0001 00:00:00 +2359")
def test_times(text):
    """A date is a moment in UTC, or None."""
    moment = answers.parse_time(text)
    assert moment is None or moment.tzinfo is timezone.utc
    assert moment is None or isinstance(moment.timestamp(), float)


@settings(fuzzing, max_examples=500)
@given(
    status=st.sampled_from([200, 206]),
    headers=HEADERS,
    right=st.booleans(),
    bounds=st.one_of(st.just((None, None, None)), st.tuples(st.integers(0, 9), st.integers(10, 12), st.none())),
)
@example(status=206, headers={"content-range": "bytes 2-9/10", "content-length": "8"}, right=True, bounds=(2, 11, None))
@example(status=200, headers={"content-length": "10"}, right=True, bounds=(None, None, None))
def test_objects(status, headers, right, bounds):
    """A GET's answer is refused, or its length is the Content-Length and its range the one asked for."""
    headers = {"etag": '"e"', **headers} if right else headers
    request = Request("GET", "buc", "k", headers={"range": byte_range(*bounds)})
    result = ended(lambda: answers.received(request, status, headers))
    if isinstance(result, errors.CDNError):
        assert type(result) is errors.InvalidResponse
        return
    info, first, length = result
    assert length == int(headers["content-length"])
    assert first + length <= info.size
    if bounds[0] is not None:
        assert (first, first + length) == (bounds[0], min(bounds[1], info.size))


@settings(fuzzing, max_examples=400)
@given(headers=HEADERS, text=st.binary(max_size=30))
def test_descriptions(headers, text):
    """Every other reader of headers gives a value, all of whose properties can be read, or an InvalidResponse."""
    request = Request("PUT", "buc", "k")
    for read in (
        lambda: answers.headed(request, headers),
        lambda: answers.stored(request, {}, headers, 5),
        lambda: answers.check_done(headers, b"<html>" + text),
        lambda: answers.check_bucket_head(headers),
        lambda: answers.parse_copy(request, headers, b"<CopyObjectResult/>"),
        lambda: answers.check_origin(headers),
    ):
        result = ended(read)
        assert not isinstance(result, errors.CDNError) or type(result) is errors.InvalidResponse
        if isinstance(result, answers.ObjectInfo):
            assert result.last_modified is None or result.last_modified.tzinfo is timezone.utc
            assert all(isinstance(each, str) for each in result.metadata.values())
            assert isinstance(repr(result), str)


@settings(fuzzing, max_examples=400)
@given(
    status=st.sampled_from([200, 206]),
    headers=HEADERS,
    etag=st.sampled_from(['"e"', '"f"', None]),
    start=st.integers(0, 12),
)
def test_continuations(status, headers, etag, start):
    """An answer that is to go on with an object is refused, or begins where it is to, of the same size and tag."""
    if etag is not None:
        headers = {**headers, "etag": etag}
    request = Request("GET", "buc", "k", headers={"range": f"bytes={start}-"})
    begun = answers.ObjectInfo("buc", "k", 10, {"etag": '"e"'})
    result = ended(lambda: answers.continued(request, status, headers, begun))
    if isinstance(result, errors.CDNError):
        assert type(result) in (errors.InvalidResponse, errors.ObjectChanged)
        return
    assert (headers["etag"], int(headers["content-length"]) + (start if status == 206 else 0)) == ('"e"', 10)
    assert result == (0 if status == 206 else start)


@settings(fuzzing, max_examples=600)
@given(headers=HEADERS, etag_is_md5=st.booleans())
@example(headers={"x-amz-checksum-crc32": CRC32}, etag_is_md5=False)
@example(headers={"x-amz-checksum-sha256": SHA256, "x-amz-checksum-type": "COMPOSITE"}, etag_is_md5=False)
@example(headers={"etag": f'"{MD5}"'}, etag_is_md5=True)
def test_checksums(headers, etag_is_md5):
    """What counts as a checksum of the whole is the standard form of one, with its right number of bytes."""
    found = checksums.stored(headers, etag_is_md5=etag_is_md5)
    if found is None:
        return
    name, value = found
    if name == "md5":
        assert etag_is_md5
        assert headers["etag"].lower() == f'"{value.hex()}"'
        return
    assert base64.b64encode(value).decode("ascii") == headers[f"x-amz-checksum-{name}"]
    assert len(value) == {"crc32": 4, "sha1": 20, "sha256": 32}[name]
    assert headers.get("x-amz-checksum-type", "FULL_OBJECT").upper() == "FULL_OBJECT"
    assert ended(lambda: verified(name, value)) is None or value not in DIGESTS.values()


DIGESTS = {"crc32": base64.b64decode(CRC32), "sha256": base64.b64decode(SHA256), "md5": bytes.fromhex(MD5)}


def verified(name, value):
    verifier = checksums.Verifier(name, value)
    verifier.update(BODY)
    return verifier.check()


@pytest.mark.parametrize("name", list(DIGESTS))
@settings(fuzzing, max_examples=100)
@given(value=st.binary(max_size=40))
def test_digests(name, value):
    """Only the checksum of the bytes passes; any other is an IntegrityError that can be shown."""
    assert verified(name, DIGESTS[name]) is None
    assert value == DIGESTS[name] or type(ended(lambda: verified(name, value))) is errors.IntegrityError


@settings(fuzzing, max_examples=500)
@given(
    status=st.integers(0, 1100),
    headers=HEADERS,
    code=st.sampled_from(["", "SlowDown", "BadDigest", "closed", "AccessDenied", "RequestTimeTooSkewed"]),
    now=st.sampled_from([0.0, 1.77e9, 2.5e11]),
    method=st.sampled_from(["GET", "HEAD", "PUT"]),
    anonymous=st.booleans(),
)
@example(status=503, headers={"retry-after": "9" * 9}, code="", now=0.0, method="GET", anonymous=False)
@example(status=403, headers={"x-amz-bucket-region": "x" * 30000}, code="", now=0.0, method="GET", anonymous=False)
def test_diagnoses(status, headers, code, now, method, anonymous):
    """Any status with any headers is an error that is shown in one short line, and tells how long to wait for what."""
    error = diagnose(
        Request(method, "buc", "k"), Endpoint("http://h:9000"), status, headers,
        f"<Error><Code>{code}</Code></Error>".encode("ascii"), region="us-east-1", now=now, anonymous=anonymous,
    )  # fmt: skip
    assert isinstance(error, (errors.ResponseError, errors.IntegrityError))
    assert str(error).isprintable()
    assert len(str(error)) < MAX_SHOWN
    patience = retry.Patience(retry.Retry(), retry.Quota(), lambda: 0.0, lambda: 1.0)
    for _ in range(12):
        wait = patience.wait(error)
        assert wait is None or 0 <= wait <= 5.0
    assert wait is None
    if isinstance(error, errors.ResponseError) and error.server_time is not None:
        assert isinstance(datetime.fromtimestamp(error.server_time, timezone.utc), datetime)
