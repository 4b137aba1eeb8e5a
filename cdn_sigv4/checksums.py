"""Checksums of a stream: made in one pass, named as S3 names them, and compared with what a store says.

Rules: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html (checksums, full-object and
composite), .../API/API_Object.html (when an entity tag is an MD5). CRC32C and CRC64NVME are left out: in pure Python
they run at 10 MB/s.
"""

from __future__ import annotations

import binascii
from functools import lru_cache

from .errors import IntegrityError
from .hashes import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Protocol, Union

    Block = Union[bytes, bytearray, memoryview]

    class Digest(Protocol):
        """What is fed with blocks, and then asked."""

        def update(self, data: Block, /) -> None:
            """Take one block more."""

        def digest(self) -> bytes:
            """The checksum of all blocks."""


MODE = {"x-amz-checksum-mode": "ENABLED"}  # the header by which a GET or HEAD asks for what is stored
PARALLEL_SIZE = 8 << 20  # bytes from which on a second checksum is worth a thread
_SIZES = {"crc32": 4, "sha256": 32, "sha1": 20, "md5": 16}  # bytes of a checksum
STORED = ("crc32", "sha256", "sha1")  # what can be checked of what stores keep, the cheapest first


class Crc32:
    """CRC-32 of ISO 3309, as in zlib, with the face of a hash."""

    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Block, /) -> None:
        """Take one block more."""
        self._value = binascii.crc32(data, self._value)

    def digest(self) -> bytes:
        """Four bytes, the highest first, as S3 has them."""
        return self._value.to_bytes(4, "big")


# Polynomials over GF(2) modulo CRC-32's, lowest power in the highest bit, as in zlib's crc32.c (multmodp, x2nmodp).
_POLYNOMIAL, _ONE, _X = 0xEDB88320, 1 << 31, 1 << 30


def combined_crc32(first: bytes, second: bytes, size: int) -> bytes:
    """The CRC32 of two pieces in a row from that of each; `size`: bytes of the second.

    To append n bytes multiplies the first piece's remainder by x to the power of 8n.
    """
    shifted = _multiply(_shift(size), int.from_bytes(first, "big"))
    return (shifted ^ int.from_bytes(second, "big")).to_bytes(4, "big")


def _multiply(one: int, other: int) -> int:
    product = 0
    while one:
        if one & _ONE:
            product ^= other
        one = one << 1 & 0xFFFFFFFF
        other = other >> 1 ^ _POLYNOMIAL if other & 1 else other >> 1
    return product


@lru_cache(maxsize=64)  # all parts of an upload but the last have one size
def _shift(size: int) -> int:
    result, power, bits = _ONE, _X, 8 * size
    while bits:
        if bits & 1:
            result = _multiply(power, result)
        power = _multiply(power, power)
        bits >>= 1
    return result


def new(name: str) -> Digest:
    """A new "crc32", "sha256", "sha1" or "md5"."""
    if name == "crc32":
        return Crc32()
    if name == "sha256":
        return sha256()
    import hashlib

    make = {"sha1": hashlib.sha1, "md5": hashlib.md5}[name]
    try:
        return make(usedforsecurity=False)  # type: ignore[call-arg] # a FIPS build has them for this alone
    except TypeError:  # Python 3.8 does not know the word
        return make()


def digests(blocks: Iterable[Block], names: Iterable[str], size: int) -> dict[str, bytes]:
    """The checksums of all blocks, `size` bytes together, in one pass; the second in a thread of its own if it pays.

    `size` 0 says that it does not: others are at work beside. Both release the interpreter while they compute, so on
    two cores the second is nearly free.
    """
    made = {name: new(name) for name in names}
    *rest, last = made.values()
    beside = _started(last) if rest and size >= PARALLEL_SIZE else None
    takers: list[Digest | Beside] = [last, *rest] if beside is None else [beside, *rest]
    try:
        for block in blocks:
            for taker in takers:
                taker.update(block)
    finally:
        if beside is not None:
            beside.end()
    return {name: digest.digest() for name, digest in made.items()}


def _started(digest: Digest) -> Beside | None:
    """The digest in a thread of its own; None where there is none to be had."""
    try:
        return Beside(digest)
    except RuntimeError:  # a limit of the system's, or the interpreter is about to end
        return None


