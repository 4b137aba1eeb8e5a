"""One upload in parts: begun, sent by several threads, completed; or aborted, so that no part is left to be paid for.

What is asked and answered is in multipart.py. Here is the order of things, what an earlier run has left, and what is
done where an answer is lost. Rules: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html.
"""

from __future__ import annotations

from . import checksums, multipart
from .answers import check_done
from .crew import Crew
from .errors import (
    AccessDenied,
    CDNError,
    IntegrityError,
    InvalidResponse,
    NotFound,
    OutcomeUnknown,
    PreconditionFailed,
    ResponseError,
    SourceError,
    TransportError,
)
from .multipart import Part
from .proof import Sent
from .retry import Retry, reason_for
from .source import open_body

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Tuple

    from .body import Body
    from .progress import Meter
    from .proof import Evidence, Outcome
    from .unfinished import UploadRecord

    Piece = Tuple[int, Body]

_UNKNOWN_KEY = ("SignatureDoesNotMatch", "InvalidAccessKeyId", "ExpiredToken", "InvalidTokenId")
# Somebody waits for the error that led here; after Ctrl-C, or on a dead link, not for long.
_ABORT, _ONCE = Retry(attempts=3, budget=5.0), Retry(attempts=1)
_GONE = "NoSuchUpload"
_ARRIVED = ("closed", "stalled", "not http")  # causes of no answer, after which the request may have come to the store
_GO_ON = "the same call with resume=True goes on with them."
# After these a later run has nothing to go on with.
_FINAL = (SourceError, IntegrityError, InvalidResponse, PreconditionFailed, NotFound)


