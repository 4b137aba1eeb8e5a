"""What is asked of S3: endpoints, names, headers, ranges, and the request that is signed and sent as one string.

Traps: dot segments and strict bucket names (1), one path for signature and wire (2), keys without a UTF-8 form (4),
what S3 encodes (5), Host as it is sent (12), only what must be signed (13), header values (14), `//` in a base path,
`minio:9000`, addressing of an IP address or of a dotted bucket over TLS (DESIGN, "More of what other stores do").
"""

from __future__ import annotations

import sys
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdn_sigv4 import answers, s3
from cdn_sigv4.endpoint import Endpoint, is_ip_address
from cdn_sigv4.sigv4 import EMPTY_SHA256, Credentials, Scope, sign_headers, sign_query

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=200)

CREDENTIALS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
TIMESTAMP = "20150830T123600Z"
KEYS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=250)
AWKWARD_KEYS = [
    "/lead",
    "a/../b",
    "../other/secret",
    ".",
    "a//b",
    "a/./b",
    "%2e%2e/x",
    "a?b#c&d=e",
    "a b+c",
    "ü日🤖",
    "~",
]


# --- endpoint --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "scheme", "authority", "base_path"),
    [
        pytest.param("https://h", "https", "h", "", id="plain"),
        pytest.param("http://h:80", "http", "h", "", id="http's own port is not in Host"),
        pytest.param("https://h:443", "https", "h", "", id="https' own port is not in Host"),
        pytest.param("http://h:443", "http", "h:443", "", id="http with the port of https"),
        pytest.param("https://h:80", "https", "h:80", "", id="https with the port of http"),
        pytest.param("http://h:", "http", "h", "", id="colon without a port"),
        pytest.param("http://h:65535", "http", "h:65535", "", id="largest port"),
        pytest.param("http://h:09000", "http", "h:9000", "", id="port with a leading zero"),
        pytest.param("minio:9000", "https", "minio:9000", "", id="host and port mean https"),
        pytest.param("localhost", "https", "localhost", "", id="a host alone means https"),
        pytest.param("10.0.0.7:9000/s3", "https", "10.0.0.7:9000", "/s3", id="address, port and path mean https"),
        pytest.param("HTTP://Store.EXAMPLE/Base", "http", "store.example", "/Base", id="only the path keeps its case"),
        pytest.param("http://[::1]:9000", "http", "[::1]:9000", "", id="IPv6 with port"),
        pytest.param("[2001:DB8::1]", "https", "[2001:db8::1]", "", id="IPv6 alone"),
        pytest.param("http://[::ffff:10.0.0.7]:80", "http", "[::ffff:10.0.0.7]", "", id="IPv4 inside IPv6"),
        pytest.param("http://my_minio-1:9000", "http", "my_minio-1:9000", "", id="container name with underscore"),
        pytest.param("http://xn--bcher-kva.example", "http", "xn--bcher-kva.example", "", id="xn-- form"),
        pytest.param("http://h/", "http", "h", "", id="slash at the end"),
        pytest.param("http://h/a/b/", "http", "h", "/a/b", id="base path with a slash at the end"),
        pytest.param("http://h/a%20b", "http", "h", "/a%20b", id="encoded path is not encoded twice"),
        pytest.param("http://h/(a)*~", "http", "h", "/%28a%29%2A~", id="path is encoded as it is signed"),
        pytest.param("http://h/%7e/%c3%bc", "http", "h", "/~/%C3%BC", id="path in canonical form"),
        pytest.param("http://h/ü", "http", "h", "/%C3%BC", id="path in UTF-8"),
    ],
)
def test_endpoint(url: str, scheme: str, authority: str, base_path: str) -> None:
    """An endpoint is scheme, Host and base path; only `://` marks a scheme; put together it is the same again."""
    endpoint = Endpoint(url)
    assert (endpoint.scheme, endpoint.authority, endpoint.base_path) == (scheme, authority, base_path)
    assert endpoint.addressing == "path"
    assert str(endpoint) == f"{scheme}://{authority}{base_path}"
    assert repr(endpoint) == f"Endpoint('{scheme}://{authority}{base_path}', 'path')"
    assert str(Endpoint(str(endpoint))) == str(endpoint)


