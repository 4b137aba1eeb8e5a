"""What may be asked of S3: names of buckets, keys and regions, headers and metadata, ranges, the source of a copy.

Traps: strict bucket names (1), keys without a UTF-8 form (4), header values (14). Each operation of the client asks
these rules: test_client_arguments.py.
"""

import pytest

from cdn_sigv4 import s3


@pytest.mark.parametrize(
    "name", ["abc", "a-b", "a.b", "1ab", "ab1", "0.a", "a--b", "a" * 63, "10.0.0.7a", "123456", "1.2.3"]
)
def test_bucket_names(name):
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
def test_bucket_names_refused(name):
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
def test_names_must_be_text(check, name):
    """Buckets, keys and regions that are no text are a TypeError."""
    with pytest.raises(TypeError, match="must be str"):
        check(name)


@pytest.mark.parametrize(
    "key",
    ["k", "k" * 1024, "日" * 341 + "x", "🤖" * 256, "u\u0308", "ü", " \t\r\n", "\x01\x7f\uffff", "a/../b", "%2e?#"],
    ids=lambda key: ascii(key[:8]),
)
def test_keys(key):
    """A key of 1 to 1,024 bytes passes as it is, never normalised."""
    assert s3.check_key(key) == key
    assert len(s3.check_key(key)) == len(key)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("", "this one has 0"),
        ("k" * 1025, "this one has 1025"),
        ("日" * 341 + "xx", "this one has 1025"),
        ("a\0b", "NUL"),
        ("\ud800", "surrogate"),
        ("\ud83d\ude00", "surrogate"),
        ("a\udcffb", "surrogate"),
    ],
    ids=lambda value: ascii(value[:8]),
)
def test_keys_refused(key, reason):
    """A key must have a UTF-8 form of 1 to 1,024 bytes, and no NUL."""
    with pytest.raises(ValueError, match=reason) as caught:
        s3.check_key(key)
    assert type(caught.value) is ValueError
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("region", ["us-east-1", "eu_west_1", "x", "1", "US-GOV-EAST-1"])
def test_regions(region):
    """A region is letters, digits, '-' and '_'."""
    assert s3.check_scope_name("region", region) == region


@pytest.mark.parametrize(
    "region", ["", "-", "_-", "us east", "us-east-1\n", "a/b", "a,b", "ü", "²", "a.b", "<a>"], ids=ascii
)
def test_regions_refused(region):
    """Nothing that would break the credential scope, the header or the XML is a region."""
    for what in ("region", "service"):
        with pytest.raises(ValueError, match=f"is no {what}"):
            s3.check_scope_name(what, region)


@pytest.mark.parametrize("value", ["", "a", "a b", "a   b", "~!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}", "a\\r\\n"])
def test_header_values(value):
    """Printable ASCII passes and inner blanks stay as they are."""
    s3.check_header("x-amz-meta-a", value)
    assert s3.object_headers(headers={"Cache-Control": value}) == {"cache-control": value}
    assert s3.object_headers(metadata={"Note": value}) == {"x-amz-meta-note": value}


BAD_VALUES = ["a\rb", "a\nb", "a\r\n b", "a\0b", "a\tb", " a", "a ", " ", "a\x7f", "ü", "日", "a\u2028b"]


@pytest.mark.parametrize("value", BAD_VALUES, ids=ascii)
def test_header_values_refused(value):
    """Line breaks (folded too), NUL, outer blanks and all beyond ASCII are refused, in headers and metadata alike."""
    for arguments in ({"headers": {"cache-control": value}}, {"metadata": {"note": value}}):
        with pytest.raises(ValueError, match="printable ASCII") as caught:
            s3.object_headers(**arguments)
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "a\0", "ü", "(a)", '"a"', "a,b"], ids=ascii)
def test_header_names_refused(name):
    """A name is a token (RFC 9110, 5.6.2), in headers and metadata alike."""
    for arguments in ({"headers": {name: "v"}}, {"metadata": {name: "v"}}):
        with pytest.raises(ValueError, match="is no header name"):
            s3.object_headers(**arguments)


@pytest.mark.parametrize(
    ("name", "value"), [(1, "v"), (b"a", "v"), (None, "v"), ("a", 1), ("a", b"v"), ("a", None), ("a", True)], ids=repr
)
def test_header_types_refused(name, value):
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
def test_own_headers_refused(name, case):
    """What the package sets itself cannot be given among the headers, in whatever case."""
    with pytest.raises(ValueError, match="is set by this package"):
        s3.object_headers(headers={case(name): "v"})


