"""Checksums of what was sent in parts: CRC32s put together to that of the whole, and checksums of checksums."""

import base64
import binascii
import functools
import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdn_sigv4 import checksums
from cdn_sigv4.checksums import combined_crc32, composite, composite_etag, of_parts

EMPTY = bytes(4)
VALUES = st.binary(min_size=4, max_size=4)
SIZES = st.integers(0, 1 << 40)


def crc32(data):
    return binascii.crc32(data).to_bytes(4, "big")


def combined(pieces):
    """The CRC32 and size of all pieces, from those of each."""
    return functools.reduce(
        lambda one, two: (combined_crc32(one[0], two[0], two[1]), one[1] + two[1]), pieces, (EMPTY, 0)
    )


@given(pieces=st.lists(st.binary(max_size=300), max_size=8))
def test_combined_is_that_of_the_whole(pieces):
    """However the bytes are cut, empty pieces among them, the parts' CRC32s give the whole's."""
    whole = b"".join(pieces)
    assert combined((crc32(piece), len(piece)) for piece in pieces) == (crc32(whole), len(whole))


@pytest.mark.parametrize("cut", [0, 1, 65536, 1_000_000, 3_000_000])
def test_large_pieces(cut):
    """The same with pieces of some size."""
    data = random.Random(1).getrandbits(8 * 3_000_000).to_bytes(3_000_000, "big")
    assert combined_crc32(crc32(data[:cut]), crc32(data[cut:]), len(data) - cut) == crc32(data)


@given(one=VALUES, two=VALUES, three=VALUES, second=SIZES, third=SIZES)
def test_the_order_of_putting_together_does_not_matter(one, two, three, second, third):
    """Up to a tebibyte a piece: first the left two or first the right two, it is the same."""
    left = combined_crc32(combined_crc32(one, two, second), three, third)
    right = combined_crc32(one, combined_crc32(two, three, third), second + third)
    assert left == right


@given(value=VALUES, size=SIZES)
def test_nothing_beside_it_changes_nothing(value, size):
    """The empty piece is neutral behind another; before it, too, whatever that one's size."""
    assert combined_crc32(value, EMPTY, 0) == value
    assert combined_crc32(EMPTY, value, size) == value


