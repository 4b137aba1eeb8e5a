"""Sets of bytes of a file, as sorted ranges [first, end) that do not touch. Pure."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import List, Tuple

    Range = Tuple[int, int]
    Ranges = List[Range]

_MIB = 1 << 20
_MOST = 10_000  # ranges of one file: what comes from a record is not believed beyond that


def merged(ranges: Iterable[Range]) -> Ranges:
    """The same bytes in the form above, from ranges in any order, empty ones and overlapping ones among them."""
    result: Ranges = []
    for first, end in sorted(ranges):
        if first >= end:
            continue
        if result and first <= result[-1][1]:
            result[-1] = (result[-1][0], max(end, result[-1][1]))
        else:
            result.append((first, end))
    return result


def missing(ranges: Ranges, size: int) -> Ranges:
    """What the ranges leave out of `size` bytes."""
    firsts = [0, *(end for _, end in ranges)]
    ends = [*(first for first, _ in ranges), size]
    return [(first, end) for first, end in zip(firsts, ends) if first < end]


def total(ranges: Iterable[Range]) -> int:
    """The number of bytes in them."""
    return sum(end - first for first, end in ranges)


def cut(ranges: Iterable[Range], size: int) -> Ranges:
    """What of the ranges lies within the first `size` bytes."""
    return merged((first, min(end, size)) for first, end in ranges)


def read(found: object) -> Ranges:
    """Ranges from a record, none where it is not of their form."""
    if not isinstance(found, list) or len(found) > _MOST:
        return []
    for each in found:
        if not isinstance(each, list) or len(each) != 2 or not all(type(number) is int for number in each):
            return []
        if not 0 <= each[0] < each[1]:
            return []
    return merged((first, end) for first, end in found)


def aligned(place: int) -> int:
    """The next whole MiB: stores keep objects in blocks of that, and disks in pages."""
    return -(-place // _MIB) * _MIB