@pytest.mark.parametrize(
    "name", ["Content-MD5", "Content-Encoding", "Cache-Control", "X-Amz-Tagging", "Expires", "x-amz-acl"]
)
def test_other_headers_pass(name):
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
def test_nothing_is_given_twice(arguments, reason):
    """Names that differ only in case are one header on the wire: two of them contradict each other."""
    with pytest.raises(ValueError, match=reason):
        s3.object_headers(**arguments)


def test_object_headers_together():
    """Content type, metadata and headers come out under their names on the wire; nothing given is nothing sent."""
    assert s3.object_headers() == s3.object_headers(None, {}, {}) == {}
    assert s3.object_headers("text/plain", {"A": "1", "b": "2"}, {"Expires": "0"}) == {
        "x-amz-meta-a": "1",
        "x-amz-meta-b": "2",
        "expires": "0",
        "content-type": "text/plain",
    }


@pytest.mark.parametrize("names", [1, 2, 7])
def test_metadata_has_2_kib(names):
    """Names and values together may have 2,048 bytes (without the prefix) and not one more."""
    metadata = {f"n{number}": "v" * 100 for number in range(names)}
    room = 2048 - sum(len(name) + len(value) for name, value in metadata.items())
    metadata["n0"] += "x" * room
    assert len(s3.object_headers(metadata=metadata)) == names
    metadata["n0"] += "x"
    with pytest.raises(ValueError, match="2049 bytes, S3 allows 2048"):
        s3.object_headers(metadata=metadata)


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
def test_byte_range(start, end, tail, expected):
    """Slices become what HTTP means by a range: the last byte included."""
    assert s3.byte_range(start, end, tail) == expected


@pytest.mark.parametrize(
    ("start", "end", "tail", "reason"),
    [
        (-1, None, None, "start must be at least 0, not -1"),
        (None, 0, None, "end must be at least 1, not 0"),
        (None, None, 0, "tail must be at least 1, not 0"),
        (None, None, -1, "tail must be at least 1, not -1"),
        (5, 5, None, "start 5 is not before end 5"),
        (6, 5, None, "start 6 is not before end 5"),
        (0, None, 5, "either tail"),
        (None, 5, 5, "either tail"),
    ],
)
def test_byte_range_refused(start, end, tail, reason):
    """What is empty, backwards or ambiguous is refused before S3 sees it."""
    with pytest.raises(ValueError, match=reason):
        s3.byte_range(start, end, tail)


@pytest.mark.parametrize("value", [True, False, 1.0, "1", b"1"], ids=repr)
@pytest.mark.parametrize("position", [0, 1, 2], ids=["start", "end", "tail"])
def test_byte_range_wants_int(position, value):
    """A number that is no int, bool included, is a TypeError that names the argument."""
    arguments = [None, None, None]
    arguments[position] = value
    with pytest.raises(TypeError, match=f"{('start', 'end', 'tail')[position]} must be int"):
        s3.byte_range(*arguments)


@pytest.mark.parametrize(
    ("key", "version_id", "expected"),
    [
        ("a/b", None, "/buc/a/b"),
        ("/a//../b", None, "/buc//a//../b"),
        ("ü +%?&", None, "/buc/%C3%BC%20%2B%25%3F%26"),
        ("k?versionId=v", None, "/buc/k%3FversionId%3Dv"),
        ("k", "v/1 +", "/buc/k?versionId=v%2F1%20%2B"),
    ],
)
def test_copy_source(key, version_id, expected):
    """The source of a copy is a path of its own, encoded once, and sendable as a header."""
    assert s3.copy_source("buc", key, version_id) == expected
    s3.check_header("x-amz-copy-source", expected)


@pytest.mark.parametrize(("bucket", "key"), [("B", "k"), ("buc", ""), ("buc", "\ud800"), ("buc/x", "k")], ids=ascii)
def test_copy_source_is_checked(bucket, key):
    """Bucket and key of the source obey the same rules as those of the copy."""
    with pytest.raises(ValueError, match=r"bucket name|bytes of UTF-8|surrogate"):
        s3.copy_source(bucket, key, None)


def test_location_constraint():
    """CreateBucket names its region in S3's namespace, but us-east-1 must not be named."""
    assert s3.location_constraint("us-east-1") == b""
    assert s3.location_constraint("eu-west-1") == (
        b'<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"
    )


def test_5_gib_are_the_most():
    """One request carries 5 GiB and not a byte more."""
    s3.check_size(5 << 30)
    with pytest.raises(ValueError, match="5 GiB"):
        s3.check_size((5 << 30) + 1)
