"""The small pieces of the signer, one by one: encoding, sorting, normalising, times, keys.

The expectations come from the rules, not from the code: RFC 3986 (2.3 unreserved characters, 5.2.4 dot segments), the
pages that `cdn_sigv4/sigv4.py` names, `urllib.parse`, `hmac`, and for the normalised path botocore. Whole requests are
in the other three files: printed examples, published suites, botocore.
"""

import hashlib
import hmac
import itertools
import random
import string
import time
from urllib.parse import parse_qsl, quote, unquote_to_bytes

import botocore.utils
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdn_sigv4 import Credentials, hashes, sigv4

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=200)

UNRESERVED = string.ascii_letters + string.digits + "-._~"
CREDENTIALS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
SCOPE = sigv4.Scope("20150830T123600Z", "us-east-1", "s3")
HEADERS = [("Host", "store.example:9000"), ("x-amz-content-sha256", hashes.EMPTY_SHA256)]


def sign_headers(credentials=CREDENTIALS, scope=SCOPE):
    return sigv4.sign_headers(credentials, scope, "GET", "/key", "", HEADERS, hashes.EMPTY_SHA256)


def sign_query(expires_in=60, *, credentials=CREDENTIALS, scope=SCOPE, pairs=()):
    host = [("Host", "store.example:9000")]
    return sigv4.sign_query(credentials, scope, "GET", "/key", pairs, host, "UNSIGNED-PAYLOAD", expires_in=expires_in)


def hmac_sha256(key, text):
    return hmac.new(key, text.encode("utf-8"), hashlib.sha256).digest()


def key_by_hand(secret, date, region, service):
    """The signing key as AWS writes it down, without the package's cache."""
    key = b"AWS4" + secret.encode("utf-8")
    for text in (date, region, service, "aws4_request"):
        key = hmac_sha256(key, text)
    return key


def signature(secret, date, region, service):
    """The package's signature of the word `text`."""
    scope = sigv4.Scope(SCOPE.timestamp, region, service)
    scope.date = date
    return sigv4.signature(Credentials("AK", secret), scope, "text")


@pytest.mark.parametrize(
    ("encode", "kept"),
    [
        pytest.param(sigv4.uri_encode, UNRESERVED, id="uri_encode"),
        pytest.param(sigv4.uri_encode_path, UNRESERVED + "/", id="uri_encode_path"),
    ],
)
def test_every_byte_is_kept_or_encoded_in_upper_case(encode, kept):
    """Each of the 256 bytes is kept when it is unreserved (in a path: or `/`), else encoded as %XX."""
    expected = [chr(byte) if chr(byte) in kept else f"%{byte:02X}" for byte in range(256)]
    assert [encode(bytes([byte])) for byte in range(256)] == expected
    assert encode(bytes(range(256))) == "".join(expected)
    assert sum(len(text) == 1 for text in expected) == len(kept)


@same_each_run
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
@example(text="")
@example(text="a b+c%20%2F/../~*'()!")
@example(text="u\u0308 ü 日本語 🤖 \x00\x7f\x80\u2028")
def test_text_comes_back_from_its_encoded_form(text):
    """Decoding gives back the very UTF-8 bytes, neither normalised nor folded; text and its bytes encode alike."""
    data = text.encode("utf-8")
    assert unquote_to_bytes(sigv4.uri_encode(text)) == unquote_to_bytes(sigv4.uri_encode_path(text)) == data
    assert sigv4.uri_encode(text) == sigv4.uri_encode(data) == quote(text, safe="")
    assert sigv4.uri_encode_path(text) == sigv4.uri_encode_path(data) == quote(text, safe="/")


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\ud83d\ude00"], ids=ascii)
@pytest.mark.parametrize(
    "encode",
    [
        pytest.param(sigv4.uri_encode, id="uri_encode"),
        pytest.param(sigv4.uri_encode_path, id="uri_encode_path"),
        pytest.param(lambda text: sigv4.canonical_query([(text, "v")]), id="query name"),
        pytest.param(lambda text: sigv4.canonical_query([("n", text)]), id="query value"),
    ],
)
def test_surrogates_are_refused(encode, text):
    """A lone surrogate, even one of a pair, has no UTF-8 form and is a ValueError."""
    with pytest.raises(ValueError, match="surrogates not allowed"):
        encode(text)


