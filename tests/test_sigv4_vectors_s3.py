"""The signer against S3's own figures (47 reference checks) and botocore's signatures for awkward keys (300 requests).

    s3_examples.json                the examples of the Amazon S3 API Reference, aws-c-auth's and minio-go's tests
    s3_keys_botocore_oracle.json    botocore 1.44.5: awkward keys in S3, both forms, path and virtual-host addressing

The package sends no signed chunks and no trailers; their figures prove the signing key and the signature all the same.
Each suite is one test, which goes on after a failure and then names every case that failed.
"""

from __future__ import annotations

import base64
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from kit_vectors import Checks, credentials_of, load, scope_of, sha256, signature_in

from cdn_sigv4 import hashes, sigv4

if TYPE_CHECKING:
    from pathlib import Path


def test_s3_examples(vectors: Path) -> None:
    """All 47 figures of S3's documented examples are met, and a signature known to be misprinted is not.

    1        the credential scope
    2-17     four plain requests: payload hash, canonical request, its SHA-256, signature
    18-26    an upload in signed chunks: canonical request, its SHA-256, seed signature; SHA-256 and signature of three
    27-38    the same with a trailer: the same nine, the trailer's SHA-256 and signature, not the misprint
    39-41    aws-c-auth's trailer of three lines: the seed and chunks before it, its SHA-256, its signature
    42       minio-go's trailer: its signature
    43-45    a presigned request: canonical request, its SHA-256, signature
    46-47    a POST policy: its text, its signature

    The package has no chunked uploads. Their signatures still come from its signing key: the test makes the strings.
    """
    examples = load(vectors, "s3_examples.json")
    checks = Checks()
    checks.equal("scope", str(scope_of(examples)), examples["scope"])
    assert len(examples["single"]) == 4
    for example in examples["single"]:
        _s3_plain(checks, examples, example)
    for name in ("chunked", "chunked_trailer"):
        _s3_chunks(checks, examples, examples[name])
    _s3_trailers(checks, examples)
    _s3_presigned(checks, examples, examples["presigned"])
    _s3_post_policy(checks, examples, examples["post_policy"])
    checks.settle(47)


def _s3_header_form(examples: dict[str, Any], example: dict[str, Any]) -> tuple[str, str]:
    """The canonical request of one example and, by the other way through `sign_headers`, its signature."""
    scope, unsigned = scope_of(examples), example.get("unsigned_headers", [])
    uri = sigv4.canonical_uri(sigv4.uri_encode_path(example["raw_path"]), "s3")
    query = sigv4.canonical_query(example["query"])
    headers = [(name, value) for name, value in example["headers"].items() if name not in unsigned]
    canonical, _ = sigv4.canonical_request(example["method"], uri, query, headers, example["payload_hash"])
    undated = [(name, value) for name, value in headers if name != "x-amz-date"]
    added = sigv4.sign_headers(
        credentials_of(examples["credentials"]), scope, example["method"], uri, query, undated, example["payload_hash"]
    )
    return canonical, signature_in(added["Authorization"])


def _s3_plain(checks: Checks, examples: dict[str, Any], example: dict[str, Any]) -> None:
    name, (canonical, value) = example["name"], _s3_header_form(examples, example)
    checks.equal(f"{name}: payload hash", sha256(example["body"].encode("utf-8")), example["payload_hash"])
    checks.equal(f"{name}: canonical request", canonical, example["canonical_request"])
    checks.equal(f"{name}: its SHA-256", sha256(canonical.encode("utf-8")), example["canonical_request_sha256"])
    checks.equal(f"{name}: signature", value, example["signature"])


def _s3_sign(examples: dict[str, Any], form: str, previous: str, digest: str) -> str:
    """The signature of a chunk or a trailer, in the published form of its string to sign."""
    scope = scope_of(examples)
    values = {
        "\\n": "\n",
        "<ts>": scope.timestamp,
        "<scope>": str(scope),
        "<prev-sig>": previous,
        "<sha256('')>": hashes.EMPTY_SHA256,
        "<sha256(chunk)>": digest,
        "<sha256(canonical-trailers)>": digest,
    }
    text = examples["string_to_sign_forms"][form]
    for placeholder, value in values.items():
        text = text.replace(placeholder, value)
    return sigv4.signature(credentials_of(examples["credentials"]), scope, text)


def _s3_chunks(checks: Checks, examples: dict[str, Any], example: dict[str, Any]) -> None:
    name, (canonical, value) = example["name"], _s3_header_form(examples, example)
    checks.equal(f"{name}: canonical request", canonical, example["canonical_request"])
    checks.equal(f"{name}: its SHA-256", sha256(canonical.encode("utf-8")), example["canonical_request_sha256"])
    checks.equal(f"{name}: seed signature", value, example["signature"])
    assert [chunk["len"] for chunk in example["chunks"]] == [65_536, 1_024, 0]
    for chunk in example["chunks"]:
        digest = sha256(b"a" * chunk["len"])
        value = _s3_sign(examples, "chunk", value, digest)
        checks.equal(f"{name}: SHA-256 of the chunk of {chunk['len']}", digest, chunk["sha256"])
        checks.equal(f"{name}: signature of the chunk of {chunk['len']}", value, chunk["signature"])


