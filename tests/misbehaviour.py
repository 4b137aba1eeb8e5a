"""A store that misbehaves: the healthy one of memorystore.py, whose first answers, or all of them, are spoiled.

What spoils is a function of the request and the healthy store: it may let the store act and change its answer, or
answer in its place. The faults themselves are in fault_link.py (connection and HTTP), fault_store.py (what S3 says)
and fault_bytes.py (damage, and bodies that break off); what each must lead to is in fault_table.py.
"""

from __future__ import annotations

import functools
import hashlib
import socket
import threading
from typing import Callable, Mapping

from kit import BUCKET, SECRETS
from memorystore import MemoryStore, Stored
from rawhttp import Answer, RawRequest, Wire
from rawserver import RawServer

OBJECT = "key"
OTHER = "next"  # bucket and object of the healthy requests that come after the fault
METHODS = {"put": "PUT", "get": "GET", "download": "GET", "head": "HEAD", "list": "GET", "delete": "DELETE"}
ELSEWHERE = "elsewhere"  # the bucket that redirects lead to: no request may come there

Spoil = Callable[[RawRequest, MemoryStore], Answer]
Meets = Callable[[RawRequest], bool]  # whether the fault is at this request
Stage = Callable[[RawRequest, Callable[[], Answer]], Answer]  # what is done with each answer beside the fault


class Kept(Stored):
    """What is stored; its entity tag is made once, since every request asks for it, and 20 MiB take their time."""

    @functools.cached_property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body).hexdigest()}"'


class HealthyStore(MemoryStore):
    """The store of memorystore.py, with the keys of kit.py."""

    def __init__(self) -> None:
        super().__init__(SECRETS, buckets=(BUCKET, OTHER, ELSEWHERE), strict_query=False)  # boto3 does not sort

    def __call__(self, request: RawRequest) -> Answer:
        request.received = request.body  # as bytes, which nobody needs to copy once more
        return super().__call__(request)

    def put(self, bucket: str, key: str | bytes, body: bytes, headers: Mapping[str, str] | None = None) -> Stored:
        stored = Kept(*super().put(bucket, key, body, headers))
        self.objects[bucket, key.encode("utf-8") if isinstance(key, str) else key] = stored
        return stored


class Misbehaving:
    """The answers of `store`, the first `times` of those that the fault `meets` spoiled; after `heal` none is."""

    def __init__(self, store: MemoryStore, spoil: Spoil, meets: Meets, times: int, stage: Stage | None = None) -> None:
        self.store = store
        self._spoil = spoil
        self._meets = meets
        self._left = times
        self._stage = stage
        self._lock = threading.Lock()

    def __call__(self, request: RawRequest) -> Answer:
        stage = self._stage
        return self._answered(request) if stage is None else stage(request, lambda: self._answered(request))

    def _answered(self, request: RawRequest) -> Answer:
        with self._lock:
            spoiled = self._left > 0 and self._meets(request)
            self._left -= spoiled
        return self._spoil(request, self.store) if spoiled else self.store(request)

    def heal(self) -> None:
        """Spoil nothing any more."""
        with self._lock:
            self._left, self._stage = 0, None


class MeteredServer(RawServer):
    """A server that counts the bytes which it sends. A `deaf` one has a port that refuses, until `open`."""

    def __init__(self, answer: Callable[[RawRequest], Answer], *, deaf: bool = False) -> None:
        super().__init__(answer)
        self.sent = 0
        self._deaf = deaf
        if deaf:
            self._listener.close()
            self._listener = socket.socket()  # bound, so that nobody else gets the port; and not listening
            self._listener.bind(("127.0.0.1", 0))
            self.port = self._listener.getsockname()[1]

    def __enter__(self) -> MeteredServer:  # noqa: PYI034 - Python 3.8 has no Self
        if not self._deaf:
            super().__enter__()
        return self

    def open(self) -> None:
        """Refuse no more."""
        if self._deaf:
            self._deaf = False
            self._listener.listen(64)
            super().__enter__()

    @property
    def moved(self) -> int:
        """Bytes of bodies received, and of answers sent."""
        return self.sent + sum(len(request.received) for request in self.requests)

    def _reply(self, wire: Wire, request: RawRequest, answer: Answer) -> None:
        def counting(data: bytes) -> None:
            self.sent += len(data)
            Wire.send(wire, data)

        wire.send = counting
        super()._reply(wire, request, answer)