BLANK = "blank or a control character"
END = "must end after its path"
HOST = "is not a host name"
PORT = "must be from 1 to 65535"
SEGMENTS = r"must not contain '\.', '\.\.' or '//'"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("", HOST, id="empty"),
        pytest.param("http://", HOST, id="no host"),
        pytest.param("https:///path", HOST, id="path without host"),
        pytest.param("//h", HOST, id="no scheme before the slashes"),
        pytest.param("://h", "unknown scheme ''", id="empty scheme"),
        pytest.param("ftp://h", "unknown scheme 'ftp'", id="ftp"),
        pytest.param("s3://bucket", "unknown scheme 's3'", id="s3"),
        pytest.param("http+unix://h", "unknown scheme", id="http+unix"),
        pytest.param("http://h?", END, id="empty query"),
        pytest.param("http://h?x=y", END, id="query"),
        pytest.param("http://h/p?x=y", END, id="query after path"),
        pytest.param("http://h#", END, id="empty fragment"),
        pytest.param("http://h/#x", END, id="fragment"),
        pytest.param(" http://h", BLANK, id="blank before"),
        pytest.param("http://h ", BLANK, id="blank after"),
        pytest.param("http://h/a b", BLANK, id="blank inside"),
        pytest.param("http://h\n", BLANK, id="line break at the end, as from a file"),
        pytest.param("http://h\r\nX-Evil: 1", BLANK, id="line break inside"),
        pytest.param("ht\ttp://h", BLANK, id="tab, which urlsplit would drop"),
        pytest.param("http://h\0", BLANK, id="NUL"),
        pytest.param("http://h\x7f", BLANK, id="DEL"),
        pytest.param("http://h\u00a0", BLANK, id="no-break space"),
        pytest.param("http://h\u200b", BLANK, id="zero-width space"),
        pytest.param("http://\ud800", BLANK, id="half a surrogate pair"),
        pytest.param("http://bücher.example", HOST, id="host outside ASCII"),
        pytest.param("http://h%41", HOST, id="encoded host"),
        pytest.param("http://h\\x", HOST, id="backslash"),
        pytest.param("http://[::1", HOST, id="bracket left open"),
        pytest.param("http://[fe80::1%25eth0]", "zone", id="IPv6 with encoded zone"),
        pytest.param("[fe80::1%eth0]:9000", "zone", id="IPv6 with zone"),
        pytest.param("http://h:0", "port", id="port 0"),
        pytest.param("http://h:65536", PORT, id="port 65536"),
        pytest.param("http://h:99999", PORT, id="port 99999"),
        pytest.param("http://h:-1", PORT, id="negative port"),
        pytest.param("http://h:http", PORT, id="port in letters"),
        pytest.param("http://h/..", SEGMENTS, id="dot-dot"),
        pytest.param("http://h/a/../b", SEGMENTS, id="dot-dot inside"),
        pytest.param("http://h/%2e%2e/b", SEGMENTS, id="encoded dot-dot"),
        pytest.param("http://h/./b", SEGMENTS, id="dot"),
        pytest.param("http://h/a//b", SEGMENTS, id="double slash"),
    ],
)
def test_endpoint_refuses(url: str, reason: str) -> None:
    """What could not be sent as it stands is refused, with the reason."""
    with pytest.raises(ValueError, match=reason):
        Endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://h:+80", id="plus sign"),
        pytest.param("http://h:9_0", id="underscore"),
        pytest.param("http://h:\uff19\uff10", id="full-width digits"),
        pytest.param("http://[::1]x:90", id="text behind the bracket"),
        pytest.param("http://[::1]]", id="a second bracket"),
        pytest.param("http://[v1.abc]", id="an address of the future"),
        pytest.param("http://[10.0.0.7]", id="IPv4 in brackets"),
    ],
)
def test_endpoint_refuses_what_urlsplit_lets_through(url: str) -> None:
    """No Python version's urlsplit decides what a host and a port are: what is signed is what was written."""
    with pytest.raises(ValueError, match="endpoint"):
        Endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://user:hunter2@h", id="user and password"),
        pytest.param("https://user:hunter2@h:9000/base", id="with port and path"),
        pytest.param("user:hunter2@h:9000", id="without scheme"),
        pytest.param("http://:hunter2@h", id="password alone"),
        pytest.param("http://hunter2@h", id="user alone"),
        pytest.param("ftp://user:hunter2@h", id="unknown scheme"),
        pytest.param("http://user:hunter2@h?x", id="query"),
        pytest.param("http://user:hunter2@h:0", id="port 0"),
        pytest.param("http://user:hunter2@h:99999", id="port 99999"),
        pytest.param("http://user:hunter2@bücher", id="host outside ASCII"),
        pytest.param("http://user:hunter2@", id="no host"),
        pytest.param("http://user:hunter2@[::1", id="bracket left open"),
        pytest.param("http://user:hunter2@[fe80::1%25eth0]", id="zone"),
        pytest.param("http://user:hunter2@h/..", id="dot-dot"),
        pytest.param("http://user:hunter2@h\n", id="line break"),
        pytest.param("http://user:a@hunter2@h", id="an @ in the password"),
        pytest.param("http://user:hunter2/x@h", id="a slash in the password"),
        pytest.param("http://user:hunter2#x@h", id="a hash in the password"),
        pytest.param("http://user:hunter2?x@h", id="a question mark in the password"),
        pytest.param("http://user:hunter2\u2100@h", id="a character that urlsplit dislikes in the password"),
        pytest.param("http://@h", id="empty user"),
    ],
)
def test_endpoint_refuses_a_password_and_does_not_repeat_it(url: str) -> None:
    """Keys belong into the credentials: a URL with any is refused, and no part of the password is in the text."""
    with pytest.raises(ValueError, match="endpoint") as caught:
        Endpoint(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize("url", [None, b"http://h", 9000], ids=repr)
def test_endpoint_must_be_text(url: object) -> None:
    """An endpoint that is no text is a TypeError."""
    with pytest.raises(TypeError, match="must be str"):
        Endpoint(url)


@pytest.mark.parametrize("addressing", ["", "Path", "host", None], ids=repr)
def test_addressing_is_one_of_two(addressing: object) -> None:
    """Nothing but "path" and "virtual" addresses a bucket."""
    with pytest.raises(ValueError, match="addressing must be"):
        Endpoint("http://h", addressing)


@pytest.mark.parametrize("url", ["http://10.0.0.7", "10.0.0.7:9000", "[::1]:9000", "http://127.0.0.1"])
def test_virtual_addressing_needs_a_name(url: str) -> None:
    """`bucket.10.0.0.7` is nobody's name; path addressing takes the same endpoint."""
    with pytest.raises(ValueError, match="IP address"):
        Endpoint(url, "virtual")
    assert Endpoint(url).addressing == "path"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("::1", True),
        ("10.0.0.7", True),
        ("1234", False),
        ("1.2.3", False),
        ("1.2.3.4.5", False),
        ("a.0.0.0", False),
        ("h", False),
        ("", False),
    ],
)
def test_ip_address(host: str, expected: bool) -> None:
    """Only four groups of digits, or a host with a colon, are taken for an IP address."""
    assert is_ip_address(host) is expected


