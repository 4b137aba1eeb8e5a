"""One GET that goes on where a broken body stopped: with Range and If-Match, never mixing two versions.

Rules: RFC 9110, 13.1.1 (If-Match needs a strong entity tag) and 14 (ranges);
https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html. Not every store obeys: what each answer says of
itself is checked (answers.py).
"""

from __future__ import annotations

from . import answers, checksums, s3
from .answers import ObjectInfo
from .errors import CDNError, IntegrityError, InvalidResponse, ResponseError, TransportError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .exchange import Exchange
    from .reply import Answer
    from .retry import Patience
    from .s3 import Request

    T = TypeVar("T", bytes, memoryview)

# Bytes read at a time: when a read fails, the layers below lose what it had so far. On a link that has broken once the
# steps are short ones, so that each attempt gets on.
_STEP, _SHORT_STEP = 256 << 10, 16 << 10
_ALL_STEPS = 1 << 30


def get_request(
    verify: bool,
    bucket: str,
    key: str,
    version_id: str | None,
    if_match: str | None,
    if_none_match: str | None,
    asked: str | None = None,
) -> Request:
    """A GET of the object, or of the range `asked`; `verify`: of the whole, the store is to say the checksum too."""
    mode = checksums.MODE if verify and asked is None else {}
    headers = {"range": asked, "if-match": if_match, "if-none-match": if_none_match, **mode}
    return s3.object_request("GET", bucket, key, {"versionId": version_id}, headers)


def _is_strong(tag: str) -> bool:
    try:
        s3.check_header("if-match", tag)
    except ValueError:
        return False
    return tag.startswith('"')