@pytest.mark.parametrize(
    ("pairs", "expected"),
    [
        pytest.param([("lifecycle", "")], "lifecycle=", id="no value"),
        pytest.param([("a", ""), ("a", "")], "a=&a=", id="the same twice"),
        pytest.param([("a&b", "c=d")], "a%26b=c%3Dd", id="separators"),
        pytest.param([("a", "%2F")], "a=%252F", id="percent sign"),
        pytest.param([("k", "b"), ("k", "a"), ("k", "B"), ("k", "")], "k=&k=B&k=a&k=b", id="repeated, by value"),
        # As whole strings `a-b=1` would stand before `a=2`, for `-` (2D) is before `=` (3D); by name it is after.
        pytest.param([("a-b", "1"), ("a", "2")], "a=2&a-b=1", id="name before its extension"),
        pytest.param([("a-b", "1"), ("a=", "2"), ("a", "3")], "a=3&a%3D=2&a-b=1", id="by encoded name"),
        # Before encoding `~` (7E) is before `é`; encoded, `%` (25) is before all letters.
        pytest.param([("~", "1"), ("é", "2"), ("A", "3")], "%C3%A9=2&A=3&~=1", id="non-ASCII first"),
        pytest.param([("k", "a"), ("k", "é"), ("k", "/")], "k=%2F&k=%C3%A9&k=a", id="by encoded value"),
        pytest.param([(b"b", b"\xff"), ("a", b"2")], "a=2&b=%FF", id="bytes"),
    ],
)
def test_canonical_query(pairs, expected):
    """The query is encoded, then sorted by name and value, and every name has its `=`."""
    assert sigv4.canonical_query(pairs) == expected
    for order in itertools.permutations(pairs):
        assert sigv4.canonical_query(iter(order)) == expected


PATHS = {
    "": "/", "/": "/", "//": "/", "/.": "/", "/./": "/", "/..": "/", "/../": "/", "/../../a": "/a", "/a": "/a",
    "/a/": "/a/", "/a//": "/a/", "//a///b//": "/a/b/", "/a/./b": "/a/b", "/a/../b": "/b", "/a/../../b": "/b",
    "/a/b/..": "/a", "/a/b/../": "/a/", "/a/b/.": "/a/b", "/a/..": "/", "/a/../": "/", "/...": "/...",
    "/.a/..b/c.": "/.a/..b/c.", "/a/%2E%2E/b": "/a/%2E%2E/b", "/ /../ü": "/ü", "/a\\..\\b": "/a\\..\\b",
}  # fmt: skip


@pytest.mark.parametrize(("path", "expected"), PATHS.items(), ids=[repr(path) for path in PATHS])
def test_normalise_path(path, expected):
    """Dot segments and empty segments go, a last slash stays, and nothing climbs above the root."""
    assert sigv4.normalise_path(path) == expected
    assert sigv4.normalise_path(expected) == expected
    assert botocore.utils.normalize_url_path(path) == expected


@same_each_run
@given(path=st.lists(st.sampled_from(["/", "/", ".", "..", "a", "%2e", "ü", " "]), max_size=14).map("".join))
def test_normalise_path_agrees_with_botocore(path):
    """Any path from the root is normalised as botocore does it, and normalising again changes nothing."""
    normal = sigv4.normalise_path(f"/{path}")
    assert normal == botocore.utils.normalize_url_path(f"/{path}")
    assert sigv4.normalise_path(normal) == normal
    assert not {"", ".", ".."} & set(normal.strip("/").split("/")) or normal == "/"


@pytest.mark.parametrize(
    ("path", "in_s3", "elsewhere"),
    [
        ("", "/", "/"),
        ("/", "/", "/"),
        ("/a%20b", "/a%20b", "/a%2520b"),
        ("/a/../b", "/a/../b", "/b"),
        ("//a//b/", "//a//b/", "/a/b/"),
        ("/./.", "/./.", "/"),
        ("/a%2F..%2Fb", "/a%2F..%2Fb", "/a%252F..%252Fb"),
        ("/~a-._*", "/~a-._*", "/~a-._%2A"),
    ],
)
def test_canonical_uri(path, in_s3, elsewhere):
    """S3 signs the path as it is sent; every other service signs it normalised and encoded once more."""
    assert sigv4.canonical_uri(path, "s3") == in_s3
    assert sigv4.canonical_uri(path, "execute-api") == elsewhere