# --- where a request goes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "addressing", "bucket", "key", "authority", "path"),
    [
        pytest.param("http://h:9000", "path", "buc", None, "h:9000", "/buc", id="bucket"),
        pytest.param("http://h", "path", "buc", "k", "h", "/buc/k", id="key"),
        pytest.param("http://h/base", "path", "buc", "k", "h", "/base/buc/k", id="base path"),
        pytest.param("http://h/base", "path", "buc", None, "h", "/base/buc", id="bucket below a base path"),
        pytest.param("https://h", "path", "b.c.d", "k", "h", "/b.c.d/k", id="dotted bucket in the path over TLS"),
        pytest.param("https://h:9000", "virtual", "buc", "k", "buc.h:9000", "/k", id="virtual"),
        pytest.param("https://h", "virtual", "buc", None, "buc.h", "/", id="virtual bucket"),
        pytest.param("https://h/base", "virtual", "buc", "k", "buc.h", "/base/k", id="virtual with a base path"),
        pytest.param("http://h", "virtual", "b.c.d", "k", "b.c.d.h", "/k", id="dotted bucket without TLS"),
        pytest.param("http://h", "virtual", "buc", "/lead", "buc.h", "//lead", id="virtual key with a slash before"),
        pytest.param("http://h", "path", "buc", "a/../b", "h", "/buc/a/../b", id="dot segments stay"),
        pytest.param("http://h", "path", "buc", "a//b/", "h", "/buc/a//b/", id="empty segments stay"),
        pytest.param("http://h", "path", "buc", "%2e ü+", "h", "/buc/%252e%20%C3%BC%2B", id="encoded once"),
        pytest.param("http://h", "path", "buc", "-_.~!*'();:@&=$,", "h",
                     "/buc/-_.~%21%2A%27%28%29%3B%3A%40%26%3D%24%2C", id="only the unreserved stay"),
    ],
)  # fmt: skip
def test_located(url: str, addressing: str, bucket: str, key: str | None, authority: str, path: str) -> None:
    """A bucket and a key become Host and path, by either addressing, encoded once and never tidied up."""
    assert s3.located(Endpoint(url, addressing), s3.Request("GET", bucket, key)) == (authority, path)


