"""A store behind a bad link, and a mixture of all operations on it, each worker with keys and bytes of its own."""

from __future__ import annotations

import dataclasses
import hashlib
import random
import threading
from typing import TYPE_CHECKING, Any

import pytest
from kit import BUCKET
from rawserver import Answer

from cdn_sigv4 import NotFound

if TYPE_CHECKING:
    import pathlib

    from memorystore import MemoryStore
    from rawhttp import RawRequest

    from cdn_sigv4 import S3Client


def body_of(key: str) -> bytes:
    """Some thousand bytes that belong to one key and no other."""
    return hashlib.sha256(key.encode("utf-8")).digest() * (100 + len(key) * 7)


class BadLink:
    """A store of which every so many answers is a 503, a reset, one that is cut short, or one with a bit that turned.

    The kinds come in turn, by the requests' number, so that each run has the same share of them. `seen` counts them.
    """

    def __init__(self, store: MemoryStore, every: int) -> None:
        self._store, self._every = store, every
        self._lock = threading.Lock()
        self._number = 0
        self._damaged: set[bytes] = set()
        self.seen = {"busy": 0, "reset": 0, "lost": 0, "cut": 0, "turned": 0}

    def __call__(self, request: RawRequest) -> Answer:
        with self._lock:
            self._number += 1
            kind = list(self.seen)[self._number // self._every % len(self.seen)]
            is_bad = self._number % self._every == 0
            if is_bad:
                self.seen[kind] += 1
        return getattr(self, f"_{kind}")(request) if is_bad else self._store(request)

    def _busy(self, request: RawRequest) -> Answer:
        return Answer(503, headers={"Retry-After": "60"}, body=b"<Error><Code>SlowDown</Code></Error>")

    def _reset(self, request: RawRequest) -> Answer:
        return Answer(reset=True)

    def _lost(self, request: RawRequest) -> Answer:
        """The store has acted, and its answer does not come."""
        self._store(request)
        return Answer(reset=True)

    def _cut(self, request: RawRequest) -> Answer:
        answer = self._store(request)
        return dataclasses.replace(answer, cut_after=len(answer.body) // 2)

    def _turned(self, request: RawRequest) -> Answer:
        answer = self._store(request)
        # In an error's or a list's XML a bit could turn one key into another, which no checksum is there to tell.
        if request.method != "GET" or answer.status != 200 or b"list-type" in request.query:
            return answer
        with self._lock:
            if request.target in self._damaged:  # twice would be damage in the store
                return answer
            self._damaged.add(request.target)
        body = bytearray(answer.body)
        body[len(body) // 2] ^= 4
        return dataclasses.replace(answer, body=bytes(body))


def mixture(client: S3Client, worker: str, folder: pathlib.Path, rounds: int) -> None:
    """All operations in a seeded order; each result is compared with what the worker knows that it must be."""
    chance = random.Random(worker)
    mine: set[str] = set()
    for number in range(rounds):
        new, some = f"{worker}/{number}", chance.choice(sorted(mine)) if mine else None
        kind = chance.choice(["put", "get", "read", "head", "list", "delete", "download", "missing"])
        if kind == "put" or some is None:
            info = client.put_object(BUCKET, new, body_of(new), metadata={"worker": worker})
            _same((info.etag, info.size), (_tag(new), len(body_of(new))))
            mine.add(new)
        elif kind == "delete":
            client.delete_object(BUCKET, some)
            mine.remove(some)
        else:
            _look(client, kind, worker, some, mine, folder / worker)
    for key in mine:
        client.delete_object(BUCKET, key)


def _look(client: S3Client, kind: str, worker: str, key: str, mine: set[str], target: pathlib.Path) -> None:
    if kind == "get":
        with client.get_object(BUCKET, key) as reader:
            _same((reader.read(), reader.info.metadata), (body_of(key), {"worker": worker}))
    elif kind == "read":  # block by block: what came before the link broke is not handed out again
        with client.get_object(BUCKET, key, start=1) as reader:
            _same(b"".join(iter(lambda: reader.read(1000), b"")), body_of(key)[1:])
    elif kind == "head":
        _same(client.head_object(BUCKET, key).etag, _tag(key))
    elif kind == "list":
        _same({entry.key for entry in client.list_objects(BUCKET, f"{worker}/")}, mine)
    elif kind == "download":
        client.download_file(BUCKET, key, target, durable=False)
        _same(target.read_bytes(), body_of(key))
    else:
        with pytest.raises(NotFound):
            client.get_object(BUCKET, f"{worker}/missing")


def _tag(key: str) -> str:
    return f'"{hashlib.md5(body_of(key)).hexdigest()}"'


def _same(found: Any, expected: Any) -> None:
    if found != expected:
        raise AssertionError(f"{found!r:.200} instead of {expected!r:.200}")
