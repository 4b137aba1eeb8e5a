"""What is asked of S3, as values: where a request goes, and how it is signed and sent as one string.

Traps: dot segments (1), one path for signature and wire (2), what S3 encodes (5), only what must be signed (13), a
dotted bucket over TLS. Which names and headers there may be: test_s3_names.py.
"""

import traceback
from urllib.parse import unquote_to_bytes, urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit import KEY, SECRET
from kit_calls import KEY_IDS, KEYS

from cdn_sigv4 import answers, s3
from cdn_sigv4.credentials import Credentials
from cdn_sigv4.endpoint import Endpoint
from cdn_sigv4.hashes import EMPTY_SHA256
from cdn_sigv4.sigv4 import Scope, sign_headers, sign_query

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=200)

CREDENTIALS = Credentials(KEY, SECRET)
TIMESTAMP = "20150830T123600Z"
ANY_KEY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=250)


@pytest.mark.parametrize(
    ("url", "addressing", "bucket", "key", "authority", "path"),
    [
        pytest.param("http://h:9000", "path", "buc", None, "h:9000", "/buc", id="bucket"),
        pytest.param("http://h/base", "path", "buc", "k", "h", "/base/buc/k", id="base path"),
        pytest.param("http://h/base", "path", "buc", None, "h", "/base/buc", id="bucket below a base path"),
        pytest.param("https://h", "path", "b.c.d", "k", "h", "/b.c.d/k", id="dotted bucket in the path over TLS"),
        pytest.param("https://h:9000", "virtual", "buc", "k", "buc.h:9000", "/k", id="virtual"),
        pytest.param("https://h", "virtual", "buc", None, "buc.h", "/", id="virtual bucket"),
        pytest.param("https://h/base", "virtual", "buc", "k", "buc.h", "/base/k", id="virtual with a base path"),
        pytest.param("http://h", "virtual", "b.c.d", "k", "b.c.d.h", "/k", id="dotted bucket without TLS"),
        pytest.param("http://h", "virtual", "buc", "/lead", "buc.h", "//lead", id="virtual key with a slash before"),
    ],
)
def test_located(url, addressing, bucket, key, authority, path):
    """A bucket and a key become Host and path, by either addressing."""
    assert s3.located(Endpoint(url, addressing), s3.Request("GET", bucket, key)) == (authority, path)


@pytest.mark.parametrize(("key", "path"), KEYS, ids=KEY_IDS)
def test_a_key_is_encoded_once(key, path):
    """A key's path is the one written by hand: encoded once, and never tidied up."""
    assert s3.located(Endpoint("http://h"), s3.Request("GET", "buc", key)) == ("h", "/buc/" + path.decode("ascii"))


def test_a_dotted_bucket_is_no_virtual_host_over_tls():
    """No wildcard certificate covers `b.c.host`: refused where it is located, with the way out."""
    with pytest.raises(ValueError, match="addressing='path'"):
        s3.located(Endpoint("https://h", "virtual"), s3.Request("GET", "b.c", "k"))


@same_each_run
@given(key=ANY_KEY)
@example(key="../otherbucket/secret")
@example(key="/")
@example(key="a/./b//c/../d")
def test_a_key_is_its_path(key):
    """Whatever the key: below the bucket's path stands its own UTF-8, in printable ASCII without `?` and `#`."""
    _, path = s3.located(Endpoint("http://h/base"), s3.Request("GET", "buc", key))
    assert path.startswith("/base/buc/")
    assert unquote_to_bytes(path[len("/base/buc/") :]) == key.encode()
    assert not set('?# \\"<>') & set(path)
    assert path.isascii()
    assert path.isprintable()
    assert path.count("/") == 3 + key.count("/")


def sent(key, **options):
    request = s3.Request("PUT", "buc", key, {"uploads": "", "a b": "ü"}, {"x-amz-acl": "private"})
    settings_ = {"credentials": CREDENTIALS, "region": "eu-west-1", "timestamp": TIMESTAMP, **options}
    return s3.signed(request, Endpoint("https://h:9000/base"), settings_.pop("credentials"), **settings_)


@pytest.mark.parametrize("key", [None, "a/../b", "ü日🤖 +%"])
def test_signed_is_what_is_sent(key):
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


def test_without_a_body_the_hash_is_that_of_nothing():
    """The payload hash is always signed: without a body it is the SHA-256 of no bytes."""
    assert sent("k").headers["x-amz-content-sha256"] == EMPTY_SHA256