def test_a_dotted_bucket_is_no_virtual_host_over_tls() -> None:
    """No wildcard certificate covers `b.c.host`: refused where it is located, with the way out."""
    with pytest.raises(ValueError, match="addressing='path'"):
        s3.located(Endpoint("https://h", "virtual"), s3.Request("GET", "b.c", "k"))


@same_each_run
@given(key=KEYS)
@example(key="../otherbucket/secret")
@example(key="/")
@example(key="a/./b//c/../d")
def test_a_key_is_its_path(key: str) -> None:
    """Whatever the key: below the bucket's path stands its own UTF-8, in printable ASCII without `?` and `#`."""
    _, path = s3.located(Endpoint("http://h/base"), s3.Request("GET", "buc", key))
    assert path.startswith("/base/buc/")
    assert unquote_to_bytes(path[len("/base/buc/") :]) == key.encode()
    assert not set('?# \\"<>') & set(path)
    assert path.isascii()
    assert path.isprintable()
    assert path.count("/") == 3 + key.count("/")


def sent(key: str | None, **options: object) -> s3.SignedRequest:
    request = s3.Request("PUT", "buc", key, {"uploads": "", "a b": "ü"}, {"x-amz-acl": "private"})
    settings_ = {"credentials": CREDENTIALS, "region": "eu-west-1", "timestamp": TIMESTAMP, **options}
    return s3.signed(request, Endpoint("https://h:9000/base"), settings_.pop("credentials"), **settings_)


@pytest.mark.parametrize("key", [None, *AWKWARD_KEYS])
def test_signed_is_what_is_sent(key: str | None) -> None:
    """The target and the headers that go out are the ones that the signature covers, and it is the signer's."""
    signed = sent(key, payload_hash="0" * 64)
    path, _, query = signed.target.partition("?")
    assert path == s3.located(Endpoint("https://h:9000/base"), s3.Request("PUT", "buc", key))[1]
    assert query == "a%20b=%C3%BC&uploads="
    covered = [("host", "h:9000"), ("x-amz-acl", "private"), ("x-amz-content-sha256", "0" * 64)]
    scope = Scope(TIMESTAMP, "eu-west-1", "s3")
    added = sign_headers(CREDENTIALS, scope, "PUT", path, query, covered, "0" * 64)
    assert signed.headers == {**dict(covered), **added}
    assert "SignedHeaders=host;x-amz-acl;x-amz-content-sha256;x-amz-date," in added["Authorization"]
    assert (signed.method, signed.scheme, signed.authority) == ("PUT", "https", "h:9000")
    assert signed.url == f"https://h:9000{signed.target}"


def test_without_a_body_the_hash_is_that_of_nothing() -> None:
    """The payload hash is always signed: without a body it is the SHA-256 of no bytes."""
    assert sent("k").headers["x-amz-content-sha256"] == EMPTY_SHA256


def test_a_session_token_is_signed() -> None:
    """Temporary credentials send their token, and sign it."""
    headers = sent("k", credentials=Credentials("AKID", "secret", "token")).headers
    assert headers["x-amz-security-token"] == "token"
    assert "x-amz-security-token," in headers["Authorization"]


def test_anonymous_requests_carry_no_signature() -> None:
    """Without credentials there is Host and what was asked for, and nothing that looks like a signature."""
    signed = sent("k", credentials=None)
    assert signed.headers == {"host": "h:9000", "x-amz-acl": "private"}
    assert signed.target == "/base/buc/k?a%20b=%C3%BC&uploads="


def test_without_a_query_the_target_has_no_question_mark() -> None:
    """A target ends after its path where there is no query."""
    request = s3.Request("GET", "buc", "k")
    signed = s3.signed(request, Endpoint("http://h"), None, region="us-east-1", timestamp=TIMESTAMP)
    assert signed.target == "/buc/k"
    assert signed.url == "http://h/buc/k"


@pytest.mark.parametrize("key", AWKWARD_KEYS)
@pytest.mark.parametrize("addressing", ["path", "virtual"])
def test_presigned_url(key: str, addressing: str) -> None:
    """A presigned URL is the key's own path with the query that the signer gives; Host alone is signed."""
    request, endpoint = s3.Request("GET", "buc", key, {"versionId": "v 1"}), Endpoint("https://h:9000/base", addressing)
    url = s3.presigned_url(request, endpoint, CREDENTIALS, region="eu-west-1", timestamp=TIMESTAMP, expires_in=60)
    authority, path = s3.located(endpoint, request)
    scope = Scope(TIMESTAMP, "eu-west-1", "s3")
    hosts = [("host", authority)]
    query = sign_query(
        CREDENTIALS, scope, "GET", path, [("versionId", "v 1")], hosts, "UNSIGNED-PAYLOAD", expires_in=60
    )
    assert url == f"https://{authority}{path}?{query}"
    assert urlsplit(url).netloc == authority
    assert "X-Amz-SignedHeaders=host&" in url


