"""One operation from question to answer: signed for its moment, sent, read, and tried again where that is right.

Here come together what the floors below keep apart: the clock, the credential, the wire, the rules of S3, and those of
retry.py. Each attempt is signed anew, with what the last answer taught of the server's clock and of the region.
"""

from __future__ import annotations

import os
import time

from . import answers, s3
from .credentials import Credentials, Fixed
from .errors import CDNError, CredentialsError, ObjectChanged, ResponseError, SourceError
from .hashes import EMPTY_SHA256
from .outcome import kept_damage, may_be_our_own, told
from .retry import Event, Patience, Quota, Retry, hand_over
from .sigv4 import UNSIGNED_PAYLOAD, format_timestamp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar, Union

    from requests import Session

    from .body import Body
    from .endpoint import Endpoint
    from .reply import Answer
    from .rotation import Rotation
    from .s3 import Request
    from .wire import Wire

    T = TypeVar("T")
    Keys = Union[Credentials, Callable[[], Credentials], None]
    AnyPath = Union[str, "os.PathLike[str]"]

MAX_ERROR_BYTES = 64 << 10  # an error's XML has some hundred bytes; no more than this is read of it
DEFAULT_TIMEOUT = (10.0, 60.0)  # seconds: to connect, and without a byte moved
_FOR_EVER = 1e9  # seconds; more than that a socket does not take
DEFAULT_RETRY = Retry()
DEFAULT_REGION = "us-east-1"  # where MinIO is as long as it is told nothing else


