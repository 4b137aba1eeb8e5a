"""An endpoint: what is taken from its URL, and everything in it that could not be sent as it stands.

Traps: Host as it is sent (12), `//` in a base path, `minio:9000`, virtual addressing of an IP address, keys in the URL.
"""

import pytest

from cdn_sigv4.endpoint import Endpoint, is_ip_address


@pytest.mark.parametrize(
    ("url", "scheme", "authority", "base_path"),
    [
        pytest.param("http://h:80", "http", "h", "", id="http's own port is not in Host"),
        pytest.param("https://h:443", "https", "h", "", id="https' own port is not in Host"),
        pytest.param("http://h:443", "http", "h:443", "", id="http with the port of https"),
        pytest.param("https://h:80", "https", "h:80", "", id="https with the port of http"),
        pytest.param("http://h:09000", "http", "h:9000", "", id="port with a leading zero"),
        pytest.param("minio:9000", "https", "minio:9000", "", id="host and port mean https"),
        pytest.param("localhost", "https", "localhost", "", id="a host alone means https"),
        pytest.param("10.0.0.7:9000/s3", "https", "10.0.0.7:9000", "/s3", id="address, port and path mean https"),
        pytest.param("HTTP://Store.EXAMPLE/Base", "http", "store.example", "/Base", id="only the path keeps its case"),
        pytest.param("http://[::1]:9000", "http", "[::1]:9000", "", id="IPv6 with port"),
        pytest.param("[2001:DB8::1]", "https", "[2001:db8::1]", "", id="IPv6 alone"),
        pytest.param("http://[::ffff:10.0.0.7]:80", "http", "[::ffff:10.0.0.7]", "", id="IPv4 inside IPv6"),
        pytest.param("http://my_minio-1:9000", "http", "my_minio-1:9000", "", id="container name with underscore"),
        pytest.param("http://h/a/b/", "http", "h", "/a/b", id="base path with a slash at the end"),
        pytest.param("http://h/a%20b", "http", "h", "/a%20b", id="encoded path is not encoded twice"),
        pytest.param("http://h/(a)*~", "http", "h", "/%28a%29%2A~", id="path is encoded as it is signed"),
        pytest.param("http://h/%7e/%c3%bc", "http", "h", "/~/%C3%BC", id="path in canonical form"),
    ],
)
def test_endpoint(url, scheme, authority, base_path):
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
        pytest.param("s3://bucket", "unknown scheme 's3'", id="s3"),
        pytest.param("http://h?", END, id="empty query"),
        pytest.param("http://h ", BLANK, id="blank after"),
        pytest.param("http://h/a b", BLANK, id="blank inside"),
        pytest.param("http://h\n", BLANK, id="line break at the end, as from a file"),
        pytest.param("http://h\r\nX-Evil: 1", BLANK, id="line break inside"),
        pytest.param("ht\ttp://h", BLANK, id="tab, which urlsplit would drop"),
        pytest.param("http://h\x7f", BLANK, id="DEL"),
        pytest.param("http://h\u00a0", BLANK, id="no-break space"),
        pytest.param("http://h\u200b", BLANK, id="zero-width space"),
        pytest.param("http://\ud800", BLANK, id="half a surrogate pair"),
        pytest.param("http://bücher.example", HOST, id="host outside ASCII"),
        pytest.param("http://h%41", HOST, id="encoded host"),
        pytest.param("http://h\\x", HOST, id="backslash"),
        pytest.param("http://.h", HOST, id="dot before the host"),
        pytest.param("http://a..b", HOST, id="two dots in the host"),
        pytest.param("http://[::1", HOST, id="bracket left open"),
        pytest.param("http://[fe80::1%25eth0]", "zone", id="IPv6 with encoded zone"),
        pytest.param("[fe80::1%eth0]:9000", "zone", id="IPv6 with zone"),
        pytest.param("http://h:", PORT, id="colon without a port"),
        pytest.param("https:/h:9000", PORT, id="one slash"),
        pytest.param(f"http://{'h' * 64}.x", HOST, id="label of 64 letters"),
        pytest.param("http://h:0", "port", id="port 0"),
        pytest.param("http://h:65536", PORT, id="port 65536"),
        pytest.param("http://h:http", PORT, id="port in letters"),
        pytest.param("http://h/a/../b", SEGMENTS, id="dot-dot inside"),
        pytest.param("http://h/%2e%2e/b", SEGMENTS, id="encoded dot-dot"),
        pytest.param("http://h/a//b", SEGMENTS, id="double slash"),
        pytest.param("http://h:+80", "port", id="port with a sign, which urlsplit would take"),
        pytest.param("http://h:9_0", "port", id="port with an underscore"),
        pytest.param("http://h:\uff19\uff10", "port", id="port in full-width digits"),
        pytest.param("http://[::1]x:90", HOST, id="text behind the bracket"),
        pytest.param("http://[::1]]", "IPv6", id="a second bracket"),
        pytest.param("http://[v1.abc]", "endpoint", id="an address of the future"),
        pytest.param("http://[10.0.0.7]", HOST, id="IPv4 in brackets"),
    ],
)
def test_endpoint_refuses(url, reason):
    """What could not be sent as it stands is refused, with the reason, whatever this Python's urlsplit makes of it."""
    with pytest.raises(ValueError, match=reason):
        Endpoint(url)


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("http://user:hunter2@h", id="user and password"),
        pytest.param("user:hunter2@h:9000", id="without scheme"),
        pytest.param("http://:hunter2@h", id="password alone"),
        pytest.param("http://hunter2@h", id="user alone"),
        pytest.param("ftp://user:hunter2@h", id="unknown scheme"),
        pytest.param("http://user:hunter2@h:0", id="port 0"),
        pytest.param("http://user:hunter2@bücher", id="host outside ASCII"),
        pytest.param("http://user:hunter2@[::1", id="bracket left open"),
        pytest.param("http://user:hunter2@h\n", id="line break"),
        pytest.param("http://user:a@hunter2@h", id="an @ in the password"),
        pytest.param("http://user:hunter2/x@h", id="a slash in the password"),
        pytest.param("http://user:hunter2#x@h", id="a hash in the password"),
        pytest.param("http://user:hunter2?x@h", id="a question mark in the password"),
        pytest.param("http://user:hunter2\u2100@h", id="an odd letter in the password"),
        pytest.param("http://@h", id="empty user"),
    ],
)
def test_endpoint_refuses_a_password_and_does_not_repeat_it(url):
    """Keys belong into the credentials: a URL with any is refused, and no part of the password is in the text."""
    with pytest.raises(ValueError, match="endpoint") as caught:
        Endpoint(url)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


@pytest.mark.parametrize("url", [None, b"http://h", 9000], ids=repr)
def test_endpoint_must_be_text(url):
    """An endpoint that is no text is a TypeError."""
    with pytest.raises(TypeError, match="must be str"):
        Endpoint(url)


@pytest.mark.parametrize("addressing", ["", "Path", "host", None], ids=repr)
def test_addressing_is_one_of_two(addressing):
    """Nothing but "path" and "virtual" addresses a bucket."""
    with pytest.raises(ValueError, match="addressing must be"):
        Endpoint("http://h", addressing)


@pytest.mark.parametrize("url", ["http://10.0.0.7", "10.0.0.7:9000", "[::1]:9000", "http://127.0.0.1"])
def test_virtual_addressing_needs_a_name(url):
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
def test_ip_address(host, expected):
    """Only four groups of digits, or a host with a colon, are taken for an IP address."""
    assert is_ip_address(host) is expected