def test_presigned_url_checks_its_lifetime() -> None:
    """More than seven days is refused where the URL is made."""
    with pytest.raises(ValueError, match="604800"):
        s3.presigned_url(
            s3.Request("GET", "buc", "k"),
            Endpoint("https://h"),
            CREDENTIALS,
            region="us-east-1",
            timestamp=TIMESTAMP,
            expires_in=604_801,
        )


# --- requests as values ----------------------------------------------------------------------------------------------


def test_request_drops_what_is_none() -> None:
    """Options that were not given are neither in the query nor among the headers; empty ones are."""
    request = s3.Request("GET", "buc", "k", {"a": None, "b": ""}, {"range": None, "x-amz-acl": ""})
    assert request.query == {"b": ""}
    assert request.headers == {"x-amz-acl": ""}
    assert s3.Request("GET", "buc").query == s3.Request("GET", "buc").headers == {}


@pytest.mark.parametrize(
    ("bucket", "key", "headers"),
    [
        pytest.param("Buc", "k", {}, id="bucket"),
        pytest.param("buc", "", {}, id="empty key"),
        pytest.param("buc", "k", {"if-match": '"a"\r\nx: y'}, id="header"),
    ],
)
def test_request_checks_what_it_is_made_of(bucket: str, key: str, headers: dict[str, str]) -> None:
    """No request exists with a bucket, a key or a header that cannot be sent."""
    with pytest.raises(ValueError, match=r".+"):
        s3.Request("GET", bucket, key, headers=headers)


def test_a_request_for_an_object_has_a_key() -> None:
    """Without its key a request for an object would be one for the bucket, and delete or overwrite something else."""
    assert s3.object_request("PUT", "buc", "k", {"a": "b"}, {"x-amz-acl": "private"}) == s3.Request(
        "PUT", "buc", "k", {"a": "b"}, {"x-amz-acl": "private"}
    )
    with pytest.raises(TypeError, match="key must be str"):
        s3.object_request("DELETE", "buc", None)
    with pytest.raises(ValueError, match="this one has 0"):
        s3.object_request("DELETE", "buc", "")


def test_values_are_equal_by_content() -> None:
    """Values of one class with the same fields are equal, hence not hashable, and show their fields."""
    one, same, other = s3.Request("GET", "buc", "k"), s3.Request("GET", "buc", "k"), s3.Request("PUT", "buc", "k")
    assert one == same
    assert one != other
    assert one != "GET"
    assert s3.Value() != type("Other", (s3.Value,), {})()
    assert repr(one) == "Request('GET', 'buc', 'k', {})"
    assert repr(answers.ListedObject("a", 5)) == "ListedObject(key='a', size=5, etag=None, last_modified=None)"
    with pytest.raises(TypeError, match="unhashable"):
        hash(one)


def test_secrets_are_not_shown() -> None:
    """Neither a customer's encryption key among the headers, nor a signature, nor a token stands in any `repr`."""
    request = s3.Request("GET", "buc", "k", headers={"x-amz-server-side-encryption-customer-key": "s3cr3t"})
    assert "s3cr3t" not in repr(request)
    credentials = Credentials("AKID", "secret", "s3cr3t")
    signed = s3.signed(request, Endpoint("https://h"), credentials, region="us-east-1", timestamp=TIMESTAMP)
    assert signed.headers["x-amz-security-token"] == "s3cr3t"
    assert "s3cr3t" not in repr(signed)
    assert "Signature" not in repr(signed)


