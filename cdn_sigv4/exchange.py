"""One request from question to answer: signed for its moment, sent, and its answer read or turned into a typed error.

Here come together what the floors below keep apart: the clock, the credential, the wire, and the rules of S3.
Each exchange is one request; nothing is tried again.
"""

from __future__ import annotations

import os
import time

from . import answers, s3
from .diagnosis import MAX_ERROR_BYTES, diagnose
from .errors import CDNError, SourceError
from .sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD, Credentials, format_timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar, Union

    from requests import Session

    from .body import Body
    from .endpoint import Endpoint
    from .s3 import Request, SignedRequest
    from .wire import Answer, Wire

    T = TypeVar("T")
    AnyPath = Union[str, "os.PathLike[str]"]

DEFAULT_TIMEOUT = (10.0, 60.0)  # seconds: to connect, and without a byte moved
_FOR_EVER = 1e9  # seconds; more than that a socket does not take
DEFAULT_REGION = "us-east-1"  # where MinIO is as long as it is told nothing else


class Exchange:
    """The settings of one client, checked, and the way that all its requests take. Shared by threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Credentials | None,
        *,
        region: str,
        timeout: tuple[float, float],
        sign_payload: bool,
        verify: bool | AnyPath | None,
        session: Session | None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if credentials is not None and not isinstance(credentials, Credentials):
            raise TypeError(f"credentials must be Credentials or None, not {type(credentials).__name__}")
        if not sign_payload and endpoint.scheme != "https":
            raise ValueError("sign_payload=False needs https: over http nothing else protects the body on its way")
        self.endpoint = endpoint
        self.region = s3.check_scope_name("region", region)
        self.clock = clock
        self._credentials = credentials
        self._sign_payload = sign_payload
        self._timeout = _checked_timeout(timeout)
        self._verify = _checked_verify(verify)
        self._session = session
        self._wire: Wire | None = None
        self._born = os.getpid()

    def send(self, request: Request, body: Body | None = None, success: tuple[int, ...] = (200,)) -> Answer:
        """The answer, its body unread, if its status is one of `success`; else the typed error that it means."""
        failure: CDNError
        try:
            answer = self._connected().send(request, self._signed(request, body), body)
        except SourceError as error:
            failure = about(request, error.with_traceback(None))  # its frames hold the signed headers
        else:
            return self._successful(request, answer, success)
        raise failure from failure.__cause__

    def _successful(self, request: Request, answer: Answer, success: tuple[int, ...]) -> Answer:
        if answer.status in success:
            return answer
        raise self._diagnosed(request, answer, answer.read_some(MAX_ERROR_BYTES))

    def _signed(self, request: Request, body: Body | None) -> SignedRequest:
        payload_hash = EMPTY_SHA256
        if body is not None:  # hashed before the clock is read: a large body takes its time
            payload_hash = body.sha256() if self._sign_payload else UNSIGNED_PAYLOAD
        return s3.signed(
            request,
            self.endpoint,
            self._credentials,
            region=self.region,
            timestamp=format_timestamp(self.clock()),
            payload_hash=payload_hash,
        )

    def ask(
        self, request: Request, body: Body | None = None, success: tuple[int, ...] = (200,)
    ) -> tuple[Answer, bytes]:
        """The same for an operation with a small answer, which is read; S3 also puts errors into a 200."""
        answer = self.send(request, body, success)
        text = self.understood(request, answer, lambda: answer.read_all(answers.MAX_XML_BYTES))
        if b"<Error" in text.lstrip()[:200]:
            raise self._diagnosed(request, answer, text)
        return answer, text

    def understood(self, request: Request, answer: Answer, parse: Callable[[], T]) -> T:
        """What `parse` makes of the answer; if it cannot, the connection is given up, the error gets its evidence."""
        try:
            return parse()
        except CDNError as error:
            answer.close()
            raise about(request, error) from None

    def presigned_url(self, request: Request, expires_in: int) -> str:
        """`request` as a URL for others, in this client's name, from now on."""
        if self._credentials is None:
            raise ValueError("an anonymous client has no key to sign a URL with")
        return s3.presigned_url(
            request,
            self.endpoint,
            self._credentials,
            region=self.region,
            timestamp=format_timestamp(self.clock()),
            expires_in=expires_in,
        )

    def _diagnosed(self, request: Request, answer: Answer, text: bytes) -> CDNError:
        now = self.clock()  # not the time of the signature: a long upload is no wrong clock
        return diagnose(
            request,
            self.endpoint,
            answer.status,
            answer.headers,
            text,
            region=self.region,
            now=now,
            anonymous=self._credentials is None,
        )

    def _connected(self) -> Wire:
        if self._wire is None:
            from .wire import Wire  # noqa: PLC0415 - imports requests: 120 ms that only a first request should cost

            self._wire = Wire(
                str(self.endpoint), timeout=self._timeout, verify=self._verify, session=self._session, born=self._born
            )
        return self._wire

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        if self._wire is not None:
            self._wire.close()

    def __str__(self) -> str:
        key = None if self._credentials is None else self._credentials.access_key
        return f"{str(self.endpoint)!r}, access_key={key!r}, region={self.region!r}"


def about(request: Request, error: CDNError) -> CDNError:
    """`error` with the evidence of which request it was."""
    error.operation, error.bucket, error.key = request.method, request.bucket, request.key
    return error


def _checked_timeout(timeout: tuple[float, float]) -> tuple[float, float]:
    try:
        connect, stall = (float(seconds) for seconds in timeout)
    except (TypeError, ValueError):
        connect = stall = 0.0
    if isinstance(timeout, str) or not (0 < connect < _FOR_EVER and 0 < stall < _FOR_EVER):
        raise ValueError(
            f"timeout must be two positive numbers, seconds to connect and seconds without a byte, not {timeout!r}"
        )
    return connect, stall


def _checked_verify(verify: bool | AnyPath | None) -> bool | str | None:
    if verify is None or isinstance(verify, bool):
        return verify
    path = os.fspath(verify)
    if not os.path.exists(path):
        raise ValueError(f"verify names the CA file {path!r}, which does not exist")
    return path