@pytest.mark.parametrize("exponent", range(0, 41, 4))
def test_zeros(exponent):
    """A tebibyte of zeros is two halves, and theirs are two more: down to what binascii can say."""

    @functools.lru_cache(maxsize=None)
    def zeros(size):
        if size <= 1 << 16:
            return crc32(bytes(size))
        half = zeros(size // 2)
        return combined_crc32(half, half, size // 2)

    size = 1 << exponent
    again = combined_crc32(zeros(size), zeros(size), size)
    assert again == zeros(2 * size)
    assert combined_crc32(zeros(size), crc32(b"end"), 3) == combined_crc32(
        EMPTY, combined_crc32(zeros(size), crc32(b"end"), 3), size + 3
    )


# -- checksums of checksums


@pytest.mark.parametrize("name", ["crc32", "sha256", "sha1", "md5"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_of_parts(name, count):
    """A composite checksum is that of the parts' checksums in a row, as bytes."""
    parts = [bytes([number]) * 100 for number in range(count)]
    digest = crc32 if name == "crc32" else lambda data: hashlib.new(name, data).digest()
    ours = [checksums.new(name) for _ in parts]
    for each, part in zip(ours, parts):
        each.update(part)
    assert of_parts(name, [each.digest() for each in ours]) == digest(b"".join(map(digest, parts)))


CRC = base64.b64encode(b"abcd").decode()
SHA = base64.b64encode(b"s" * 32).decode()
SHA1 = base64.b64encode(b"s" * 20).decode()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"x-amz-checksum-crc32": f"{CRC}-2"}, ("crc32", b"abcd", 2), id="CRC32"),
        pytest.param({"x-amz-checksum-sha256": f"{SHA}-10000"}, ("sha256", b"s" * 32, 10000), id="SHA-256"),
        pytest.param({"x-amz-checksum-sha1": f"{SHA1}-1"}, ("sha1", b"s" * 20, 1), id="SHA-1"),
        pytest.param(
            {"x-amz-checksum-sha256": f"{SHA}-3", "x-amz-checksum-crc32": CRC}, ("sha256", b"s" * 32, 3), id="of two"
        ),
        pytest.param({"x-amz-checksum-crc32": CRC}, None, id="of the whole"),
        pytest.param({"x-amz-checksum-crc32": f"{CRC}-0"}, None, id="no parts"),
        pytest.param({"x-amz-checksum-crc32": f"{CRC}-"}, None, id="no number"),
        pytest.param({"x-amz-checksum-crc32": f"{CRC}--2"}, None, id="negative"),
        pytest.param({"x-amz-checksum-crc32": f"{CRC}-+2"}, None, id="with a sign"),
        pytest.param({"x-amz-checksum-crc32": f"{CRC}- 2"}, None, id="with a space"),
        pytest.param({"x-amz-checksum-crc32": f"{CRC}-2-2"}, None, id="twice"),
        pytest.param({"x-amz-checksum-crc32": f"{CRC}-\u0662"}, None, id="other digits"),
        pytest.param({"x-amz-checksum-crc32": f"{CRC}-\u00b2"}, None, id="a digit that is no number"),
        pytest.param({"x-amz-checksum-crc32": f"{CRC}-{'9' * 5000}"}, None, id="more than any"),
        pytest.param({"x-amz-checksum-crc32": "AAAA-2"}, None, id="too short"),
        pytest.param({"x-amz-checksum-sha256": f"{CRC}-2"}, None, id="another's length"),
        pytest.param({"x-amz-checksum-crc32": "!!!!-2"}, None, id="no base64"),
        pytest.param({"x-amz-checksum-crc32c": f"{CRC}-2"}, None, id="CRC32C, which Python has not"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_composite(headers, expected):
    """A checksum of checksums has the number of parts behind it; what has not exactly that form is none."""
    assert composite(headers) == expected


MD5 = "0123456789abcdef0123456789abcdef"
CUSTOMER = "x-amz-server-side-encryption-customer-algorithm"


@pytest.mark.parametrize(
    ("headers", "count"),
    [
        pytest.param({"etag": f'"{MD5}-2"'}, 2, id="two parts"),
        pytest.param({"etag": f'"{MD5.upper()}-10000"'}, 10000, id="capitals"),
        pytest.param({"etag": f'"{MD5}-1"'}, 1, id="one"),
        pytest.param({"etag": f'"{MD5}"'}, None, id="of the whole"),
        pytest.param({"etag": f'"{MD5}-0"'}, None, id="none"),
        pytest.param({"etag": f'"{MD5}-x"'}, None, id="no number"),
        pytest.param({"etag": f'"{MD5}-2-2"'}, None, id="twice"),
        pytest.param({"etag": f'"{MD5[:-1]}-2"'}, None, id="too short"),
        pytest.param({"etag": f'"{MD5[:-1]}g-2"'}, None, id="no hex"),
        pytest.param({"etag": f'W/"{MD5}-2"'}, None, id="weak"),
        pytest.param({"etag": f'"{MD5}-2"', "x-amz-server-side-encryption": "aws:kms"}, None, id="SSE-KMS"),
        pytest.param({"etag": f'"{MD5}-2"', CUSTOMER: "AES256"}, None, id="customer's key"),
        pytest.param({"etag": f'"{MD5}-2"', "x-amz-server-side-encryption": "AES256"}, 2, id="SSE-S3"),
        pytest.param({}, None, id="nothing"),
    ],
)
def test_composite_etag(headers, count):
    """So has an entity tag of an upload in parts; under a key that the store does not own it is no MD5."""
    expected = None if count is None else (bytes.fromhex(MD5), count)
    assert composite_etag(headers) == expected