@pytest.mark.parametrize("value", [5, b"v", True, ["v"]], ids=repr)
def test_a_query_is_text(value: object) -> None:
    """A version or a prefix that is no text is a TypeError that names the parameter."""
    with pytest.raises(TypeError, match="versionId must be str"):
        s3.Request("GET", "buc", "k", {"versionId": value})


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["abc", "a-b", "a.b", "1ab", "ab1", "0.a", "a--b", "a" * 63, "10.0.0.7a", "123456", "1.2.3"]
)
def test_bucket_names(name: str) -> None:
    """Names by AWS's rules pass as they are."""
    assert s3.check_bucket(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "", "ab", "a" * 64, "Abc", "abC", "a_b", "a b", " abc", "abc\n", "-abc", "abc-", ".abc", "abc.", "a..b",
        "a/b", "../", "..", "...", "a\\b", "a%2f", "a?b", "a#b", "äbc", "\uff41bc", "١٢٣", "a²b", "a\0b", "10.0.0.7",
    ],
    ids=ascii,
)  # fmt: skip
def test_bucket_names_refused(name: str) -> None:
    """Whatever could change host, path or query in the place of a bucket's name is refused."""
    with pytest.raises(ValueError, match="is no bucket name"):
        s3.check_bucket(name)


@pytest.mark.parametrize("name", [None, b"abc", 123, ["abc"]], ids=repr)
@pytest.mark.parametrize(
    "check",
    [
        pytest.param(s3.check_bucket, id="bucket"),
        pytest.param(s3.check_key, id="key"),
        pytest.param(lambda name: s3.check_scope_name("region", name), id="region"),
    ],
)
def test_names_must_be_text(check: object, name: object) -> None:
    """Buckets, keys and regions that are no text are a TypeError."""
    with pytest.raises(TypeError, match="must be str"):
        check(name)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("k", id="one byte"),
        pytest.param("k" * 1024, id="1,024 bytes"),
        pytest.param("日" * 341 + "x", id="1,024 bytes in 342 characters"),
        pytest.param("🤖" * 256, id="1,024 bytes in 256 characters"),
        pytest.param("u\u0308", id="decomposed"),
        pytest.param("ü", id="composed"),
        pytest.param(" \t\r\n", id="blanks and line breaks"),
        pytest.param("\x01\x7f\uffff", id="controls"),
        *AWKWARD_KEYS,
    ],
)
def test_keys(key: str) -> None:
    """A key passes as it is, never normalised."""
    assert s3.check_key(key) == key
    assert len(s3.check_key(key)) == len(key)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        pytest.param("", "this one has 0", id="empty"),
        pytest.param("k" * 1025, "this one has 1025", id="1,025 bytes"),
        pytest.param("日" * 341 + "xx", "this one has 1025", id="1,025 bytes in 343 characters"),
        pytest.param("🤖" * 257, "this one has 1028", id="1,028 bytes in 257 characters"),
        pytest.param("a\0b", "NUL", id="NUL"),
        pytest.param("\ud800", "surrogate", id="half a surrogate pair"),
        pytest.param("\ud83d\ude00", "surrogate", id="a pair of surrogates"),
        pytest.param("a\udcffb", "surrogate", id="a byte that os.fsdecode could not decode"),
    ],
)
def test_keys_refused(key: str, reason: str) -> None:
    """A key must have a UTF-8 form of 1 to 1,024 bytes, and no NUL."""
    with pytest.raises(ValueError, match=reason) as caught:
        s3.check_key(key)
    assert type(caught.value) is ValueError
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("region", ["us-east-1", "eu_west_1", "x", "1", "US-GOV-EAST-1"])
def test_regions(region: str) -> None:
    """A region is letters, digits, '-' and '_'."""
    assert s3.check_scope_name("region", region) == region


@pytest.mark.parametrize(
    "region", ["", "-", "_-", "us east", "us-east-1\n", "a/b", "a,b", "ü", "²", "a.b", "<a>"], ids=ascii
)
def test_regions_refused(region: str) -> None:
    """Nothing that would break the credential scope, the header or the XML is a region."""
    for what in ("region", "service"):
        with pytest.raises(ValueError, match=f"is no {what}"):
            s3.check_scope_name(what, region)


# --- headers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "a", "a b", "a   b", "~!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}", "a\\r\\n"])
def test_header_values(value: str) -> None:
    """Printable ASCII passes and inner blanks stay as they are."""
    s3.check_header("x-amz-meta-a", value)
    assert s3.object_headers(headers={"Cache-Control": value}) == {"cache-control": value}
    assert s3.object_headers(metadata={"Note": value}) == {"x-amz-meta-note": value}


BAD_VALUES = [
    "a\rb",
    "a\nb",
    "a\r\nb",
    "a\r\n b",
    "a\r\n\tb",
    "a\0b",
    "a\tb",
    " a",
    "a ",
    " ",
    "\t",
    "a\x7f",
    "ü",
    "日",
    "a\u2028b",
]


