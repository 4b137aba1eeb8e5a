"""The signer against two published suites (38 cases in both forms, 34 in the header form), at every checkpoint.

    sigv4_suite_aws_c_auth.json     awslabs/aws-c-auth, tests/aws-signing-test-suite/v4: any service, both forms
    sigv4_suite_botocore.json       boto/botocore, tests/unit/auth/aws4_testsuite: any service, header form

Each suite is one test, which goes on after a failure and then names every case that failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, unquote

from kit_vectors import Checks, credentials_of, load, scope_of, sha256, signature_in, signed_headers_in

from cdn_sigv4 import Credentials, sigv4

if TYPE_CHECKING:
    from pathlib import Path


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


def _aws_c_auth_credentials(context: dict[str, Any]) -> Credentials:
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
