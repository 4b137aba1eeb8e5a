"""SHA-256, from when it is first needed on: with OpenSSL it takes 4 MiB and 3 ms, which no import alone need cost."""

from __future__ import annotations

from functools import lru_cache

TYPE_CHECKING = False
if TYPE_CHECKING:
    from hashlib import _Hash
    from typing import Union

    Block = Union[bytes, bytearray, memoryview]

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # of no bytes


def sha256(data: Block = b"") -> _Hash:
    """A new SHA-256 that has taken these bytes."""
    digest = _empty().copy()  # sooner made than a new one
    digest.update(data)
    return digest


@lru_cache(maxsize=1)
def _empty() -> _Hash:
    from hashlib import sha256  # see above

    return sha256()