@pytest.mark.parametrize("value", BAD_VALUES, ids=ascii)
def test_header_values_refused(value: str) -> None:
    """Line breaks (folded too), NUL, outer blanks and all beyond ASCII are refused, in headers and metadata alike."""
    for arguments in ({"headers": {"cache-control": value}}, {"metadata": {"note": value}}):
        with pytest.raises(ValueError, match="printable ASCII") as caught:
            s3.object_headers(**arguments)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name", ["", " ", "a b", "a:", "a\r\n", "a\0", "ü", "a/b", "(a)", '"a"', "a,b", "a=b", "a\t"], ids=ascii
)
def test_header_names_refused(name: str) -> None:
    """A name is a token (RFC 9110, 5.6.2), in headers and metadata alike."""
    for arguments in ({"headers": {name: "v"}}, {"metadata": {name: "v"}}):
        with pytest.raises(ValueError, match="is no header name"):
            s3.object_headers(**arguments)


@pytest.mark.parametrize(
    ("name", "value"), [(1, "v"), (b"a", "v"), (None, "v"), ("a", 1), ("a", b"v"), ("a", None), ("a", True)], ids=repr
)
def test_header_types_refused(name: object, value: object) -> None:
    """Names and values that are no text are a TypeError, and not their str() in a header."""
    for arguments in ({"headers": {name: value}}, {"metadata": {name: value}}):
        with pytest.raises(TypeError, match="must be str"):
            s3.object_headers(**arguments)


RESERVED = [
    "Accept-Encoding", "Authorization", "Connection", "Content-Length", "Expect", "Host", "If-Match", "If-None-Match",
    "Proxy-Authorization", "Range", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent",
    "X-Amz-Content-Sha256", "X-Amz-Copy-Source", "X-Amz-Date", "X-Amz-Meta-Note", "X-Amz-Metadata-Directive",
    "X-Amz-Security-Token",
]  # fmt: skip


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("case", [str, str.lower, str.upper], ids=["as written", "lower", "upper"])
def test_own_headers_refused(name: str, case: object) -> None:
    """What the package sets itself cannot be given among the headers, in whatever case."""
    with pytest.raises(ValueError, match="is set by this package"):
        s3.object_headers(headers={case(name): "v"})


@pytest.mark.parametrize(
    "name", ["Content-MD5", "Content-Encoding", "Cache-Control", "X-Amz-Tagging", "Expires", "x-amz-acl"]
)
def test_other_headers_pass(name: str) -> None:
    """What S3 keeps or obeys goes through, under its lower-case name."""
    assert s3.object_headers(headers={name: "v"}) == {name.lower(): "v"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param({"headers": {"Expires": "1", "expires": "2"}}, "twice", id="headers"),
        pytest.param({"metadata": {"Note": "1", "note": "1"}}, "upper and lower case", id="metadata"),
        pytest.param({"content_type": "a/b", "headers": {"Content-Type": "a/b"}}, "content.type", id="content type"),
    ],
)
def test_nothing_is_given_twice(arguments: dict[str, object], reason: str) -> None:
    """Names that differ only in case are one header on the wire: two of them contradict each other."""
    with pytest.raises(ValueError, match=reason):
        s3.object_headers(**arguments)


def test_object_headers_together() -> None:
    """Content type, metadata and headers come out under their names on the wire; nothing given is nothing sent."""
    assert s3.object_headers() == s3.object_headers(None, {}, {}) == {}
    assert s3.object_headers("text/plain", {"A": "1", "b": "2"}, {"Expires": "0"}) == {
        "x-amz-meta-a": "1",
        "x-amz-meta-b": "2",
        "expires": "0",
        "content-type": "text/plain",
    }


@pytest.mark.parametrize("names", [1, 2, 7])
def test_metadata_has_2_kib(names: int) -> None:
    """Names and values together may have 2,048 bytes (without the prefix) and not one more."""
    metadata = {f"n{number}": "v" * 100 for number in range(names)}
    room = 2048 - sum(len(name) + len(value) for name, value in metadata.items())
    metadata["n0"] += "x" * room
    assert len(s3.object_headers(metadata=metadata)) == names
    metadata["n0"] += "x"
    with pytest.raises(ValueError, match="2049 bytes, S3 allows 2048"):
        s3.object_headers(metadata=metadata)


# --- ranges, copies, regions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "tail", "expected"),
    [
        (None, None, None, None),
        (0, None, None, "bytes=0-"),
        (5, None, None, "bytes=5-"),
        (None, 1, None, "bytes=0-0"),
        (None, 10, None, "bytes=0-9"),
        (0, 1, None, "bytes=0-0"),
        (9, 10, None, "bytes=9-9"),
        (5, 1 << 50, None, f"bytes=5-{(1 << 50) - 1}"),
        (None, None, 1, "bytes=-1"),
        (None, None, 500, "bytes=-500"),
    ],
)
def test_byte_range(start: int | None, end: int | None, tail: int | None, expected: str | None) -> None:
    """Slices become what HTTP means by a range: the last byte included."""
    assert s3.byte_range(start, end, tail) == expected


