"""Faults in the object's own bytes: damaged on the way, by a careless store, or where a broken body is gone on with.

What nobody can detect has no place here: fault_table.py names it.
"""

from __future__ import annotations

import base64
import hashlib
import re
import zlib
from typing import Callable

from fault_link import changed, with_headers
from kit import BUCKET
from kit_calls import md5_tag, xml
from memorystore import MemoryStore, Stored
from misbehaviour import OBJECT, Spoil
from rawhttp import Answer, RawRequest

CHECKSUMS = ("x-amz-checksum",)  # how their names begin
CRC32 = "x-amz-checksum-crc32"


def flipped(data: bytes, at: int | None = None) -> bytes:
    """The data with one bit turned, in the middle."""
    turned = bytearray(data)
    turned[len(data) // 2 if at is None else at] ^= 1
    return bytes(turned)


def crc32(data: bytes) -> str:
    """The CRC32 as S3 writes it."""
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode("ascii")


# -- on the way down


@changed
def flip_down(request: RawRequest, answer: Answer) -> Answer:
    answer.body = flipped(answer.body)
    return answer


@changed
def flip_first(request: RawRequest, answer: Answer) -> Answer:
    """In the first byte, which nobody else fetches."""
    answer.body = flipped(answer.body, 0)
    return answer


@changed
def flip_under_etag(request: RawRequest, answer: Answer) -> Answer:
    """No checksum is stored; the entity tag is the MD5 of the right bytes."""
    answer.body = flipped(answer.body)
    return with_headers(answer, without=CHECKSUMS)


@changed
def flip_under_sha256(request: RawRequest, answer: Answer) -> Answer:
    """An entity tag that is no MD5, and the SHA-256 of the right bytes."""
    digest = base64.b64encode(hashlib.sha256(answer.body).digest()).decode("ascii")
    answer.body = flipped(answer.body)
    return with_headers(answer, without=(*CHECKSUMS, "etag"), ETag='"opaque"', x_amz_checksum_sha256=digest)


@changed
def flip_in_tag(request: RawRequest, answer: Answer) -> Answer:
    """A list, damaged where it shows: `>` behind the root's name becomes `?`."""
    answer.body = flipped(answer.body, answer.body.index(b">", answer.body.index(b"<ListBucketResult")))
    return answer


@changed
def wrong_checksum(request: RawRequest, answer: Answer) -> Answer:
    return with_headers(answer, without=CHECKSUMS, x_amz_checksum_crc32=crc32(answer.body + b"x"))


# -- on the way up


def noticed(code: str) -> Spoil:
    """The link damages the upload, and the store notices."""

    def spoil(request: RawRequest, store: MemoryStore) -> Answer:
        return Answer(400, headers={"x-amz-request-id": "1", "Content-Type": "application/xml"}, body=xml(code))

    return spoil


def kept(describe: Callable[[bytes], dict[str, str]]) -> Spoil:
    """The link damages the upload, and the store keeps what came and describes it truthfully, without comparing."""

    def spoil(request: RawRequest, store: MemoryStore) -> Answer:
        damaged = flipped(request.body)
        store.put(BUCKET, OBJECT, damaged)
        return Answer(headers={"x-amz-request-id": "1", **describe(damaged)})

    return spoil


def as_md5(data: bytes) -> dict[str, str]:
    """Described by the entity tag alone."""
    return {"ETag": md5_tag(data)}


def as_crc32(data: bytes) -> dict[str, str]:
    """Described by a checksum, beside an entity tag that proves nothing."""
    return {"ETag": '"opaque"', "x-amz-checksum-crc32": crc32(data)}


# -- bodies that break off, and are gone on with


def broken_off(on_resume: Spoil, *, replaced: bool = False, **first: str | None) -> Spoil:
    """The answer to a whole GET breaks off in the middle; the one to the request that goes on is `on_resume`'s.

    `replaced`: meanwhile another object of the same size takes the place. `first`: headers of the first answer to
    change, or to leave away where they are None.
    """

    def spoil(request: RawRequest, store: MemoryStore) -> Answer:
        if request.header("range") is not None:
            return on_resume(request, store)
        answer = store(request)
        answer.cut_after = len(answer.body) // 2
        if replaced:
            old = store.objects[BUCKET, OBJECT.encode()]
            store.put(BUCKET, OBJECT, old.body[::-1], old.headers and {CRC32: crc32(old.body[::-1])})
        with_headers(answer, without=tuple(name.lower() for name in first))
        return with_headers(answer, **{name: value for name, value in first.items() if value is not None})

    return spoil


def honest(request: RawRequest, store: MemoryStore) -> Answer:
    return store(request)


def deaf_to(*names: str) -> Spoil:
    """A store that does not look at some headers."""

    def spoil(request: RawRequest, store: MemoryStore) -> Answer:
        request.headers = [(name, value) for name, value in request.headers if name.lower() not in names]
        return store(request)

    return spoil


def partly(change: Callable[[RawRequest, Answer], Answer]) -> Spoil:
    """The right part of an object, with a flaw; If-Match is not looked at."""

    def spoil(request: RawRequest, store: MemoryStore) -> Answer:
        return change(request, deaf_to("if-match")(request, store))

    return spoil


@partly
def part_with_another_etag(request: RawRequest, answer: Answer) -> Answer:
    return with_headers(answer, without=("etag",), ETag='"fedcba9876543210fedcba9876543210"')


@partly
def part_without_etag(request: RawRequest, answer: Answer) -> Answer:
    return with_headers(answer, without=("etag",))


@partly
def part_with_the_etag_asked_for(request: RawRequest, answer: Answer) -> Answer:
    """Whatever is in the store now goes out under the old entity tag (If-Match is gone from the list of headers)."""
    asked = [line for line in request.head.decode("latin-1").split("\r\n") if line.lower().startswith("if-match:")]
    return with_headers(answer, without=("etag",), ETag=asked[0].partition(":")[2].strip())


@partly
def part_damaged(request: RawRequest, answer: Answer) -> Answer:
    answer.body = flipped(answer.body)
    return answer


def part_said_to_be(text: str | None) -> Spoil:
    """The right part, with a Content-Range made of {first}, {last} and {size}, or without one."""

    def change(request: RawRequest, answer: Answer) -> Answer:
        first, last, size = map(int, re.findall("[0-9]+", dict(answer.headers)["Content-Range"]))
        added = (
            {}
            if text is None
            else {
                "Content_Range": text.format(
                    first=first, last=last, size=size, early=first - 1, late=last + 1, more=size + 1
                )
            }
        )
        return with_headers(answer, without=("content-range",), **added)

    return partly(change)


@partly
def part_too_short(request: RawRequest, answer: Answer) -> Answer:
    """Half of what was asked for, and truly labelled."""
    first, _, size = map(int, re.findall("[0-9]+", dict(answer.headers)["Content-Range"]))
    answer.body = answer.body[: len(answer.body) // 2]
    return with_headers(answer, Content_Range=f"bytes {first}-{first + len(answer.body) - 1}/{size}")


# -- ranges of an object that is replaced meanwhile


def replaced(on_range: Spoil) -> Spoil:
    """Each time that a range is asked for, another object of the same size takes the place first."""

    def replace(store: MemoryStore) -> None:
        old = store.objects[BUCKET, OBJECT.encode("ascii")]
        body = old.body[1:] + old.body[:1]
        new = store.put(BUCKET, OBJECT, body, {CRC32: crc32(body)})
        if old.tag is not None:  # one that proves nothing
            new = Stored(body, {}, new.modified, f'"{crc32(body)[:6]}-5"')
        store.objects[BUCKET, OBJECT.encode("ascii")] = new

    def spoil(request: RawRequest, store: MemoryStore) -> Answer:
        with store._lock:
            replace(store)
        return on_range(request, store)

    return spoil
