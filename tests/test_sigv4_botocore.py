"""The signer against botocore, the AWS SDK's own, on random requests: both forms, for S3 and for any other service.

There are no figures here: botocore, a development dependency, signs each request beside the package, at the same time
and under the same key, and the two must agree. It is given its URL by `urllib.parse.quote`, unsorted, so that nothing
the package has made reaches it. The examples are the same in every run (`derandomize`).

Where botocore cannot follow, the requests leave out what it cannot do:

- Its presigned form reads the query into a dict and drops repeated names: there, names are unique.
- Its presigned form moves a body into the query, and for S3 never signs one: there, bodies are empty.
- It never signs User-Agent, Expect, Transfer-Encoding and the like; the package signs whatever it is given, and its
  callers choose. It reads a header Date as the request's time. All random headers are therefore x-test-…
- It chooses S3's rules by the signer's class, the package by the service's name: random services are never "s3".
"""

from __future__ import annotations

import calendar
import hashlib
import string
from datetime import datetime
from typing import NamedTuple
from urllib.parse import parse_qsl, quote

import botocore.auth
import botocore.credentials
from botocore.awsrequest import AWSRequest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit_auth import clock_of_botocore

from cdn_sigv4 import Credentials, hashes, sigv4

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=150)

LETTERS = string.ascii_lowercase + string.digits
PRINTABLE = "".join(map(chr, range(0x21, 0x7F)))
AWKWARD = [
    *("/", "//", ".", "..", "/.", "/..", "/../", "/./", "...", "~", "-", "_", "*", "'", "()", "!", ":", "@", "$", ";"),
    *(" ", "  ", "+", "%", "%20", "%2F", "%2f", "%2e%2e", "%%", "?", "#", "&", "=", ",", "\\", '"', "[", "]", "|", "^"),
    *("\x00", "\x01", "\t", "\n", "\r", "\x7f", "\x85", "\xa0", "\u2028"),
    *("ü", "u\u0308", "日本", "キ", "🤖", "👩\u200d🚀"),
]
UNICODE = st.characters(exclude_categories=["Cs"])
TEXTS = st.lists(st.sampled_from(AWKWARD) | st.text(UNICODE, max_size=6), max_size=8).map("".join)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), max_size=6)
REPEATED_PAIRS = PAIRS | st.lists(st.tuples(st.sampled_from(["a", "a-b", "a=", "A"]), TEXTS), max_size=6)
UNIQUE_PAIRS = st.lists(st.tuples(TEXTS, TEXTS), max_size=6, unique_by=lambda pair: pair[0])
HEADERS = st.lists(
    st.tuples(st.text(LETTERS + "-", max_size=4).map("X-Test-{}".format), st.text(PRINTABLE + " \t", max_size=12)),
    max_size=5,
)
SECRETS = st.text(PRINTABLE + "  äß秘🔑", min_size=1, max_size=40).map(str.strip).filter(bool)
TOKENS = st.none() | st.text(PRINTABLE, min_size=1, max_size=60)
SERVICES = st.text(LETTERS + "-", min_size=1, max_size=12).filter(lambda name: name not in sigv4.S3_SERVICES)
ORIGINS = ["https://bucket.s3.amazonaws.com", "http://localhost:9000", "http://[::1]:9000", "https://10.0.0.1:8443"]


class Case(NamedTuple):
    """A random request, and who signs it when."""

    method: str
    origin: str
    path: str  # not encoded
    pairs: list[tuple[str, str]]
    headers: list[tuple[str, str]]
    body: bytes
    access_key: str
    secret_key: str
    session_token: str | None
    region: str
    service: str
    moment: datetime
    expires_in: int

    @property
    def host(self):
        return self.origin.partition("://")[2]

    @property
    def credentials(self):
        return Credentials(self.access_key, self.secret_key, self.session_token)

    @property
    def scope(self):
        seconds = calendar.timegm(self.moment.timetuple()) + self.moment.microsecond / 1e6
        return sigv4.Scope(sigv4.format_timestamp(seconds), self.region, self.service)

    @property
    def uri(self):
        return sigv4.canonical_uri(sigv4.uri_encode_path(self.path), self.service)

    @property
    def payload_hash(self):
        return hashlib.sha256(self.body).hexdigest()