@pytest.mark.parametrize(
    ("start", "end", "tail", "reason"),
    [
        pytest.param(-1, None, None, "start must be at least 0, not -1", id="negative start"),
        pytest.param(None, -1, None, "end must be at least 1, not -1", id="negative end"),
        pytest.param(None, 0, None, "end must be at least 1, not 0", id="end 0"),
        pytest.param(None, None, 0, "tail must be at least 1, not 0", id="tail 0"),
        pytest.param(None, None, -1, "tail must be at least 1, not -1", id="negative tail"),
        pytest.param(5, 5, None, "start 5 is not before end 5", id="empty"),
        pytest.param(6, 5, None, "start 6 is not before end 5", id="backwards"),
        pytest.param(0, None, 5, "either tail", id="tail with start"),
        pytest.param(None, 5, 5, "either tail", id="tail with end"),
        pytest.param(0, 5, 5, "either tail", id="all three"),
    ],
)
def test_byte_range_refused(start: int | None, end: int | None, tail: int | None, reason: str) -> None:
    """What is empty, backwards or ambiguous is refused before S3 sees it."""
    with pytest.raises(ValueError, match=reason):
        s3.byte_range(start, end, tail)


@pytest.mark.parametrize("value", [True, False, 1.0, "1", b"1"], ids=repr)
@pytest.mark.parametrize("position", [0, 1, 2], ids=["start", "end", "tail"])
def test_byte_range_wants_int(position: int, value: object) -> None:
    """A number that is no int, bool included, is a TypeError that names the argument."""
    arguments = [None, None, None]
    arguments[position] = value
    with pytest.raises(TypeError, match=f"{('start', 'end', 'tail')[position]} must be int"):
        s3.byte_range(*arguments)


@same_each_run
@given(start=st.integers(0, 100), length=st.integers(1, 100))
def test_byte_range_means_the_slice(start: int, length: int) -> None:
    """The bytes that HTTP's inclusive range names are those of the slice."""
    text = s3.byte_range(start, start + length, None)
    first, last = (int(part) for part in text[len("bytes=") :].split("-"))
    data = range(200)
    assert data[first : last + 1] == data[start : start + length]


@pytest.mark.parametrize(
    ("key", "version_id", "expected"),
    [
        pytest.param("k", None, "/buc/k", id="plain"),
        pytest.param("a/b", None, "/buc/a/b", id="slash stays"),
        pytest.param("/a//../b", None, "/buc//a//../b", id="segments stay"),
        pytest.param("ü +%?&", None, "/buc/%C3%BC%20%2B%25%3F%26", id="the rest is encoded"),
        pytest.param("k?versionId=v", None, "/buc/k%3FversionId%3Dv", id="a key is no version"),
        pytest.param("k", "v/1 +", "/buc/k?versionId=v%2F1%20%2B", id="version"),
        pytest.param("k", "null", "/buc/k?versionId=null", id="null version"),
    ],
)
def test_copy_source(key: str, version_id: str | None, expected: str) -> None:
    """The source of a copy is a path of its own, encoded once, and sendable as a header."""
    assert s3.copy_source("buc", key, version_id) == expected
    s3.check_header("x-amz-copy-source", expected)


@pytest.mark.parametrize(("bucket", "key"), [("B", "k"), ("buc", ""), ("buc", "\ud800"), ("buc/x", "k")], ids=ascii)
def test_copy_source_is_checked(bucket: str, key: str) -> None:
    """Bucket and key of the source obey the same rules as those of the copy."""
    with pytest.raises(ValueError, match=r"bucket name|bytes of UTF-8|surrogate"):
        s3.copy_source(bucket, key, None)


def test_location_constraint() -> None:
    """CreateBucket names its region in S3's namespace, but us-east-1 must not be named."""
    assert s3.location_constraint("us-east-1") == b""
    assert s3.location_constraint("eu-west-1") == (
        b'<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"
    )


def test_nothing_here_knows_requests() -> None:
    """The floor is pure: these modules name no network, no clock and no HTTP library."""
    for module in (s3, sys.modules[Endpoint.__module__]):
        assert not {"requests", "socket", "time", "os", "urllib3"} & set(vars(module))