def test_a_session_token_is_signed():
    """Temporary credentials send their token, and sign it."""
    headers = sent("k", credentials=Credentials("AKID", "secret", "token")).headers
    assert headers["x-amz-security-token"] == "token"
    assert "x-amz-security-token," in headers["Authorization"]


def test_anonymous_requests_carry_no_signature():
    """Without credentials there is Host and what was asked for, and nothing that looks like a signature."""
    signed = sent("k", credentials=None)
    assert signed.headers == {"host": "h:9000", "x-amz-acl": "private"}
    assert signed.target == "/base/buc/k?a%20b=%C3%BC&uploads="


def test_without_a_query_the_target_has_no_question_mark():
    """A target ends after its path where there is no query."""
    request = s3.Request("GET", "buc", "k")
    signed = s3.signed(request, Endpoint("http://h"), None, region="us-east-1", timestamp=TIMESTAMP)
    assert signed.target == "/buc/k"
    assert signed.url == "http://h/buc/k"


@pytest.mark.parametrize("key", ["a/../b", "ü日🤖 +%"])
@pytest.mark.parametrize("addressing", ["path", "virtual"])
def test_presigned_url(key, addressing):
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


def test_request_drops_what_is_none():
    """Options that were not given are neither in the query nor among the headers; empty ones are."""
    request = s3.Request("GET", "buc", "k", {"a": None, "b": ""}, {"range": None, "x-amz-acl": ""})
    assert request.query == {"b": ""}
    assert request.headers == {"x-amz-acl": ""}
    assert s3.Request("GET", "buc").query == s3.Request("GET", "buc").headers == {}


@pytest.mark.parametrize("wrong", [("GET", "no bucket"), ("GET", 1), ("GET", "buc", ""), ("GET", "buc", "k", {"a": 1})])
def test_refused_request_can_be_shown(wrong):
    """Tools that show a traceback's variables ask for the `repr` of what was not finished, too."""
    with pytest.raises((TypeError, ValueError)) as caught:
        s3.Request(*wrong)
    shown = "".join(traceback.TracebackException.from_exception(caught.value, capture_locals=True).format())
    assert "self = Request('GET'" in shown


@pytest.mark.parametrize(
    ("bucket", "key", "headers"),
    [
        pytest.param("Buc", "k", {}, id="bucket"),
        pytest.param("buc", "", {}, id="empty key"),
        pytest.param("buc", "k", {"if-match": '"a"\r\nx: y'}, id="header"),
    ],
)
def test_request_checks_what_it_is_made_of(bucket, key, headers):
    """No request exists with a bucket, a key or a header that cannot be sent."""
    with pytest.raises(ValueError, match=r".+"):
        s3.Request("GET", bucket, key, headers=headers)


def test_a_request_for_an_object_has_a_key():
    """Without its key a request for an object would be one for the bucket, and delete or overwrite something else."""
    assert s3.object_request("PUT", "buc", "k", {"a": "b"}, {"x-amz-acl": "private"}) == s3.Request(
        "PUT", "buc", "k", {"a": "b"}, {"x-amz-acl": "private"}
    )
    with pytest.raises(TypeError, match="key must be str"):
        s3.object_request("DELETE", "buc", None)
    with pytest.raises(ValueError, match="this one has 0"):
        s3.object_request("DELETE", "buc", "")


def test_values_are_equal_by_content():
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


def test_secrets_are_not_shown():
    """Neither a customer's encryption key among the headers, nor a signature, nor a token stands in any `repr`."""
    request = s3.Request("GET", "buc", "k", headers={"x-amz-server-side-encryption-customer-key": "s3cr3t"})
    assert "s3cr3t" not in repr(request)
    credentials = Credentials("AKID", "secret", "s3cr3t")
    signed = s3.signed(request, Endpoint("https://h"), credentials, region="us-east-1", timestamp=TIMESTAMP)
    assert signed.headers["x-amz-security-token"] == "s3cr3t"
    assert "s3cr3t" not in repr(signed)
    assert "Signature" not in repr(signed)


@pytest.mark.parametrize("value", [5, b"v", True, ["v"]], ids=repr)
def test_a_query_is_text(value):
    """A version or a prefix that is no text is a TypeError that names the parameter."""
    with pytest.raises(TypeError, match="versionId must be str"):
        s3.Request("GET", "buc", "k", {"versionId": value})
