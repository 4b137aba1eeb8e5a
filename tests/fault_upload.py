"""Faults that only an upload in parts can meet: at its parts, at its completion, and at the list of its parts."""

from __future__ import annotations

import dataclasses
import re
from typing import Callable

from fault_bytes import crc32, flipped
from fault_link import changed
from kit import BUCKET
from kit_calls import md5_tag
from memorymultipart import Part
from memorystore import MemoryStore
from misbehaviour import OBJECT, Spoil
from rawhttp import Answer, RawRequest

DECLARATION = b"<?xml version='1.0' encoding='UTF-8'?>\n"
SPACES = b" " * 2000  # which keep the connection alive while a store puts the parts together


def numbered(request: RawRequest, store: MemoryStore) -> tuple[dict[int, Part], int]:
    """The parts of the one open upload, and the number of the one that is sent."""
    (upload,) = store.uploads.values()
    return upload.parts, int(re.findall(b"partNumber=([0-9]+)", request.query)[0])


# -- parts


def part_kept(describe: Callable[[bytes], dict[str, str]]) -> Spoil:
    """The link damages a part, and the store keeps what came and describes it truthfully, without comparing."""

    def spoil(request: RawRequest, store: MemoryStore) -> Answer:
        answer = store(request)
        parts, number = numbered(request, store)
        damaged = flipped(parts[number].body)
        parts[number] = parts[number]._replace(body=damaged, etag=md5_tag(damaged), sums={"CRC32": crc32(damaged)})
        return Answer(headers={"x-amz-request-id": "1", **describe(damaged)}) if answer.status == 200 else answer

    return spoil


def part_spoilt_at_rest(request: RawRequest, store: MemoryStore) -> Answer:
    """The part has come and is answered as it should be; its bytes are damaged in the store."""
    answer = store(request)
    parts, number = numbered(request, store)
    parts[number] = parts[number]._replace(body=flipped(parts[number].body))
    return answer


def part_lost_at_rest(request: RawRequest, store: MemoryStore) -> Answer:
    """The part has come and is answered as it should be, and then the store does not have it."""
    answer = store(request)
    parts, number = numbered(request, store)
    del parts[number]
    return answer


@changed
def part_of_other_bytes(request: RawRequest, answer: Answer) -> Answer:
    """The right part is kept; the answer has the entity tag of other bytes."""
    return Answer(headers={"x-amz-request-id": "1", "ETag": md5_tag(b"other bytes")})


def upload_gone(request: RawRequest, store: MemoryStore) -> Answer:
    """Somebody has aborted the upload, or its time was over."""
    store.uploads.clear()
    return store(request)


# -- the first request


def with_id(text: bytes) -> Spoil:
    """The right answer with another upload id."""
    return edited(lambda body: re.sub(b"<UploadId>.*</UploadId>", text, body))


def edited(edit: Callable[[bytes], bytes]) -> Spoil:
    """The store acts, and its success is told with another body. What a HEAD says nobody can see through."""

    def change(request: RawRequest, answer: Answer) -> Answer:
        is_told = answer.status == 200 and request.method != "HEAD"
        return dataclasses.replace(answer, body=edit(answer.body)) if is_told else answer

    return changed(change)


# -- the completion


def behind_declaration(middle: bytes) -> Callable[[bytes], bytes]:
    """Something between a document's declaration and its root."""
    return lambda body: body[: body.index(b"?>") + 2] + middle + body[body.index(b"?>") + 2 :]


def lost(
    look: Spoil,
    *,
    does: Callable[[RawRequest, MemoryStore], object] = lambda request, store: store(request),
    then: Callable[[MemoryStore], object] = lambda store: None,
    again: Spoil | None = None,
) -> Spoil:
    """The completion of an upload that is open gets no answer; the store `does` something, and `then` somebody else.

    The repetition is answered as it should be, or by `again`; a look for the object (HEAD) by `look`.
    """

    def spoil(request: RawRequest, store: MemoryStore) -> Answer:
        if request.method == "HEAD":
            return look(request, store)
        if not store.uploads:
            return store(request) if again is None else again(request, store)
        done = does(request, store)
        then(store)
        return done if isinstance(done, Answer) and done.status != 200 else Answer(reset=True)

    return spoil


def drops(request: RawRequest, store: MemoryStore) -> None:
    """The store forgets the upload, and makes no object of it."""
    assert request.body
    store.uploads.clear()


def another_comes(store: MemoryStore) -> None:
    """Another writer's object takes the place."""
    store.put(BUCKET, OBJECT, b"another's")


def object_goes(store: MemoryStore) -> None:
    """Somebody deletes the object."""
    store.objects.pop((BUCKET, OBJECT.encode("ascii")), None)


# -- the list of parts


def listed(pattern: bytes, replacement: bytes) -> Spoil:
    """Something else in the list, each time that it stands there."""
    return edited(lambda body: re.sub(pattern, replacement, body))


@changed
def first_parts_again(request: RawRequest, answer: Answer) -> Answer:
    """A list of which each page says that more follows, behind the same place."""
    body = re.sub(b"<IsTruncated>.*?</IsTruncated>", b"<IsTruncated>true</IsTruncated>", answer.body)
    answer.body = re.sub(
        b"<NextPartNumberMarker>.*?</NextPartNumberMarker>", b"<NextPartNumberMarker>1</NextPartNumberMarker>", body
    )
    return answer