@pytest.mark.parametrize(
    ("headers", "block", "signed"),
    [
        pytest.param([("Host", "Store.Example")], "host:Store.Example\n", "host", id="the value's case stays"),
        pytest.param([("x-b", "1"), ("x", "2"), ("xa", "3")], "x:2\nx-b:1\nxa:3\n", "x;x-b;xa", id="sorted by name"),
        pytest.param([("a", "\tb\t ")], "a:b\n", "a", id="trimmed of tabs"),
        pytest.param([("a", "b   c  d")], "a:b c d\n", "a", id="collapsed"),
        pytest.param([("a", '"b   c"')], 'a:"b c"\n', "a", id="collapsed in quotes"),
        pytest.param([("a", "b\n  c")], "a:b c\n", "a", id="folded line"),
        pytest.param([("a", "   ")], "a:\n", "a", id="blank"),
        pytest.param([("a", "2"), ("A", "1"), ("a", "2")], "a:2,1,2\n", "a", id="repeated, in order"),
        pytest.param([("a", " b  c "), ("A", " d ")], "a:b c,d\n", "a", id="repeated, each trimmed"),
    ],
)
def test_canonical_headers(headers, block, signed):
    """Names are lower case and sorted, values trimmed and collapsed, those of a repeated name joined in order."""
    assert sigv4.canonical_headers(headers) == sigv4.canonical_headers(iter(headers)) == (block, signed)


def test_canonical_request_is_six_parts():
    """Method, path, query, header block, signed headers and payload hash stand in this order, a blank line between."""
    assert sigv4.canonical_request("GET", "/k", "a=1", [("Host", "h"), ("A", "b")], "UNSIGNED-PAYLOAD") == (
        "GET\n/k\na=1\na:b\nhost:h\n\na;host\nUNSIGNED-PAYLOAD",
        "a;host",
    )


TIMES = [
    (0.999, "19700101T000000Z"), (951_826_440, "20000229T121400Z"), (1_704_067_199.999, "20231231T235959Z"),
    (1_704_067_200, "20240101T000000Z"), (2**31, "20380119T031408Z"),
]  # fmt: skip


@pytest.fixture(params=["UTC", "Pacific/Kiritimati", "America/New_York"])
def time_zone(request, monkeypatch):
    """Set the local time zone: 14 hours ahead of UTC, behind it with summer time, or UTC itself."""
    if not hasattr(time, "tzset"):
        pytest.skip("this system cannot change the time zone of a running program")
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield request.param
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(("seconds", "expected"), TIMES)
def test_format_timestamp(seconds, expected, time_zone):
    """The time is cut to whole seconds, never rounded up into the next day, and in UTC wherever the machine is."""
    assert sigv4.format_timestamp(seconds) == expected


@pytest.mark.parametrize(
    ("seconds", "timestamp", "date"),
    [
        pytest.param(1_704_067_199.999, "20231231T235959Z", "20231231", id="before"),
        pytest.param(1_704_067_200.0, "20240101T000000Z", "20240101", id="after"),
    ],
)
def test_one_time_makes_date_scope_and_key(seconds, timestamp, date):
    """On both sides of midnight the date header, the scope and the signing key are of the same day."""
    scope = sigv4.Scope(sigv4.format_timestamp(seconds), "eu-central-1", "s3")
    assert (scope.timestamp, scope.date) == (timestamp, date)
    assert str(scope) == scope.text == f"{date}/eu-central-1/s3/aws4_request"

    dated = [*HEADERS, ("x-amz-date", timestamp)]
    canonical, signed = sigv4.canonical_request("GET", "/key", "", dated, hashes.EMPTY_SHA256)
    to_sign = sigv4.string_to_sign(scope, canonical)
    assert to_sign.split("\n")[1:3] == [timestamp, str(scope)]
    value = hmac_sha256(key_by_hand(CREDENTIALS.secret_key, date, "eu-central-1", "s3"), to_sign).hex()
    assert sign_headers(scope=scope) == {
        "x-amz-date": timestamp,
        "Authorization": (
            f"AWS4-HMAC-SHA256 Credential={CREDENTIALS.access_key}/{scope}, SignedHeaders={signed}, Signature={value}"
        ),
    }

    parameters = dict(parse_qsl(sign_query(scope=scope)))
    assert parameters["X-Amz-Date"] == timestamp
    assert parameters["X-Amz-Credential"] == f"{CREDENTIALS.access_key}/{scope}"


