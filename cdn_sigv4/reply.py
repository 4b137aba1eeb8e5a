"""One answer as it comes over the wire: its status, its headers, and its body as raw bytes, undecoded.

Where it comes from is a matter of the subclasses: over a connection of our own (direct.py), or from `requests`, here.
"""

from __future__ import annotations

from http.client import HTTPException, HTTPResponse, IncompleteRead
from io import BytesIO

from urllib3.exceptions import HTTPError

from .answers import content_length
from .errors import InvalidResponse, TransportError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from requests import Response

    Failed = Callable[[Exception], TransportError]

_BLOCK = 64 << 10  # bytes per read of a small answer
_SMALL_BLOCK = 8  # bytes per read of an error's, which has some hundred
BROKEN = (HTTPError, HTTPException, OSError, ValueError)  # what reading from urllib3 and http.client may raise


class Answer:
    """One answer: `status`, `headers` (lower-case names), and its body. Close it, or read it whole.

    `failed` makes the error of what urllib3, http.client and the socket raise.
    """

    def __init__(self, status: int, headers: Mapping[str, str], method: str, failed: Failed) -> None:
        self.status = status
        self.headers = headers
        self._method = method
        self._failed = failed
        self.is_real = True  # it came over a connection

    def _read(self, amount: int) -> bytes:
        raise NotImplementedError

    def _readinto(self, view: memoryview) -> int:
        raise NotImplementedError

    def close(self) -> None:
        """Give the connection up, unless the body was read to its end."""
        raise NotImplementedError

    def read(self, amount: int) -> bytes:
        """At most `amount` bytes; empty at the end, wherever that is: the caller knows how many there must be."""
        try:
            return self._read(amount)
        except BROKEN as error:
            failure = self._failed(error)
        self.close()
        raise failure from None

    def readinto(self, view: memoryview) -> int:
        """Read into this memory, without a copy on the way; the number of bytes, 0 at the end."""
        try:
            return self._readinto(view)
        except BROKEN as error:
            failure = self._failed(error)
        self.close()
        raise failure from None

    def _blocks(self, most: int, step: int = _BLOCK) -> Iterator[bytes]:
        """The body's blocks up to its end, or up to `most` bytes."""
        while most > 0:
            block = self.read(min(most, step))
            if not block:
                return
            most -= len(block)
            yield block

    def read_some(self, limit: int, is_late: Callable[[], bool]) -> bytes:
        """The first `limit` bytes of an error's body, or as many as come in time: the status has said the main thing.

        In small steps: when the connection breaks the layers below lose what the last step had so far.
        """
        body = b""
        try:
            for block in self._blocks(limit, _SMALL_BLOCK):
                body += block
                if is_late():
                    break
            else:
                if len(body) < limit:
                    return body
        except TransportError:
            return body
        self.close()
        return body

    def read_all(self, limit: int) -> bytes:
        """The whole of a small body; InvalidResponse for more than `limit` bytes."""
        body = b"".join(self._blocks(limit + 1))
        if len(body) > limit:
            self.close()
            raise InvalidResponse(f"the answer is longer than the {limit} bytes that it can need", status=self.status)
        length = content_length(self.headers)
        if length is not None and length > len(body) and self._may_have_body:
            raise self._failed(IncompleteRead(body, length - len(body)))  # urllib3 1.26 does not notice
        return body

    @property
    def _may_have_body(self) -> bool:
        return self.status not in (204, 304) and self._method != "HEAD"  # RFC 9112, 6.3


class SessionAnswer(Answer):
    """An answer as `requests` gives it."""

    def __init__(self, response: Response, failed: Failed) -> None:
        headers = {name.lower(): value for name, value in response.headers.items()}
        if "x-cdn-location" in headers:  # see adapter.py
            headers["location"] = headers.pop("x-cdn-location")
        super().__init__(response.status_code, headers, response.request.method or "", failed)
        self._response: Any = response
        source = getattr(response.raw, "_fp", None)
        if isinstance(source, BytesIO):  # a stand-in's (responses, requests-mock): nothing can be cut short
            self.is_real = False
            if self._method != "HEAD":
                headers.setdefault("content-length", str(len(source.getbuffer()) - source.tell()))

    def _read(self, amount: int) -> bytes:
        block: bytes = self._response.raw.read(amount, decode_content=False)
        return block

    def _readinto(self, view: memoryview) -> int:
        raw = self._response.raw
        source = getattr(raw, "_fp", None)  # http.client's answer: urllib3's own `readinto` is a read and a copy
        if not isinstance(source, HTTPResponse):
            block = self._read(len(view))
            view[: len(block)] = block
            return len(block)
        count = source.readinto(view)
        if source.length == 0 and not source.chunked:
            raw.release_conn()
        return count

    def close(self) -> None:
        """Give the connection up, unless the body was read to its end."""
        self._response.close()
