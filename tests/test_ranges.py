"""Sets of bytes as sorted ranges, against a model that is too slow to be wrong: a set of numbers."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdn_sigv4 import ranges

ANY = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8)
SIZES = st.integers(0, 50)


def numbers(found):
    """The bytes in these ranges, one by one."""
    return {number for first, end in found for number in range(first, end)}


def check_form(found):
    """Demand that the ranges are sorted, not empty, and do not touch."""
    assert all(first < end for first, end in found)
    assert all(before[1] < after[0] for before, after in zip(found, found[1:]))


@given(found=ANY)
def test_merged(found):
    """Ranges in any order, empty, overlapping and touching ones among them, become the same bytes in one form."""
    result = ranges.merged(found)
    check_form(result)
    assert numbers(result) == numbers(found)
    assert ranges.merged(result) == result
    assert ranges.total(result) == len(numbers(found))


@given(found=ANY, size=SIZES)
def test_missing(found, size):
    """What is missing and what is there make up the whole, with nothing in both."""
    there = ranges.cut(found, size)
    result = ranges.missing(there, size)
    check_form(result)
    assert numbers(result) == set(range(size)) - numbers(found)
    assert ranges.merged([*result, *there]) == ([(0, size)] if size else [])
    assert ranges.total(result) + ranges.total(there) == size


@given(found=ANY, size=SIZES)
def test_missing_of_more_than_there_is(found, size):
    """Ranges beyond the end, which `cut` was not asked to take away, leave out nothing that is within."""
    result = ranges.missing(ranges.merged(found), size)
    assert numbers(result) & set(range(size)) == set(range(size)) - numbers(found)


@given(found=ANY, size=SIZES)
def test_cut(found, size):
    """Only what lies within the size is left."""
    result = ranges.cut(found, size)
    check_form(result)
    assert numbers(result) == {number for number in numbers(found) if number < size}


@given(found=ANY)
def test_what_was_written_is_read(found):
    """Through JSON and back it is the same; in any order, too."""
    result = ranges.merged(found)
    assert ranges.read(json.loads(json.dumps(result))) == result
    assert ranges.read(json.loads(json.dumps(result[::-1]))) == result


@pytest.mark.parametrize(
    "found",
    [
        None,
        5,
        "0-5",
        {"0": 5},
        [[0]],
        [[0, 5, 6]],
        [0, 5],
        [[5, 5]],
        [[6, 5]],
        [[-1, 5]],
        [[0, 5.0]],
        [[0, True]],
        [["0", "5"]],
        [[0, None]],
        [[0, 5], None],
        [(0, 5)],
        [[0, 5]] * 10_001,
    ],
    ids=lambda found: str(found)[:30],
)
def test_what_is_no_ranges(found):
    """What a record says in any other form is none at all."""
    assert ranges.read(found) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=10,
)


@given(found=JSON | st.lists(st.lists(st.integers(-2, 10), min_size=2, max_size=2), max_size=5))
def test_whatever_a_record_says(found):
    """Nothing that JSON can say makes reading fail, and what is read has the form."""
    check_form(ranges.read(found))


@given(
    found=st.lists(st.tuples(st.integers(0, 1 << 60), st.integers(0, 1 << 60)), max_size=6),
    size=st.integers(0, 1 << 60),
)
def test_large_numbers(found, size):
    """Sizes of any object: what is there and what is missing are the whole."""
    there = ranges.cut(found, size)
    assert ranges.total(there) + ranges.total(ranges.missing(there, size)) == size