def _s3_trailers(checks: Checks, examples: dict[str, Any]) -> None:
    example = examples["chunked_trailer"]
    trailer, name = example["trailer"], example["name"]
    digest = sha256(trailer["canonical"].encode("utf-8"))
    value = _s3_sign(examples, "trailer", example["chunks"][-1]["signature"], digest)
    misprint = "63bddb248ad2590c92712055f51b8e78ab024eead08276b24f010b0efd74843f"
    assert misprint in trailer["erratum"]
    checks.equal(f"{name}: SHA-256 of the trailer", digest, trailer["canonical_sha256"])
    checks.equal(f"{name}: signature of the trailer", value, trailer["signature"])
    checks.differ(f"{name}: signature of the trailer", value, misprint)

    example = examples["chunked_trailer_aws_c_auth"]
    trailer, name = example["trailer"], example["name"]
    digest = sha256(trailer["canonical"].encode("utf-8"))
    previous = _s3_header_form(examples, example)[1]
    for length in (65_536, 1_024, 0):
        previous = _s3_sign(examples, "chunk", previous, sha256(b"a" * length))
    checks.equal(f"{name}: signature of the last chunk", previous, trailer["previous_signature"])
    checks.equal(f"{name}: SHA-256 of the trailer", digest, trailer["canonical_sha256"])
    value = _s3_sign(examples, "trailer", previous, digest)
    checks.equal(f"{name}: signature of the trailer", value, trailer["signature"])

    trailer, name = examples["trailer_only"]["trailer"], examples["trailer_only"]["name"]
    value = _s3_sign(examples, "trailer", trailer["previous_signature"], sha256(trailer["canonical"].encode("utf-8")))
    checks.equal(f"{name}: signature of the trailer", value, trailer["signature"])


def _s3_presigned(checks: Checks, examples: dict[str, Any], example: dict[str, Any]) -> None:
    name, uri, headers = example["name"], sigv4.uri_encode_path(example["raw_path"]), list(example["headers"].items())
    sent = sigv4.sign_query(
        credentials_of(examples["credentials"]),
        scope_of(examples),
        example["method"],
        uri,
        [],
        headers,
        example["payload_hash"],
        expires_in=int(dict(example["query"])["X-Amz-Expires"]),
    )
    query, _, value = sent.partition("&X-Amz-Signature=")
    canonical, _ = sigv4.canonical_request(example["method"], uri, query, headers, example["payload_hash"])
    checks.equal(f"{name}: canonical request", canonical, example["canonical_request"])
    checks.equal(f"{name}: its SHA-256", sha256(canonical.encode("utf-8")), example["canonical_request_sha256"])
    checks.equal(f"{name}: signature", value, example["signature"])


def _s3_post_policy(checks: Checks, examples: dict[str, Any], example: dict[str, Any]) -> None:
    name, date = example["name"], example["scope"].partition("/")[0]
    scope = sigv4.Scope(f"{date}T000000Z", examples["region"], examples["service"])
    assert str(scope) == example["scope"]
    policy = base64.b64decode(example["string_to_sign"], validate=True).decode("utf-8")
    value = sigv4.signature(credentials_of(examples["credentials"]), scope, example["string_to_sign"])
    checks.equal(f"{name}: policy", policy, example["policy_decoded"])
    checks.equal(f"{name}: signature", value, example["signature"])


# --- awkward keys ----------------------------------------------------------------------------------------------------


def test_s3_keys(vectors: Path) -> None:
    """All 300 requests for awkward keys agree with botocore: what is sent, and every header or parameter of it."""
    oracle = load(vectors, "s3_keys_botocore_oracle.json")
    kinds = Counter((case["style"], case["op"], case["token"] is not None) for case in oracle["cases"])
    operations = ("get_object", "put_object", "presign_get")
    assert kinds == {
        (style, operation, token): 2 if token else 48
        for style in ("path", "virtual")
        for operation in operations
        for token in (False, True)
    }
    checks = Checks()
    for case in oracle["cases"]:
        name = f"{case['style']} {case['op']} {case['key'][:40]!r} token={case['token']}"
        prefix = f"/{oracle['bucket']}/" if case["style"] == "path" else "/"
        target = prefix + sigv4.uri_encode_path(case["key"])
        if case["op"] == "presign_get":
            _presigned_key(checks, oracle, case, name, target)
        else:
            _key_in_header_form(checks, oracle, case, name, target)
    checks.settle(300 * 2)


def _key_in_header_form(checks: Checks, oracle: dict[str, Any], case: dict[str, Any], name: str, target: str) -> None:
    method, body = {"get_object": ("GET", ""), "put_object": ("PUT", oracle["put_body"])}[case["op"]]
    payload_hash = sha256(body.encode("utf-8"))
    headers = [("Host", case["host"]), ("x-amz-content-sha256", payload_hash)]
    credentials = credentials_of(oracle["credentials"], case["token"])
    uri = sigv4.canonical_uri(target, oracle["service"])
    added = sigv4.sign_headers(credentials, scope_of(oracle), method, uri, "", headers, payload_hash)
    got = {**added, "x-amz-content-sha256": payload_hash}
    checks.equal(f"{name}: target", target, case["path_and_query"])
    checks.equal(
        f"{name}: headers",
        {header.lower(): value for header, value in got.items()},
        {header.lower(): value for header, value in case["headers"].items()},
    )


def _presigned_key(checks: Checks, oracle: dict[str, Any], case: dict[str, Any], name: str, target: str) -> None:
    host, _, path_and_query = case["url"].partition("://")[2].partition("/")
    path, _, query = path_and_query.partition("?")
    sent = sigv4.sign_query(
        credentials_of(oracle["credentials"], case["token"]),
        scope_of(oracle),
        "GET",
        sigv4.canonical_uri(target, oracle["service"]),
        [],
        [("Host", host)],
        sigv4.UNSIGNED_PAYLOAD,
        expires_in=oracle["presign_expires"],
    )
    checks.equal(f"{name}: path", target, f"/{path}")
    checks.equal(f"{name}: query", sorted(parse_qsl(sent)), sorted(parse_qsl(query)))
