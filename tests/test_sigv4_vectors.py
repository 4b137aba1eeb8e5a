"""The signer against four suites (38 cases, 34 cases, 47 figures, 300 requests), at every checkpoint on the way.

The figures are not in this repository. The environment variable SIGV4_VECTORS names the folder that holds them (the
fixture `vectors`); without it each suite is skipped. Who made them, and under which licence, stands in each file:

    sigv4_suite_aws_c_auth.json     awslabs/aws-c-auth, tests/aws-signing-test-suite/v4: any service, both forms
    sigv4_suite_botocore.json       boto/botocore, tests/unit/auth/aws4_testsuite: any service, header form
    s3_examples.json                the examples of the Amazon S3 API Reference, aws-c-auth's and minio-go's tests
    s3_keys_botocore_oracle.json    botocore 1.44.5: awkward keys in S3, both forms, path and virtual-host addressing

Each suite is one test, which goes on after a failure and then names every case that failed.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from cdn_sigv4 import sigv4

if TYPE_CHECKING:
    from pathlib import Path


class Checks:
    """The comparisons of one suite: how many there were, and what those that failed had to say."""

    def __init__(self) -> None:
        self.count = 0
        self.failed: list[str] = []

    def equal(self, name: str, got: object, expected: object) -> None:
        self._note(got == expected, f"{name}\n    got      {got!r}\n    expected {expected!r}")

    def differ(self, name: str, got: object, refused: object) -> None:
        self._note(got != refused, f"{name}\n    is {got!r}, which is wrong")

    def _note(self, passed: bool, text: str) -> None:
        self.count += 1
        if not passed:
            self.failed.append(text)

    def settle(self, count: int) -> None:
        """Raise AssertionError for any failure, and unless exactly `count` comparisons were made."""
        assert not self.failed, "\n".join([f"{len(self.failed)} of {self.count} checks failed", *self.failed])
        assert self.count == count


class RawRequest(NamedTuple):
    """A request as the suites write it: nothing is percent-encoded in its path."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: list[tuple[str, str]]
    body: bytes

    def headers_without(self, *names: str) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.headers if name.lower() not in names]

    def header(self, wanted: str) -> str | None:
        return next((value for name, value in self.headers if name.lower() == wanted), None)


def parse(text: str) -> RawRequest:
    """Read a raw request with LF line ends; a header line that starts with a blank goes on with the one before."""
    head, _, body = text.partition("\n\n")
    first, *lines = head.rstrip("\n").split("\n")
    method, _, rest = first.partition(" ")
    path, _, query = rest.rpartition(" ")[0].partition("?")
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    headers: list[tuple[str, str]] = []
    for line in lines:
        if line[0] in " \t":
            name, value = headers.pop()
            headers.append((name, f"{value}\n{line}"))
        else:
            name, _, value = line.partition(":")
            headers.append((name, value))
    return RawRequest(method, path, [(unquote(n), unquote(v)) for n, _, v in pairs], headers, body.encode("utf-8"))


def load(folder: Path, name: str) -> dict[str, Any]:
    suite: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return suite


def credentials_of(values: dict[str, str], token: str | None = None) -> sigv4.Credentials:
    return sigv4.Credentials(values["access_key_id"], values["secret_access_key"], token)


def scope_of(context: dict[str, Any]) -> sigv4.Scope:
    timestamp = context["timestamp"].replace("-", "").replace(":", "")
    return sigv4.Scope(timestamp, context["region"], context["service"])


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def signed_headers_in(authorization: str) -> str:
    return authorization.partition("SignedHeaders=")[2].partition(",")[0]


def signature_in(authorization: str) -> str:
    return authorization.partition("Signature=")[2]


# --- any service -----------------------------------------------------------------------------------------------------


def test_aws_c_auth_suite(vectors: Path) -> None:
    """All 38 cases of AWS's own C library agree in both forms: ten checkpoints each."""
    cases = load(vectors, "sigv4_suite_aws_c_auth.json")["cases"]
    assert len({case["name"] for case in cases}) == 38
    checks = Checks()
    for case in cases:
        _aws_c_auth_header_form(checks, case)
        _aws_c_auth_presigned_form(checks, case)
    checks.settle(38 * 10)


def _aws_c_auth_uri(path: str, context: dict[str, Any]) -> str:
    """The suite's paths are unencoded: normalise and encode them once, or only encode where `normalize` is false."""
    return sigv4.canonical_uri(path, context["service"]) if context["normalize"] else sigv4.uri_encode_path(path)


def _aws_c_auth_credentials(context: dict[str, Any]) -> sigv4.Credentials:
    """With `omit_session_token` the token joins the request after signing: the signer never hears of it."""
    omitted = context.get("omit_session_token", False)
    return credentials_of(context["credentials"], None if omitted else context["credentials"].get("token"))