class Beside:
    """A digest that is made in a thread of its own, one block behind whoever brings them."""

    def __init__(self, digest: Digest) -> None:
        from queue import SimpleQueue
        from threading import Thread

        self._digest = digest
        self._blocks: SimpleQueue[Block | None] = SimpleQueue()
        self._taken: SimpleQueue[None] = SimpleQueue()
        self._taken.put(None)
        self._failure: BaseException | None = None
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            block = self._blocks.get()
            if block is None:
                return
            try:
                if self._failure is None:
                    self._digest.update(block)
            except BaseException as error:  # noqa: BLE001 - raised where the digest is asked for
                self._failure = error
            del block
            self._taken.put(None)

    def update(self, block: Block) -> None:
        """Take one block more, when the one before is done with: no more than two are held."""
        self._taken.get()
        self._blocks.put(block)

    def end(self) -> None:
        """Wait until all is taken; then the digest has it."""
        self._blocks.put(None)
        self._thread.join()
        if self._failure is not None:
            raise self._failure


def header(name: str, digest: bytes) -> dict[str, str]:
    """The header that carries a checksum."""
    return {f"x-amz-checksum-{name}": base64(digest)}


def base64(digest: bytes) -> str:
    """A checksum as S3 writes it."""
    return binascii.b2a_base64(digest, newline=False).decode("ascii")


def stored(headers: Mapping[str, str], *, etag_is_md5: bool = True) -> tuple[str, bytes] | None:
    """Name and value of a checksum by which a whole object can be proved, from an answer's headers; None without one.

    A composite checksum (of the parts' checksums) and an entity tag that is no MD5 prove nothing about the whole; nor
    does what has not the form of a checksum.
    """
    if headers.get("x-amz-checksum-type", "FULL_OBJECT").upper() == "FULL_OBJECT":
        for name in STORED:
            value = _decoded(name, headers.get(f"x-amz-checksum-{name}"))
            if value is not None:
                return name, value
    value = _md5(headers) if etag_is_md5 else None
    return None if value is None else ("md5", value)


def composite(headers: Mapping[str, str]) -> tuple[str, bytes, int] | None:
    """Name, value and number of parts of a checksum of the parts' checksums; None without one that can be made here."""
    for name in STORED:
        text, _, count = headers.get(f"x-amz-checksum-{name}", "").partition("-")
        value = _decoded(name, text)
        if value is not None and _is_count(count):
            return name, value, int(count)
    return None


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6 and int(text) > 0


def composite_etag(headers: Mapping[str, str]) -> tuple[bytes, int] | None:
    """The MD5 of the parts' MD5s, and the number of parts, that an entity tag of a multipart upload most often is."""
    tag, _, count = headers.get("etag", "").strip('"').partition("-")
    value = _md5({**headers, "etag": f'"{tag}"'})
    return (value, int(count)) if value is not None and _is_count(count) else None


def of_parts(name: str, parts: Iterable[bytes]) -> bytes:
    """The composite checksum of parts that have these checksums."""
    digest = new(name)
    for part in parts:
        digest.update(part)
    return digest.digest()


def _decoded(name: str, text: str | None) -> bytes | None:
    if not text:
        return None
    try:
        value = binascii.a2b_base64(text)
    except ValueError:  # no base64, or no ASCII
        return None
    return value if len(value) == _SIZES[name] and base64(value) == text else None


def _md5(headers: Mapping[str, str]) -> bytes | None:
    """The MD5 that an entity tag is: 32 hex digits, and no encryption with a key that the store does not own."""
    tag = headers.get("etag", "")
    if len(tag) != 34 or not tag[0] == tag[-1] == '"' or tag[1:-1].strip("0123456789abcdefABCDEF"):
        return None
    if headers.get("x-amz-server-side-encryption", "").startswith("aws:kms"):
        return None
    if "x-amz-server-side-encryption-customer-algorithm" in headers:
        return None
    return bytes.fromhex(tag[1:-1])


class Verifier:
    """Takes a whole object's bytes and compares them, at the end, with what the store says they are."""

    def __init__(self, name: str, expected: bytes) -> None:
        self.name = name
        self._expected = expected
        self._digest = new(name)
        self.update = self._digest.update

    def check(self) -> None:
        """IntegrityError unless the bytes taken are the object's."""
        compare(self.name, self._digest.digest(), self._expected)


def compare(name: str, ours: bytes, theirs: bytes) -> None:
    """IntegrityError where the checksum of the bytes here is not the one that the store gave."""
    if ours == theirs:
        return
    if name == "md5":
        text = f"the bytes here have the MD5 {ours.hex()}, the entity tag is {theirs.hex()}"
        hint = "Damaged on the way; if this store's entity tags are no MD5s, say etag_is_md5=False."
    else:
        text = f"the bytes here have the {name} {base64(ours)}, the store's is {base64(theirs)}"
        hint = "Damaged on the way, or in the store."
    raise IntegrityError(text, hint=hint)