class Retrieval:
    """The bytes of one object, or of a part of it, in their order, over as many answers as it takes.

    `info`, and `length`, the number of bytes that `read` will give. `verifier` is there for a whole object of which
    the store says a checksum. `moved` counts the bytes that have come over the wire. `can_resume`: whether the object
    has a strong entity tag that can be sent back; without, two versions could be mixed.
    """

    def __init__(self, exchange: Exchange, request: Request, tries: Patience, *, etag_is_md5: bool) -> None:
        self._exchange = exchange
        self._request = request
        self.tries = tries
        self._etag_is_md5 = etag_is_md5
        self._answer: Answer | None = None
        self._skipped = 0  # bytes of the answer that come before those wanted
        self._step = _ALL_STEPS
        self.moved = 0
        self.forget()

    def begin(self) -> None:
        """Send the request; again, where that was done before."""

        def taken(answer: Answer) -> Answer:
            self.take(*answers.received(self._request, answer.status, answer.headers))
            if self.length == 0:
                answer.read(1)  # finds the end, which keeps the connection
            return answer

        self._skipped = 0
        self._answer = self._exchange.begin(self._request, taken, success=(200, 206), patience=self.tries)

    def forget(self) -> None:
        """Know nothing of the object any more, neither its version nor its checksum."""
        self._proof: tuple[str, bytes] | None = None
        self.info = ObjectInfo(self._request.bucket, self._request.key or "", None, {})
        self.can_resume = False
        self.length = self._first = self._done = 0
        self.verifier: checksums.Verifier | None = None

    def take(self, info: ObjectInfo, first: int, length: int) -> None:
        """Say what is to be read: `length` bytes of the object `info`, from `first` on."""
        self.length = length
        self._first = first  # where `read` begins, in the object
        self._done = 0  # bytes that it has given since
        proof = checksums.stored(info.headers, etag_is_md5=self._etag_is_md5)
        self.can_resume = _is_strong(info.etag or "")
        if proof is None and self.can_resume and info.etag == self.info.etag and (self._proof or ("md5",))[0] != "md5":
            proof = self._proof  # the same version as before, of which this answer says less
        self.info = info
        self._proof = proof
        self.verifier = checksums.Verifier(*proof) if proof is not None and length == info.size else None

    @property
    def proof(self) -> tuple[str, bytes] | None:
        """Name and value of a checksum of the whole object, where the store says one."""
        return self._proof

    def read(self, amount: int) -> bytes:
        """At most `amount` bytes, empty at the end; the error in the end, where a broken body cannot go on."""
        return self._next(lambda answer, most: answer.read(min(most, _STEP)), amount, b"")

    def readinto(self, view: memoryview) -> int:
        """The same into this memory: the number of bytes."""
        return len(self._next(lambda answer, most: view[: answer.readinto(view[:most])], len(view), view[:0]))

    def _next(self, fetch: Callable[[Answer, int], T], amount: int, nothing: T) -> T:
        while self._done < self.length:
            failure: TransportError
            try:
                block = self._read(fetch, min(amount, self.length - self._done))
                if block:
                    self._done += len(block)
                    return block
                failure = TransportError(f"the body ended after {self._done} of {self.length} bytes")
                failure.cause = "closed"
            except TransportError as error:
                failure = error
            self.close()
            self._step = _SHORT_STEP
            self._after(failure, "resume")
            self.go_on(self._done)
        return nothing

    def _read(self, fetch: Callable[[Answer, int], T], amount: int) -> T:
        answer = self._answer
        if answer is None:
            raise TransportError("the connection was given up")
        while True:
            block = fetch(answer, min(self._skipped or amount, self._step))
            self.moved += len(block)
            if block and (self._skipped or not self.can_resume):  # all of it comes again: that moves, and gets nowhere
                self.tries.heard(self.moved)
            if not self._skipped or not block:
                if self.can_resume:
                    self.tries.moved(len(block))
                return block
            self._skipped -= len(block)

    def _after(self, failure: CDNError, kind: str) -> None:
        """Wait until the next attempt; raise the failure where there is to be none."""
        failure.operation, failure.bucket, failure.key = "GET", self.info.bucket, self.info.key
        self.tries.mark(failure)
        if (kind == "resume" and not self.can_resume) or not self._exchange.again(kind, failure, self.tries):
            raise failure.with_traceback(None) from None

    def go_on(self, done: int) -> None:
        """Send a request for what comes behind the first `done` bytes, of the same version of the object."""
        self._done = done
        last = self._first + self.length - 1
        headers = {**self._request.headers, "range": f"bytes={self._first + done}-{last}", "if-match": self.info.etag}
        headers.pop("if-none-match", None)
        request = s3.Request("GET", self._request.bucket, self._request.key, self._request.query, headers)

        def taken(answer: Answer) -> Answer:
            self._skipped = answers.continued(request, answer.status, answer.headers, self.info)
            return answer

        try:
            self._answer = self._exchange.begin(request, taken, success=(200, 206), patience=self.tries)
        except ResponseError as error:
            if error.status not in (412, 416):
                raise
            changed = answers.replaced()
            changed.operation, changed.bucket, changed.key = error.operation, error.bucket, error.key
            changed.status, changed.request_id = error.status, error.request_id
            changed.attempts, changed.seconds = error.attempts, error.seconds
            raise changed from None

    def ask_for(self, first: int, end: int, *, may_skip: bool) -> None:
        """Send a request for these bytes; `may_skip`: also where the store sends all that is before them."""
        self.take(self.info, first, end - first)
        self.go_on(0)
        if self._skipped and not may_skip:
            raise InvalidResponse("the store sends the whole object in place of a range")

    def restart(self, failure: IntegrityError) -> tuple[ObjectInfo, int, checksums.Verifier | None]:
        """Fetch it once more from its beginning, as damage on the way is worth one more try; else raise the failure."""
        self.close()
        self._after(failure, "restart")
        self.begin()
        return self.info, self.length, self.verifier

    def close(self) -> None:
        """Give the connection up, unless the answer was read to its end."""
        if self._answer is not None:
            self._answer.close()