def _aws_c_auth_header_form(checks: Checks, case: dict[str, Any]) -> None:
    name, context, request = f"{case['name']}, header form", case["context"], parse(case["request"])
    credentials, scope = _aws_c_auth_credentials(context), scope_of(context)
    payload_hash = sha256(request.body)
    headers = list(request.headers)
    if context["sign_body"]:
        headers.append(("x-amz-content-sha256", payload_hash))
    uri, query = _aws_c_auth_uri(request.path, context), sigv4.canonical_query(request.query)

    added = sigv4.sign_headers(credentials, scope, request.method, uri, query, headers, payload_hash)
    authorization = added.pop("Authorization")
    canonical, signed = sigv4.canonical_request(request.method, uri, query, [*headers, *added.items()], payload_hash)
    to_sign = sigv4.string_to_sign(scope, canonical)

    expected = parse(case["header_signed_request"]).header("authorization") or ""
    checks.equal(f"{name}: canonical request", canonical, case["header_canonical_request"])
    checks.equal(f"{name}: signed headers", signed, signed_headers_in(expected))
    checks.equal(f"{name}: string to sign", to_sign, case["header_string_to_sign"])
    checks.equal(f"{name}: signature", sigv4.signature(credentials, scope, to_sign), case["header_signature"])
    checks.equal(f"{name}: Authorization", authorization, expected)


def _aws_c_auth_presigned_form(checks: Checks, case: dict[str, Any]) -> None:
    name, context, request = f"{case['name']}, presigned form", case["context"], parse(case["request"])
    credentials, scope = _aws_c_auth_credentials(context), scope_of(context)
    payload_hash = sha256(request.body)
    uri = _aws_c_auth_uri(request.path, context)

    sent = sigv4.sign_query(
        credentials,
        scope,
        request.method,
        uri,
        request.query,
        request.headers,
        payload_hash,
        expires_in=context["expiration_in_seconds"],
    )
    query = sent.partition("&X-Amz-Signature=")[0]
    canonical, signed = sigv4.canonical_request(request.method, uri, query, request.headers, payload_hash)
    to_sign = sigv4.string_to_sign(scope, canonical)
    pairs = parse_qsl(sent, keep_blank_values=True)
    if context.get("omit_session_token", False):
        pairs.append(("X-Amz-Security-Token", context["credentials"]["token"]))

    expected = parse(case["query_signed_request"]).query
    checks.equal(f"{name}: canonical request", canonical, case["query_canonical_request"])
    checks.equal(f"{name}: signed headers", signed, dict(expected)["X-Amz-SignedHeaders"])
    checks.equal(f"{name}: string to sign", to_sign, case["query_string_to_sign"])
    checks.equal(f"{name}: signature", sigv4.signature(credentials, scope, to_sign), case["query_signature"])
    checks.equal(f"{name}: query", sorted(pairs), sorted(expected))


def test_botocore_suite(vectors: Path) -> None:
    """All 34 cases of botocore's copy of the suite agree, repeated query names included: five checkpoints each."""
    suite = load(vectors, "sigv4_suite_botocore.json")
    assert len({case["name"] for case in suite["cases"]}) == 34
    checks = Checks()
    for case in suite["cases"]:
        _botocore_case(checks, suite["context"], case)
    checks.settle(34 * 5)


def _botocore_case(checks: Checks, context: dict[str, Any], case: dict[str, Any]) -> None:
    """`authz` is compared, not `sreq`: get-vanilla-with-session-token.sreq has the signature of get-vanilla."""
    name, request, scope = case["name"], parse(case["req"]), scope_of(context)
    token = case.get("session_token") or request.header("x-amz-security-token")
    credentials = credentials_of(context, token)
    headers = request.headers_without("x-amz-date", "x-amz-security-token")  # the signer adds both
    uri, query = sigv4.canonical_uri(request.path, context["service"]), sigv4.canonical_query(request.query)
    payload_hash = sha256(request.body)

    added = sigv4.sign_headers(credentials, scope, request.method, uri, query, headers, payload_hash)
    authorization = added.pop("Authorization")
    canonical, signed = sigv4.canonical_request(request.method, uri, query, [*headers, *added.items()], payload_hash)
    to_sign = sigv4.string_to_sign(scope, canonical)

    value = sigv4.signature(credentials, scope, to_sign)
    checks.equal(f"{name}: canonical request", canonical, case["creq"])
    checks.equal(f"{name}: signed headers", signed, signed_headers_in(case["authz"]))
    checks.equal(f"{name}: string to sign", to_sign, case["sts"])
    checks.equal(f"{name}: signature", value, signature_in(case["authz"]))
    checks.equal(f"{name}: Authorization", authorization, case["authz"])


# --- S3's examples ---------------------------------------------------------------------------------------------------


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
        "<sha256('')>": sigv4.EMPTY_SHA256,
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