def cases(services, pairs, bodies):
    return st.builds(
        Case,
        method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS"]),
        origin=st.sampled_from(ORIGINS),
        path=TEXTS.map("/{}".format),
        pairs=pairs,
        headers=HEADERS,
        body=bodies,
        access_key=st.text(PRINTABLE.replace(",", "").replace("=", ""), min_size=1, max_size=24),
        secret_key=SECRETS,
        session_token=TOKENS,
        region=st.text(LETTERS + "-", min_size=1, max_size=12),
        service=services,
        moment=st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2106, 2, 7)),  # noqa: DTZ001 (as botocore)
        expires_in=st.integers(1, 604_800),
    )


def in_header_form(services):
    return given(case=cases(services, REPEATED_PAIRS, st.binary(max_size=40)))


def in_presigned_form(services):
    return given(case=cases(services, UNIQUE_PAIRS, st.just(b"")))


def signed_by_botocore(case, signer, **options):
    query = "&".join([f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in case.pairs])
    url = f"{case.origin}{quote(case.path, safe='/')}"
    request = AWSRequest(case.method, f"{url}?{query}" if query else url, data=case.body)
    for name, value in case.headers:
        request.headers[name] = value  # adds another one, if there is one of that name
    credentials = botocore.credentials.Credentials(case.access_key, case.secret_key, case.session_token)
    with clock_of_botocore(case.moment):
        signer(credentials, case.service, case.region, **options).add_auth(request)
    return request


def check_header_form(case, signer, own_headers):
    """Compare the headers which the two add to one request."""
    theirs = signed_by_botocore(case, signer).headers
    ours = sigv4.sign_headers(
        case.credentials,
        case.scope,
        case.method,
        case.uri,
        sigv4.canonical_query(case.pairs),
        [("Host", case.host), *case.headers, *own_headers],
        case.payload_hash,
    )
    tests = {name.lower() for name, _ in case.headers}
    added = {name.lower(): value for name, value in theirs.items() if name.lower() not in tests}
    assert {name.lower(): value for name, value in [*ours.items(), *own_headers]} == added


def check_presigned_form(case, signer, payload_hash):
    """Compare the URLs which the two make of one request; the order of the parameters may differ."""
    theirs = signed_by_botocore(case, signer, expires=case.expires_in).url
    ours = sigv4.sign_query(
        case.credentials,
        case.scope,
        case.method,
        case.uri,
        case.pairs,
        [("Host", case.host), *case.headers],
        payload_hash,
        expires_in=case.expires_in,
    )
    url, _, query = theirs.partition("?")
    assert f"{case.origin}{sigv4.uri_encode_path(case.path)}" == url
    assert sorted(ours.split("&")) == sorted(query.split("&"))
    assert len(parse_qsl(ours, keep_blank_values=True)) == len(case.pairs) + (6 if case.session_token is None else 7)


@same_each_run
@in_header_form(st.just("s3"))
def test_s3_header_form(case):
    """For S3 the Authorization header and all that goes with it are botocore's, whatever key, query, headers, body."""
    own_headers = [("X-Amz-Content-SHA256", case.payload_hash)]
    check_header_form(case, botocore.auth.S3SigV4Auth, own_headers)


@same_each_run
@in_presigned_form(st.just("s3"))
def test_s3_presigned_form(case):
    """For S3 the presigned URL has botocore's path, parameters and signature."""
    check_presigned_form(case, botocore.auth.S3SigV4QueryAuth, sigv4.UNSIGNED_PAYLOAD)


@same_each_run
@in_header_form(SERVICES)
def test_generic_header_form(case):
    """For any other service, with its normalised and twice encoded path, the Authorization header is botocore's."""
    check_header_form(case, botocore.auth.SigV4Auth, [])


@same_each_run
@in_presigned_form(SERVICES)
def test_generic_presigned_form(case):
    """For any other service the presigned URL has botocore's path, parameters and signature."""
    check_presigned_form(case, botocore.auth.SigV4QueryAuth, hashes.EMPTY_SHA256)
