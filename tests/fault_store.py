"""Faults in what the store, or somebody in its place, says: statuses, redirects, errors where none belong, XML."""

from __future__ import annotations

import datetime as dt
import email.utils
from typing import Mapping

from fault_link import LAST_CHUNK, changed, with_headers
from kit import BUCKET
from kit_calls import xml
from memorystore import MemoryStore
from misbehaviour import ELSEWHERE, OBJECT, Spoil
from rawhttp import Answer, RawRequest, chunked

S3 = {"x-amz-request-id": "0123456789ABCDEF"}
XML = {**S3, "Content-Type": "application/xml"}
PAGE = b"<!DOCTYPE html><html><body>Sign in to the hotel's network</body></html>"
ENDLESS = 9 << 20  # bytes that are sent of an endless body: more than any small answer can need


def says(status: int, code: str | None = None, body: bytes | None = None, **headers: str) -> Spoil:
    """Answer in the store's place, which does not act: S3's error of that code, or the given body, or none."""
    document = body if body is not None else xml(code) if code else b""

    def spoil(request: RawRequest, store: MemoryStore) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return Answer(status, headers={**XML, **named}, body=b"" if request.method == "HEAD" else document)

    return spoil


def says_early(status: int, code: str) -> Spoil:
    """Answer before the body of the upload has come, and end the connection without reading all of it."""

    def spoil(request: RawRequest, store: MemoryStore) -> Answer:
        return Answer(status, headers=XML, body=xml(code), before_body=True, close=True)

    return spoil


def redirect(status: int, *, located: bool) -> Spoil:
    """Send the client to another bucket of the same server, where an object of that name lies ready."""

    def spoil(request: RawRequest, store: MemoryStore) -> Answer:
        location = f"http://{request.header('host')}/{ELSEWHERE}/{OBJECT}"
        body = b"" if request.method == "HEAD" else xml("PermanentRedirect")
        return Answer(status, headers={**XML, **({"Location": location} if located else {})}, body=body)

    return spoil


def skewed(request: RawRequest, store: MemoryStore) -> Answer:
    """The clocks differ by two hours, says the store, and when it is by its own."""
    there = dt.datetime.now(dt.timezone.utc) + dt.timedelta(hours=2)
    headers = {**XML, "Date": email.utils.format_datetime(there, True)}
    return Answer(403, headers=headers, body=b"" if request.method == "HEAD" else xml("RequestTimeTooSkewed"))


def portal(request: RawRequest, store: MemoryStore) -> Answer:
    """A captive portal: 200 and a page of its own, whatever is asked."""
    return Answer(200, headers={"Content-Type": "text/html"}, body=PAGE)


def error_in_200(etag: Mapping[str, str] | None = None) -> Spoil:
    """S3's error document under the status 200; `etag`: with these headers beside."""

    def spoil(request: RawRequest, store: MemoryStore) -> Answer:
        return Answer(200, headers={**XML, **(etag or {})}, body=xml("InternalError"))

    return spoil


@changed
def error_for_object(request: RawRequest, answer: Answer) -> Answer:
    """The object's headers, and S3's error document in the place of its bytes."""
    answer.body = xml("InternalError")
    return answer


@changed
def no_etag(request: RawRequest, answer: Answer) -> Answer:
    return with_headers(answer, without=("etag",))


# -- XML


def _root(request: RawRequest) -> bytes:
    return b"ListBucketResult" if b"list-type" in request.query else b"Error"


def bomb(status: int) -> Spoil:
    """Twelve levels of entities, each ten of the one before: a million million times ten bytes, if it is let."""

    def spoil(request: RawRequest, store: MemoryStore) -> Answer:
        levels = [b'<!ENTITY %c "%s">' % (98 + level, b"&%c;" % (97 + level) * 10) for level in range(12)]
        start = b'<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">' + b"".join(levels)
        body = start + b"]><%s><Code>&m;</Code></%s>" % ((_root(request),) * 2)
        return Answer(status, headers=XML, body=b"" if request.method == "HEAD" else body)

    return spoil


def without_end(body: bytes) -> bytes:
    """The body in chunks, of which none is the last."""
    return chunked(body, 1 << 16)[: -len(LAST_CHUNK)]


def endless(status: int) -> Spoil:
    """XML that opens and never ends, in chunks, so that no length warns of it."""

    def spoil(request: RawRequest, store: MemoryStore) -> Answer:
        body = without_end(b"<%s>" % _root(request) + b"<x>" * (ENDLESS // 3))
        return Answer(status, headers={**XML, "Transfer-Encoding": "chunked"}, body=body)

    return spoil


@changed
def endless_answer(request: RawRequest, answer: Answer) -> Answer:
    """The right head, and then a body that has no end."""
    answer.body = without_end(b" " * ENDLESS)
    return with_headers(answer, Transfer_Encoding="chunked")


@changed
def list_without_end_tag(request: RawRequest, answer: Answer) -> Answer:
    answer.body = answer.body[: -len("</ListBucketResult>")]
    return answer


def on_page_two(spoil: Spoil) -> Spoil:
    """The first page of a list as it is, and the fault in the one that follows."""

    def on_second(request: RawRequest, store: MemoryStore) -> Answer:
        return spoil(request, store) if b"continuation-token" in request.query else store(request)

    return on_second


def first_page(request: RawRequest, store: MemoryStore) -> Answer:
    """What a cache does that leaves part of the query out of account."""
    body = store._on_bucket(request, BUCKET, {"list-type": b"2", "encoding-type": b"url"}).body
    return Answer(headers=XML, body=body)