def test_header_form_signs_the_session_token():
    """Temporary credentials add their token as a header, and it is a signed one."""
    added = sign_headers(Credentials("AK", "secret", "TOKEN/+=="))
    assert set(added) == {"x-amz-date", "x-amz-security-token", "Authorization"}
    assert added["x-amz-security-token"] == "TOKEN/+=="
    signed = "SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,"
    assert signed in added["Authorization"]


def test_presigned_form_signs_the_session_token():
    """Temporary credentials add their token as a query parameter, and it is a signed one: it stands before the end."""
    query = sign_query(credentials=Credentials("AK", "secret", "TOKEN/+=="))
    signed, _, value = query.rpartition("&X-Amz-Signature=")
    assert "&X-Amz-Security-Token=TOKEN%2F%2B%3D%3D&" in signed
    host = [("Host", "store.example:9000")]
    for token, agrees in [("TOKEN%2F%2B%3D%3D", True), ("TOKEN", False)]:
        changed = signed.replace("TOKEN%2F%2B%3D%3D", token)
        canonical, _ = sigv4.canonical_request("GET", "/key", changed, host, "UNSIGNED-PAYLOAD")
        to_sign = sigv4.string_to_sign(SCOPE, canonical)
        key = key_by_hand("secret", "20150830", "us-east-1", "s3")
        assert (hmac_sha256(key, to_sign).hex() == value) is agrees


@pytest.mark.parametrize("seconds", [1, 604_800])
def test_expires_in_within_bounds(seconds):
    """From one second to seven days is taken as it is."""
    assert dict(parse_qsl(sign_query(seconds)))["X-Amz-Expires"] == str(seconds)


@pytest.mark.parametrize("seconds", [0, -1, 604_801, True, False, 1.5, 60.0, "60", b"60", None, float("nan")], ids=repr)
def test_expires_in_out_of_bounds(seconds):
    """Anything but a whole number from one second to seven days is a ValueError that names the bounds."""
    with pytest.raises(ValueError, match="from 1 to 604800") as caught:
        sign_query(seconds)
    assert repr(seconds) in str(caught.value)


def test_cache_of_signing_keys_is_bounded():
    """However many secrets and days there are, only a few keys stay in memory, and every signature is the right one."""
    limit = sigv4._begun.cache_info().maxsize
    assert limit is not None
    assert 1 <= limit <= 64
    wanted = [(f"secret {i}", f"201508{day:02d}", "us-east-1", "s3") for i in range(20) for day in (1, 2, 3, 4)]
    wanted *= 3
    random.Random(0).shuffle(wanted)
    for secret, *place in wanted:
        assert signature(secret, *place) == hmac_sha256(key_by_hand(secret, *place), "text").hex()
        assert sigv4._begun.cache_info().currsize <= limit


def test_signing_keys_are_never_shared():
    """Four arguments that only run together alike, or differ in one place, have different keys: cached or not."""
    base = ("secret", "20150830", "us-east-1", "s3")
    others = [
        ("Secret", "20150830", "us-east-1", "s3"),
        ("secret", "20150831", "us-east-1", "s3"),
        ("secret", "20150830", "us-east-2", "s3"),
        ("secret", "20150830", "us-east-1", "s4"),
        ("secret2", "0150830", "us-east-1", "s3"),
        ("secret", "20150830u", "s-east-1", "s3"),
        ("secret", "20150830", "us-east-1s", "3"),
    ]
    for _ in range(2):
        for arguments in [base, *others]:
            assert sigv4.signing_key(*arguments) == key_by_hand(*arguments)
            assert signature(*arguments) == hmac_sha256(key_by_hand(*arguments), "text").hex()
    assert len({sigv4.signing_key(*arguments) for arguments in [base, *others]}) == 8
