"""A file on this machine compared with an object: by a checksum of the whole, else by those of its parts.

Which bytes were a part is asked with HEAD and `partNumber`; that they are all of one size but the last is tried first.
Rules: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html, .../API/API_HeadObject.html
"""

from __future__ import annotations

import os

from . import answers, checksums
from .body import BLOCK
from .errors import CDNError, IntegrityError
from .files import read_at
from .s3 import Request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO, Tuple

    from .answers import ObjectInfo
    from .exchange import Exchange
    from .reply import Answer

    Proof = Tuple[str, bytes, int]
    Read = Callable[[int, int], bytes]  # so many bytes at most, from there on


def proof_of_parts(info: ObjectInfo, *, etag_is_md5: bool) -> Proof | None:
    """Name, value and number of parts of what can prove an object in parts: a composite checksum, or an MD5 of MD5s."""
    found = checksums.composite(info.headers)
    tag = checksums.composite_etag(info.headers) if found is None and etag_is_md5 else None
    return found if tag is None else ("md5", *tag)


def compare_parts(
    exchange: Exchange, request: Request, info: ObjectInfo, proof: Proof, read: Read, *, is_certain: bool
) -> bool | None:
    """Whether the bytes that `read` gives are the object's parts; None where the store does not say what these are.

    Where the first part and the last have the sizes of even ones, all parts are asked for only to be certain.
    """
    name, expected, count = proof
    size = info.size or 0
    sizes = _sizes(exchange, request, info, count, 1)
    if sizes is None:
        return None
    first = sizes[0]
    last = size - first * (count - 1)
    if 0 < last <= first or count == 1:
        if _composite(name, [first] * (count - 1) + [last], read) == expected:
            return True
        if count <= 2 or (not is_certain and _sizes(exchange, request, info, count, 1, count) == [last]):
            return False
    uneven = _sizes(exchange, request, info, count, count)
    if uneven is None or sum(uneven) != size:
        return None
    return _composite(name, uneven, read) == expected


def _composite(name: str, sizes: list[int], read: Read) -> bytes | None:
    parts, place = [], 0
    for size in sizes:
        digest, end = checksums.new(name), place + size
        while place < end:
            block = read(min(end - place, BLOCK), place)
            if not block:
                return None
            digest.update(block)
            place += len(block)
        parts.append(digest.digest())
    return checksums.of_parts(name, parts)


def _sizes(
    exchange: Exchange, request: Request, info: ObjectInfo, count: int, most: int, first: int = 1
) -> list[int] | None:
    """The sizes of so many of the object's parts from the `first` on; None where the store does not know parts."""

    def size(answer: Answer, _: bytes) -> int | None:
        is_part = answer.headers.get("x-amz-mp-parts-count") == str(count) and answer.headers.get("etag") == info.etag
        return answers.content_length(answer.headers) if is_part else None

    headers = {name: value for name, value in request.headers.items() if not name.startswith("if-")}
    sizes = []
    for number in range(first, first + most):
        query = {**request.query, "partNumber": str(number)}
        asked = Request("HEAD", request.bucket, request.key, query, headers)
        try:
            found = exchange.ask(asked, size, success=(200, 206))
        except CDNError:
            return None
        if not found:
            return None
        sizes.append(found)
    return sizes


def check_parts(exchange: Exchange, request: Request, info: ObjectInfo, read: Read) -> str | None:
    """By which checksum of its parts an object is proved to be what `read` gives; None: by none.

    IntegrityError where a composite checksum says that it is another one.
    """
    proof = proof_of_parts(info, etag_is_md5=False)
    if proof is None:
        return None
    is_same = compare_parts(exchange, request, info, proof, read, is_certain=True)
    if is_same is False:
        raise IntegrityError(
            f"the bytes here have not the {proof[0]} that the store's parts have",
            hint="Damaged on the way, or in the store.",
        )
    return proof[0] if is_same else None


def unchanged(exchange: Exchange, request: Request, path: str, *, etag_is_md5: bool) -> tuple[ObjectInfo, str] | None:
    """The object, if the file at `path` is known to have its bytes, and by which checksum; None otherwise."""
    try:
        file = open(path, "rb")  # noqa: SIM115 - what is tried is this alone
    except OSError:  # there is none, or none that can be read
        return None
    with file:
        try:
            return _same(exchange, request, file, etag_is_md5=etag_is_md5)
        except CDNError:  # the GET that comes next says more
            return None


def _same(exchange: Exchange, request: Request, file: BinaryIO, *, etag_is_md5: bool) -> tuple[ObjectInfo, str] | None:
    asked = Request("HEAD", request.bucket, request.key, request.query, request.headers)
    info = exchange.ask(asked, lambda answer, _: answers.headed(asked, answer.headers))
    size = os.fstat(file.fileno()).st_size
    if info.size != size:
        return None
    found = checksums.stored(info.headers, etag_is_md5=etag_is_md5)
    if found is not None:
        name, theirs = found
        ours = checksums.digests(iter(lambda: file.read(BLOCK), b""), [name], size)[name]
        return (info, name) if ours == theirs else None
    proof = proof_of_parts(info, etag_is_md5=etag_is_md5)
    if proof is None:
        return None
    read = lambda amount, place: read_at(file, amount, place)  # noqa: E731
    return (info, proof[0]) if compare_parts(exchange, asked, info, proof, read, is_certain=False) else None
