"""The examples that AWS's own pages print, carried here so that a copied folder can be checked without anything else.

The requests, signatures and hashes are those of the Amazon S3 API Reference:

    HEADER_PAGE     four requests signed in the Authorization header
    QUERY_PAGE      a presigned URL

The two signing keys are those of the AWS General Reference, in "Examples of how to derive a signing key" and "Task 3:
Calculate the signature", pages since replaced by the IAM User Guide's on request signing.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import pytest

from cdn_sigv4 import Credentials, sigv4

HEADER_PAGE = "https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html"
QUERY_PAGE = "https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"

HOST = "examplebucket.s3.amazonaws.com"
ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET_KEY = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SCOPE = sigv4.Scope("20130524T000000Z", "us-east-1", "s3")


class Example(NamedTuple):
    """One request of HEADER_PAGE, and what the page says of it."""

    method: str
    key: str
    query: list[tuple[str, str]]
    headers: list[tuple[str, str]]
    body: bytes
    canonical_hash: str
    signed_headers: str
    signature: str


EXAMPLES = {
    "GET object": Example(
        method="GET",
        key="test.txt",
        query=[],
        headers=[("Range", "bytes=0-9")],
        body=b"",
        canonical_hash="7344ae5b7ee6c3e7e6b0fe0640412a37625d1fbfff95c48bbb2dc43964946972",
        signed_headers="host;range;x-amz-content-sha256;x-amz-date",
        signature="f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
    ),
    "PUT object": Example(
        method="PUT",
        key="test$file.text",
        query=[],
        headers=[("Date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")],
        body=b"Welcome to Amazon S3.",
        canonical_hash="9e0e90d9c76de8fa5b200d8c849cd5b8dc7a3be3951ddb7f6a76b4158342019d",
        signed_headers="date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
        signature="98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
    ),
    "GET bucket lifecycle": Example(
        method="GET",
        key="",
        query=[("lifecycle", "")],
        headers=[],
        body=b"",
        canonical_hash="9766c798316ff2757b517bc739a67f6213b4ab36dd5da2f94eaebf79c77395ca",
        signed_headers="host;x-amz-content-sha256;x-amz-date",
        signature="fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    ),
    "GET bucket (list objects)": Example(
        method="GET",
        key="",
        query=[("prefix", "J"), ("max-keys", "2")],
        headers=[],
        body=b"",
        canonical_hash="df57d21db20da04d7fa30298dd4488ba3a2b47ca3a489c74750e0f1e7df1b9b7",
        signed_headers="host;x-amz-content-sha256;x-amz-date",
        signature="34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    ),
}


@pytest.fixture
def credentials():
    """Return the example user of all pages."""
    return Credentials(ACCESS_KEY, SECRET_KEY)


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_header_form(example, credentials):
    """A request of HEADER_PAGE has the page's string to sign, signed headers and Authorization header."""
    payload_hash = hashlib.sha256(example.body).hexdigest()
    headers = [("Host", HOST), ("x-amz-content-sha256", payload_hash), *example.headers]
    uri = sigv4.canonical_uri("/" + sigv4.uri_encode_path(example.key), "s3")
    query = sigv4.canonical_query(example.query)

    dated = [*headers, ("x-amz-date", "20130524T000000Z")]
    canonical, signed = sigv4.canonical_request(example.method, uri, query, dated, payload_hash)
    assert signed == example.signed_headers
    assert sigv4.string_to_sign(SCOPE, canonical) == (
        f"AWS4-HMAC-SHA256\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n{example.canonical_hash}"
    )
    assert sigv4.sign_headers(credentials, SCOPE, example.method, uri, query, headers, payload_hash) == {
        "x-amz-date": "20130524T000000Z",
        "Authorization": (
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
            f"SignedHeaders={example.signed_headers}, Signature={example.signature}"
        ),
    }


def test_presigned_form(credentials):
    """The presigned URL of QUERY_PAGE, good for a day, comes out letter for letter."""
    query = sigv4.sign_query(
        credentials, SCOPE, "GET", "/test.txt", [], [("Host", HOST)], sigv4.UNSIGNED_PAYLOAD, expires_in=86_400
    )
    assert f"https://{HOST}/test.txt?{query}" == (
        "https://examplebucket.s3.amazonaws.com/test.txt"
        "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20130524T000000Z"
        "&X-Amz-Expires=86400"
        "&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
    )


@pytest.mark.parametrize(
    ("secret_key", "date", "expected"),
    [
        (
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            "20120215",
            "f4780e2d9f65fa895f9c67b32ce1baf0b0d8a43505a000a1a9e090d414db404d",
        ),
        (
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            "20150830",
            "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9",
        ),
    ],
    ids=["key derivation", "Task 3"],
)
def test_signing_key(secret_key, date, expected):
    """The signing keys that the AWS General Reference printed are derived from its secret."""
    assert sigv4.signing_key(secret_key, date, "us-east-1", "iam").hex() == expected
