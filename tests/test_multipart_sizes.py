"""How large the parts of an upload are: within AWS's limits for every object, or refused before anything is sent."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import BUCKET

from cdn_sigv4 import multipart

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40
LEAST, MOST, LARGEST = 5 * MIB, 5 * GIB, 5 * TIB


def check_sizes(size, part):
    """Demand that S3 takes an object of this size in such parts."""
    count = -(-size // part)
    assert LEAST <= part <= MOST
    assert 1 <= count <= 10_000
    assert size - part * (count - 1) <= part


@settings(max_examples=500)
@given(size=st.integers(LEAST + 1, LARGEST))
def test_parts_of_any_size_are_what_s3_takes(size):
    """Up to 5 TiB the parts are large enough, few enough, and whole mebibytes."""
    part = multipart.part_size(size)
    check_sizes(size, part)
    assert part % MIB == 0


@pytest.mark.parametrize(
    ("size", "part"),
    [
        (LEAST + 1, LEAST),
        (100 * MIB, LEAST),
        (101 * MIB, 6 * MIB),
        (256 * MIB, 8 * MIB),
        (GIB, 16 * MIB),
        (4 * GIB, 32 * MIB),
        (16 * GIB, 64 * MIB),
        (100 * GIB, 64 * MIB),
        (10_000 * 64 * MIB, 64 * MIB),
        (10_000 * 64 * MIB + 1, 65 * MIB),
        (LARGEST, 525 * MIB),
    ],
)
def test_sizes(size, part):
    """Parts are as small as S3 allows, then a sixty-fourth, then 64 MiB, then as large as 10,000 must be."""
    assert multipart.part_size(size) == part
    check_sizes(size, part)


@given(size=st.integers(LEAST + 1, LARGEST), wanted=st.integers(LEAST, MOST))
def test_a_size_that_is_wanted(size, wanted):
    """The caller's size is taken, or refused with one that is enough where the parts would be too many."""
    multipart.check_part_size(wanted)
    if size <= wanted * 10_000:
        assert multipart.part_size(size, wanted) == wanted
        return
    with pytest.raises(ValueError, match="give at least") as caught:
        multipart.part_size(size, wanted)
    enough = int(str(caught.value).split()[-1])
    check_sizes(size, multipart.part_size(size, enough))
    assert size > (enough - 1) * 10_000


@pytest.mark.parametrize("wanted", [None, LEAST])
def test_more_than_s3_takes(wanted):
    """A byte more than 5 TiB is no object."""
    with pytest.raises(ValueError, match="5 TiB"):
        multipart.part_size(LARGEST + 1, wanted)


def test_more_than_s3_takes_is_not_sent(client, loopback, tmp_path):
    """A file of that size is refused before anything is sent, and so is one for which the parts would be too many."""
    path = tmp_path / "sparse"
    for size, part in ((LARGEST + 1, None), (10_000 * LEAST + 1, LEAST)):
        with path.open("wb") as file:
            try:
                file.truncate(size)
            except OSError:
                pytest.skip("this file system has no such files")
        with pytest.raises(ValueError, match=r"at most|at least"):
            client.upload_file(BUCKET, "key", path, part_size=part)
    assert loopback.requests == []


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (LEAST - 1, ValueError),
        (MOST + 1, ValueError),
        (0, ValueError),
        (-LEAST, ValueError),
        (float(LEAST), TypeError),
        (True, TypeError),
        (str(LEAST), TypeError),
        (b"5", TypeError),
    ],
)
def test_sizes_that_nobody_can_want(client, loopback, tmp_path, wanted, error):
    """Anything but 5 MiB to 5 GiB as a whole number is refused by every operation, before anything is sent."""
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(error, match="part_size"):
        multipart.check_part_size(wanted)
    with pytest.raises(error, match="part_size"):
        client.put_object(BUCKET, "key", b"x", part_size=wanted)
    with pytest.raises(error, match="part_size"):
        client.upload_file(BUCKET, "key", tmp_path / "file", part_size=wanted)
    with pytest.raises(error, match="part_size"):
        client.download_file(BUCKET, "key", tmp_path / "target", part_size=wanted)
    assert loopback.requests == []


def test_sizes_of_a_stream():
    """Where nobody knows how many will come, parts grow, so that 10,000 of them are enough for 5 TiB."""
    sizes = [multipart.stream_part_size(number) for number in range(1, 10_001)]
    assert sizes[:990] == [LEAST] * 990
    assert sizes == sorted(sizes)
    assert LEAST <= sizes[-1] <= MOST
    assert sum(sizes) >= LARGEST
    assert multipart.stream_part_size(9999, 7 * MIB) == 7 * MIB