class InParts(Sent):
    """An object that is sent in parts of `part_size` bytes, at most `workers` at a time. See `Sent`.

    `record` notes the upload for a later run, and knows that of an earlier one.
    """

    def __init__(
        self, *args: Any, part_size: int, workers: int, meter: Meter, record: UploadRecord | None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._part_size = part_size
        self._workers = workers
        self._meter = meter
        self._record = record
        self._begin_again()

    def _begin_again(self) -> None:
        self._is_gone = False  # the upload was completed, or is lost, and nobody may look which
        self._upload_id = ""
        self._held: Mapping[int, Part] = {}  # what an earlier run has sent, as the store lists it
        self._parts: dict[int, Part] = {}
        self._digests: dict[int, bytes] = {}
        self._is_by_md5 = True  # each part's entity tag is known to be its MD5

    def run(self, pieces: Callable[[], Iterable[Body]], *, can_repeat: bool, check: Callable[[], None]) -> Outcome:
        """The object that was stored, and by which checksum the answer proves it.

        `pieces` gives the parts in their order, again if `can_repeat`; `check` raises where the source has changed.
        """
        while True:
            is_old = self._record is not None and self._record.upload_id is not None
            try:
                return self._once(pieces(), check)
            except ResponseError as error:
                # Refused for good: what an earlier run has left is of no use.
                if not (is_old and (error.code == _GONE or _is_refused(error))):
                    raise
            except OutcomeUnknown:
                # To an unconditional write nothing is added by a second one: it is done again, once.
                if self.conditions or not self._is_gone or not can_repeat:
                    raise
                can_repeat = False
            self._begin_again()
            self._meter.again(self._meter.total)

    def _once(self, pieces: Iterable[Body], check: Callable[[], None]) -> Outcome:
        try:
            self._begin()
            with Crew(self._workers) as crew:
                self._crew = crew
                crew.each(self._send, enumerate(pieces, 1))
            check()
            outcome = self._complete()
        except BaseException as error:
            if self._is_kept(error):
                if isinstance(error, CDNError):
                    error.add_hint(f"The parts that were sent are kept in the store: {_GO_ON}")
            elif self._upload_id:
                self._abort(self._upload_id, error)
            raise
        if self._record is not None:
            self._record.forget()
        return outcome

    def _begin(self) -> None:
        """Go on with the upload of the record, or begin a new one."""
        record = self._record
        if record is not None and record.outdated is not None:
            self._abort(record.outdated)
        if record is not None and record.upload_id is not None:
            try:
                held = self._listed(record.upload_id)
            except CDNError as error:
                error.add_hint(f"The parts that an earlier call has sent are kept in the store: {_GO_ON}")
                raise
            if held is not None:
                self._upload_id, self._held = record.upload_id, held
                return
            record.forget()
        request = multipart.create_request(self.bucket, self.key, self.described, self.checksum)
        try:
            self._upload_id = self.exchange.ask(request, lambda _, text: multipart.created(text), open_body(b""))
        except (TransportError, InvalidResponse) as error:
            if isinstance(error, InvalidResponse) or error.cause in _ARRIVED:
                error.add_hint("An upload without parts may be left in the store: its id was in the lost answer.")
            raise
        if record is not None:
            record.write(self._upload_id, self._part_size)

    def _listed(self, upload_id: str) -> Mapping[int, Part] | None:
        """The parts that the store has, none where it does not say; None where there is no such upload any more."""
        parts: dict[int, Part] = {}
        after: str | None = None
        try:
            while True:
                request = multipart.list_request(self.bucket, self.key, upload_id, self.described, after)
                page, after = self.exchange.ask(request, lambda _, text: multipart.parse_parts(text, self.checksum))
                before = len(parts)
                parts.update((part.number, part) for part in page)
                if after is None:
                    return parts
                if len(parts) == before or len(parts) >= multipart.MAX_PARTS:
                    return {}  # a list that goes on without end
        except NotFound:
            return None
        except (ResponseError, InvalidResponse) as error:  # this key may not list, or the store cannot
            if error.code in _UNKNOWN_KEY:
                raise
            return {}

    def _send(self, piece: Piece) -> None:
        """Send one part, unless the store has it."""
        number, body = piece
        held = self._held.get(number)
        try:
            made = self.digests(body)
            if held is None or not self._is_held(held, body):
                held = self._sent(number, body, made)
            else:
                self._meter.add(body.size)
        finally:
            body.close()
        if self.checksum is not None:
            self._digests[number] = made[self.checksum]
        self._parts[number] = held

    def _is_held(self, held: Part, body: Body) -> bool:
        """Whether the store is proved to have these bytes as that part."""
        if held.size != body.size or not held.etag:
            return False
        name = self.checksum
        if name is not None and held.checksum:
            self._is_by_md5 = False
            return held.checksum == checksums.base64(body.digests(name)[name])
        found = checksums.stored({"etag": held.etag}, etag_is_md5=self.etag_is_md5)
        if found is None or body.digests("md5")["md5"] != found[1]:
            return False
        held.checksum = None if name is None else checksums.base64(body.digests(name)[name])
        return True

    def _sent(self, number: int, body: Body, made: Mapping[str, bytes]) -> Part:
        header = self.header(made)
        request = multipart.part_request(self.bucket, self.key, self._upload_id, number, self.described, header)
        at = self._meter.part()

        def progress(done: int) -> None:
            self._crew.check()
            at(done)

        body.progress = progress

        def stored(answer: Any, _: bytes) -> str:
            etag = answer.headers.get("etag")
            if not etag:
                raise InvalidResponse("the answer has no entity tag, which S3 gives to every part")
            found = checksums.stored(answer.headers, etag_is_md5=self.etag_is_md5)
            if found is not None:
                name, theirs = found
                # Where the store does not say the checksum that it was sent, its MD5 is worth another pass.
                checksums.compare(name, body.digests(name)[name], theirs)
            if found is None or found[0] != "md5":
                self._is_by_md5 = False
            return str(etag)

        patience = self.exchange.patience(others=lambda: len(self._parts))
        self._crew.check()
        etag = self.exchange.ask(request, stored, body, patience=patience)
        value = None if self.checksum is None else checksums.base64(made[self.checksum])
        return Part(number, body.size, etag, value)

    def _complete(self) -> Outcome:
        parts = self._in_order()
        self.size = sum(part.size for part in parts)
        whole = {} if self.checksum != "crc32" else checksums.header("crc32", self._combined())
        sent = {**multipart.along(self.described), **self.conditions}
        request = multipart.complete_request(self.bucket, self.key, self._upload_id, sent, whole)

        def parse(answer: Any, text: bytes) -> Outcome:
            info = multipart.completed(request, self.described, answer.headers, text, self.size)
            return info, self.proved(info.headers)

        body = open_body(multipart.complete_body(parts, self.checksum))
        return self.exchange.ask(request, parse, body, found_out=self.found_out)

    def _in_order(self) -> list[Part]:
        return [self._parts[number] for number in sorted(self._parts)]

    def _combined(self) -> bytes:
        """The CRC32 of the whole object."""
        value = checksums.new("crc32").digest()
        for part in self._in_order():
            value = checksums.combined_crc32(value, self._digests[part.number], part.size)
        return value

    def evidence(self, headers: Mapping[str, str]) -> Evidence | None:
        """See `Sent`."""
        found = checksums.stored(headers, etag_is_md5=False)
        if found is not None and found[0] == self.checksum == "crc32":
            return "crc32", self._combined(), found[1]
        of_parts = checksums.composite(headers)
        if of_parts is not None and of_parts[0] == self.checksum and of_parts[2] == len(self._parts):
            digests = [self._digests[part.number] for part in self._in_order()]
            return of_parts[0], checksums.of_parts(of_parts[0], digests), of_parts[1]
        tag = checksums.composite_etag(headers) if self.etag_is_md5 and self._is_by_md5 else None
        if tag is not None and tag[1] == len(self._parts):
            md5s = [bytes.fromhex(part.etag.strip('"')) for part in self._in_order()]
            ours = checksums.of_parts("md5", md5s)
            # A tag that is something else is no damage: not every store makes it so.
            return ("md5", ours, ours) if ours == tag[0] else None
        return None

    def not_seen(self, refusal: CDNError, error: CDNError) -> CDNError:
        """See `Sent`. Where nobody may look, or nothing is there, the upload may be done again."""
        self._is_gone = isinstance(error, (AccessDenied, NotFound))
        return super().not_seen(refusal, error)

    def _is_kept(self, error: BaseException) -> bool:
        is_final = isinstance(error, _FINAL) or (isinstance(error, ResponseError) and _is_refused(error))
        return self._record is not None and self._record.is_written and not is_final

    def drop(self, record: UploadRecord) -> None:
        """Abort what an earlier run has begun: the object has come into the store in another way."""
        upload_id = record.outdated or record.upload_id
        if upload_id is not None:
            self._abort(upload_id)

    def _abort(self, upload_id: str, error: BaseException | None = None) -> None:
        """Let the store drop the parts; where that fails, the error that led here says so."""
        request = multipart.abort_request(self.bucket, self.key, upload_id, self.described)
        if self._record is not None:
            self._record.forget()
        try:
            is_dead = isinstance(error, TransportError) or not isinstance(error, (Exception, type(None)))
            patience = self.exchange.patience(_ONCE if is_dead else _ABORT)
            done = lambda answer, text: check_done(answer.headers, text)  # noqa: E731
            self.exchange.ask(request, done, success=(204, 200), patience=patience)
        except CDNError as failure:
            if isinstance(error, CDNError) and failure.code != _GONE:
                left = f"Its parts may be left in the store, as upload {upload_id}, until that is aborted or dropped."
                error.add_hint(left)


def _is_refused(error: ResponseError) -> bool:
    """Whether these parts will never be an object: InvalidPart, EntityTooSmall and such."""
    return error.status == 400 and reason_for(error) == "other"