class Exchange:
    """The settings of one client, checked, and the way that all its requests take. Shared by threads.

    `region` is the one that was given; other ones, and `offset` (seconds that the server's clock is before this
    machine's), are learnt from answers. What it asks of the world outside is here to be replaced: `clock`,
    `monotonic`, `sleep`, `random`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: Keys,
        *,
        region: str,
        timeout: tuple[float, float],
        retry: Retry | None,
        sign_payload: bool,
        verify: bool | AnyPath | None,
        session: Session | None,
        on_event: Callable[[Event], object] | None,
    ) -> None:
        if not sign_payload and endpoint.scheme != "https":
            raise ValueError("sign_payload=False needs https: over http nothing else protects the body on its way")
        if retry is not None and not isinstance(retry, Retry):
            raise TypeError(f"retry must be a Retry, or None to try nothing again, not {type(retry).__name__}")
        if on_event is not None and not callable(on_event):
            raise TypeError("on_event must be callable with an Event")
        self.endpoint = endpoint
        self.region = s3.check_scope_name("region", region)
        self._regions: dict[str, str] = {}  # of buckets, as answers have named them; "" for those not asked yet
        self.offset = 0.0
        self.sign_payload = sign_payload
        self.clock = time.time
        self.monotonic = time.monotonic
        self.sleep = time.sleep
        self.random = _random
        self._timeout = _checked_timeout(timeout)
        self._retry = Retry(attempts=1) if retry is None else retry
        self._quota = Quota()
        self._verify = _checked_verify(verify)
        self._session = session
        self._on_event = on_event
        self._wires: list[Wire] = []  # the first one is used; threads that come at once may make more
        self._born = os.getpid()
        self._keys: Fixed | Rotation = Fixed(None)
        if credentials is None or isinstance(credentials, Credentials):
            self._keys = Fixed(credentials)
        elif callable(credentials) and not isinstance(credentials, type):
            from .rotation import Rotation

            self._keys = Rotation(credentials, self.now, on_event)
        else:
            raise TypeError(
                "credentials must be Credentials, a function that gives them, or None to be anonymous, not"
                f" {credentials if isinstance(credentials, type) else type(credentials).__name__}"
            )

    def patience(self, retry: Retry | None = None, others: Callable[[], int] = int) -> Patience:
        """The attempts of a new operation. `retry`: no more than these; `others`: see `Patience`."""
        if retry is None or self._retry.attempts < retry.attempts:
            retry = self._retry
        return Patience(retry, self._quota, self.monotonic, self.random, others)

    def ask(
        self,
        request: Request,
        parse: Callable[[Answer, bytes], T],
        body: Body | None = None,
        success: tuple[int, ...] = (200,),
        found_out: Callable[[CDNError], T] | None = None,
        patience: Patience | None = None,
    ) -> T:
        """What `parse` makes of a small answer, which is read whole; S3 also puts errors into a 200. See `begin`."""

        def whole(answer: Answer) -> T:
            text = answer.read_all(answers.MAX_XML_BYTES)
            # While S3 puts an object together it sends spaces, behind the declaration (API_CompleteMultipartUpload).
            root = text.lstrip()
            if root.startswith(b"<?xml"):
                root = root.partition(b"?>")[2].lstrip()
            if b"<Error" in root[:200]:
                raise self._diagnosed(request, answer, text, self._region(request), self.now())
            return parse(answer, text)

        return self.begin(request, whole, body, success, patience=patience, found_out=found_out)

    def begin(
        self,
        request: Request,
        parse: Callable[[Answer], T],
        body: Body | None = None,
        success: tuple[int, ...] = (200,),
        *,
        patience: Patience | None = None,
        found_out: Callable[[CDNError], T] | None = None,
    ) -> T:
        """What `parse` makes of the answer, if its status is one of `success`; else the typed error, in the end.

        `patience`: the attempts of an operation that is under way already. `found_out` is asked when an earlier answer
        was lost and the last one refuses: it may be the first attempt's own success that stands in the way.
        """
        tries = self.patience() if patience is None else patience
        if body is not None:
            body.heard = tries.heard
        before: list[CDNError] = []
        while True:
            try:
                result = self._attempt(request, parse, body, success)
            except CDNError as error:
                failure = error.with_traceback(None)  # its frames hold the signed headers
                tries.mark(failure)
            else:
                tries.done()
                return result
            if isinstance(failure, ObjectChanged) or not self.again("retry", failure, tries):
                break
            before.append(failure)
        if request.is_write:
            damage = kept_damage(failure, before)
            if damage is None and found_out is not None and may_be_our_own(failure, before):
                return found_out(failure)
            failure = damage or told(failure, before)
        try:
            raise failure from failure.__cause__
        finally:
            del failure, before  # whose frame this is: a body should not wait for the garbage collector

    def again(self, kind: str, failure: CDNError, tries: Patience) -> bool:
        """Whether to try again after this failure: if so, after the wait and with what it taught."""
        failure = failure.with_traceback(None)  # whoever is told keeps no connection by it, nor signed headers
        tries.mark(failure)
        attempt = tries.attempts
        learnt = self._learnt(failure)
        seconds = tries.wait(failure)
        if seconds is None:
            return False
        if self._on_event is not None:
            hand_over(self._on_event, Event(learnt or kind, failure, seconds, attempt + 1))
        if seconds:
            self.sleep(seconds)
        return True

    def _learnt(self, failure: CDNError) -> str | None:
        """Take over what an answer says of the time or the region, for all requests to come."""
        if not isinstance(failure, ResponseError):
            return None
        if failure.server_time is not None:
            self.offset = failure.server_time - self.clock()
            return "clock"
        if failure.region is not None:
            self._regions[""] = self._regions[failure.bucket or ""] = failure.region
            return "region"
        if failure.is_outdated:
            return "credentials"
        return None

    def _region(self, request: Request) -> str:
        return self._regions.get(request.bucket, self._regions.get("", self.region))

    def now(self) -> float:
        """The server's time, as far as it is known, in seconds since 1970."""
        return self.clock() + self.offset

    def _attempt(
        self, request: Request, parse: Callable[[Answer], T], body: Body | None, success: tuple[int, ...]
    ) -> T:
        payload_hash = EMPTY_SHA256
        try:
            if body is not None:  # hashed before the clock is read: a large body takes its time
                payload_hash = body.sha256() if self.sign_payload else UNSIGNED_PAYLOAD
                body.rewind()
            region, offset = self._region(request), self.offset  # other threads may learn while this one is under way
            credentials = self._keys.current()
            signed = s3.signed(
                request,
                self.endpoint,
                credentials,
                region=region,
                timestamp=format_timestamp(self.clock() + offset),
                payload_hash=payload_hash,
            )
            answer = self._connected().send(request, signed, body)
        except (SourceError, CredentialsError) as error:
            raise about(request, error) from error.__cause__

        def refused(answer: Answer) -> T:
            latest = self.monotonic() + self._timeout[1]  # a body that drips is not worth more
            text = answer.read_some(MAX_ERROR_BYTES, lambda: self.monotonic() > latest)
            # Now and not the time of the signature: a long upload is no wrong clock.
            error = self._diagnosed(request, answer, text, region, self.clock() + offset)
            if isinstance(error, ResponseError):
                error.is_outdated = self._keys.replaced(credentials, error)
            raise error

        try:
            return parse(answer) if answer.status in success else refused(answer)
        except CDNError as error:
            answer.close()
            raise about(request, error) from error.__cause__
        except BaseException:  # Ctrl-C in the middle of a body
            answer.close()
            raise

    def presigned_url(self, request: Request, expires_in: int) -> str:
        """`request` as a URL for others, in this client's name, from now on."""
        credentials = self._keys.current()
        if credentials is None:
            raise ValueError("an anonymous client has no key to sign a URL with")
        return s3.presigned_url(
            request,
            self.endpoint,
            credentials,
            region=self._region(request),
            timestamp=format_timestamp(self.now()),
            expires_in=expires_in,
        )

    def _diagnosed(self, request: Request, answer: Answer, text: bytes, region: str, now: float) -> CDNError:
        from .diagnosis import diagnose

        return diagnose(
            request,
            self.endpoint,
            answer.status,
            answer.headers,
            text,
            region=region,
            now=now,
            anonymous=self._keys.is_anonymous,
        )

    def _connected(self) -> Wire:
        if not self._wires:
            from .wire import Wire  # imports urllib3: 70 ms that only a first request should cost

            made = Wire(
                str(self.endpoint),
                timeout=self._timeout,
                verify=self._verify,
                session=self._session,
                born=self._born,
                clock=lambda: self.clock(),  # noqa: PLW0108 - as it is then: it may be replaced
            )
            self._wires.append(made)
        return self._wires[0]

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        if self._wires:
            self._wires[0].close()

    def __str__(self) -> str:
        return f"{str(self.endpoint)!r}, access_key={self._keys}, region={self._regions.get('', self.region)!r}"


def about(request: Request, error: CDNError) -> CDNError:
    """`error` with the evidence of which request it was."""
    error.operation, error.bucket, error.key = request.method, request.bucket, request.key
    return error


def _random() -> float:
    from random import random  # Python seeds it anew in a forked child

    return random()  # noqa: S311 - jitter, no secret


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
    path = os.fsdecode(verify)
    if not os.path.exists(path):
        raise ValueError(f"verify names the CA file {path!r}, which does not exist")
    return path
