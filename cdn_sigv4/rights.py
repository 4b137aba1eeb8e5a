"""What one user of a store may do, found out without leaving anything there: for `doctor`.

Reading is tried on one byte; writing by CreateMultipartUpload, of which nothing is to be seen in the bucket, and which
is aborted at once. To delete is not tried: where versions are kept it would leave a marker. Who may what:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html and .../mpuoverview.html.
"""

from __future__ import annotations

from . import multipart
from .answers import check_done
from .errors import AccessDenied, CDNError, NotFound, ResponseError
from .findings import FAILED, OK, SKIPPED, WARNING, Finding
from .operations import Operations
from .s3 import Value
from .source import open_body
from .storefront import FAILURES, ONCE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from .exchange import Exchange

MOST = 2  # see `insight`
CHECKSUMS = ("crc32", "sha256")
_DROPPED = "MinIO drops it after 24 hours, AWS when a lifecycle rule says so."


class Place(Value):
    """Where things are tried: the bucket, the object that is there (None: not known), and a key that nobody has."""

    def __init__(self, bucket: str, key: str | None, probe: str) -> None:
        self.bucket = bucket
        self.key = key
        self.probe = probe


class User:
    """One user: its `name`, what it should be allowed (`reads`, `writes`), and its way to the store.

    `access_key` is None for who is anonymous. `connect` makes the way, by "path" or "virtual", or (None) as is set.
    After `knock`, `error` is what came of its first request (None: a byte of an object).
    """

    def __init__(
        self,
        name: str,
        access_key: str | None,
        connect: Callable[[str | None], Exchange],
        *,
        reads: bool,
        writes: bool,
        is_minio: bool,
        checksum: str | None,
        etag_is_md5: bool,
    ) -> None:
        self.name = name
        self.access_key = access_key
        self.reads = reads
        self.writes = writes
        self.exchange = connect(None)
        self.operations = Operations(self.exchange, checksum, etag_is_md5=etag_is_md5)
        self.error: Exception | None = None
        self.can_write = self.may_not_write = False  # neither, as long as that is not known
        self.leaves = False  # an upload that nobody here may abort
        self.untold: Finding | None = None  # what is to be told of an upload if Ctrl-C comes now
        self._is_minio = is_minio
        self._connect = connect
        self._who = "everybody" if access_key is None else "this key"

    def knock(self, place: Place) -> None:
        """Make the first request: for one byte of the object, or of one that is not there."""
        self.error = _first_byte(self.operations, place)

    def knocked(self, place: Place, addressing: str) -> Exception | None:
        """What comes of the same with the bucket in the path, or in the host."""
        return _first_byte(Operations(self._connect(addressing), None, etag_is_md5=False), place)

    @property
    def is_accepted(self) -> bool:
        """Whether that request was taken for this user's, whatever came of it."""
        return insight(self.error) > 0

    @property
    def can_read(self) -> bool:
        """Whether that request was answered with a byte, or with that there is none."""
        return self.is_accepted and not _is_denied(self.error)

    def examined(self, place: Place, helper: User | None) -> Iterator[Finding]:
        """All that can be found out about this user. `helper` may abort what this one may begin and not abort."""
        accepted = self.accepted()
        yield accepted
        if accepted.level == FAILED:
            yield self._finding(SKIPPED, "what it may do", "cannot be told")
            return
        if isinstance(self.error, NotFound) and self.error.code == "NoSuchBucket":
            text = f"there is no bucket {place.bucket}"
            yield self._finding(FAILED, "look for the bucket", text, "Check its name, and the host; or create it.")
            return
        yield self._reading(place)
        yield self._listing(place)
        yield from self._writing(place, helper)

    def _finding(self, level: str, tried: str, result: str, advice: str | None = None) -> Finding:
        return Finding(level, self.name, tried, result, advice)

    def _trouble(self, tried: str, error: Exception) -> Finding:
        """A request to which the store, or what is before it, gave no answer that says yes or no."""
        advice = getattr(error, "hint", None)
        text = error.message if isinstance(error, CDNError) else str(error)
        if isinstance(error, ResponseError):
            text = " ".join(str(part) for part in (error.status, error.code, text) if part)
        return self._finding(FAILED, tried, text, advice or "Try again; the server's log may say more.")

    def accepted(self) -> Finding:
        """Whether the store knows the key, and takes the secret for its own. One that it does not may be a secret."""
        tried = "ask without a key" if self.access_key is None else f"sign with the key {self.access_key}"
        if self.error is not None and not self.is_accepted:
            code = getattr(self.error, "code", None)
            if self.access_key is not None and code != "SignatureDoesNotMatch":  # by which the store knows it
                tried = f"sign with the key {self.access_key[:2]}…, of {len(self.access_key)} letters"
            trouble = self._trouble(tried, self.error)
            if code == "InvalidAccessKeyId":
                trouble.advice = f"{trouble.advice} Or have the access key and its secret changed places?"
            return trouble
        return self._finding(OK, tried, "answered" if self.access_key is None else "key and secret are accepted")

    def _reading(self, place: Place) -> Finding:
        error, tried = self.error, f"read {place.bucket}/{place.key}" if place.key else f"read from {place.bucket}"
        if _is_denied(error):
            if not self.reads:
                return self._finding(OK, tried, "may not, as it should be")
            if place.key is None and not self._is_minio:
                text = "cannot be told: a key without s3:ListBucket is not told what is missing"
                return self._finding(SKIPPED, tried, text, "Name an object that is there: BUCKET/KEY.")
            advice = f"Allow {self._who} s3:GetObject on {place.bucket}/*; or check the names of bucket and object."
            return self._finding(FAILED, tried, "may not", advice)
        text = "may" if place.key is None or not isinstance(error, NotFound) else "may, but there is no such object"
        if not self.reads:
            advice = "It need not: take s3:GetObject away, unless it is to look what came of conditional writes."
            return self._finding(WARNING, tried, text, advice)
        if text != "may":
            return self._finding(FAILED, tried, text, "Check the object's key, or upload it.")
        return self._finding(OK, tried, text)

    def _listing(self, place: Place) -> Finding:
        tried = f"list {place.bucket}"
        try:
            next(self.operations.list_objects(place.bucket, place.probe), None)
        except FAILURES as error:
            if not _is_denied(error):
                return self._trouble(tried, error)
            return self._finding(OK, tried, "may not; nothing needs it but lists")
        return self._finding(OK, tried, "may")

    def _writing(self, place: Place, helper: User | None) -> Iterator[Finding]:
        tried = f"write to {place.bucket} (an upload is begun and aborted)"
        try:
            _, upload_id = self._begun(place, None)
        except FAILURES as error:
            self.may_not_write = _is_denied(error)
            if not self.may_not_write:
                trouble = self._trouble(tried, error)
                if not isinstance(error, ResponseError):  # its id was in the answer that did not come
                    trouble.advice = f"{trouble.advice} An upload of {place.probe} may be left. {_DROPPED}"
                yield trouble
            elif self.writes:
                advice = f"Allow {self._who} s3:PutObject on {place.bucket}/*; or check the bucket's name."
                yield self._finding(FAILED, tried, "may not", advice)
            else:
                yield self._finding(OK, tried, "may not, as it should be")
            return
        self.can_write = True
        found = []
        try:
            if self.writes:
                found = [self._finding(OK, tried, "may"), self._going_on(place, upload_id)]
        finally:  # before anything is told: who reads may have gone, and Ctrl-C may come
            left = self._left(place, upload_id, helper)
        yield from found
        if not self.writes:
            advice = "Whoever finds this key can replace what others fetch: take s3:PutObject away."
            yield self._finding(WARNING, tried, "may, and should not", advice)
        if left is not None:
            yield left
            self.untold = None

    def _begun(self, place: Place, checksum: str | None) -> tuple[Mapping[str, str], str]:
        """Begin an upload: the answer's headers and its id."""
        request = multipart.create_request(place.bucket, place.probe, {}, checksum)
        patience = self.exchange.patience(ONCE)  # a second attempt could begin a second upload, with an id unknown
        advice = f"An upload of {place.bucket}/{place.probe} may be left. {_DROPPED}"
        self.untold = self._finding(WARNING, "begin an upload", "interrupted", advice)
        try:
            return self.exchange.ask(
                request,
                lambda answer, text: (answer.headers, multipart.created(text)),
                open_body(b""),
                patience=patience,
            )
        except FAILURES:
            self.untold = None
            raise

    def _going_on(self, place: Place, upload_id: str) -> Finding:
        tried = "list the parts of an upload"
        request = multipart.list_request(place.bucket, place.probe, upload_id, {}, None)
        try:
            self.exchange.ask(request, lambda _, text: multipart.parse_parts(text, None))
        except FAILURES as error:
            advice = "An upload that was stopped is sent anew (--resume), as long as that stays so."
            if not _is_denied(error):
                return self._finding(WARNING, tried, self._trouble(tried, error).result, advice)
            right = f"allow {self._who} s3:ListMultipartUploadParts on {place.bucket}/*."
            advice = f"An upload that was stopped is sent anew (--resume): {right}"
            return self._finding(WARNING, tried, "may not", advice)
        return self._finding(OK, tried, "may")

    def _abort(self, place: Place, upload_id: str) -> Exception | None:
        request = multipart.abort_request(place.bucket, place.probe, upload_id, {})
        try:
            self.exchange.ask(request, lambda answer, text: check_done(answer.headers, text), success=(204, 200))
        except FAILURES as error:
            return None if getattr(error, "code", None) == "NoSuchUpload" else error.with_traceback(None)
        return None

    def _left(self, place: Place, upload_id: str, helper: User | None) -> Finding | None:
        """Abort; the finding that names what stays, where nobody here may."""
        try:
            error = self._aborted(place, upload_id, helper)
        except BaseException:  # Ctrl-C while it was asked for: once more, as nobody knows what came of it
            self._told_of(place, upload_id, self._aborted(place, upload_id, helper))
            raise
        return self._told_of(place, upload_id, error)

    def _aborted(self, place: Place, upload_id: str, helper: User | None) -> Exception | None:
        error = self._abort(place, upload_id)
        return None if error is not None and helper is not None and helper._abort(place, upload_id) is None else error  # noqa: SLF001

    def _told_of(self, place: Place, upload_id: str, error: Exception | None) -> Finding | None:
        self.untold = None
        if error is None:
            return None
        self.leaves = True
        text = "may not" if _is_denied(error) else str(error)
        stays = f"The upload {upload_id} of {place.bucket}/{place.probe} stays, without a part. {_DROPPED}"
        right = f" Allow {self._who} s3:AbortMultipartUpload on {place.bucket}/*." if _is_denied(error) else ""
        self.untold = self._finding(WARNING, "abort an upload", text, stays + right)
        return self.untold

    def stored_checksums(self, place: Place, wanted: str | None) -> Iterator[Finding]:
        """Which checksums the store keeps with an object; `wanted` is the one that the client is to send."""
        told = {}
        for name in CHECKSUMS:
            try:
                headers, upload_id = self._begun(place, name)
            except FAILURES as error:
                is_refused = isinstance(error, ResponseError) and (error.status == 501 or (error.status or 500) < 500)
                told[name] = "refused" if is_refused else "unknown"
                continue
            is_named = headers.get("x-amz-checksum-algorithm", "").lower() == name
            told[name] = "kept" if is_named else "not confirmed"
            left = self._left(place, upload_id, None)
            if left is not None:
                yield left
                self.untold = None
                break
        tried = "begin uploads with a checksum"
        text = ", ".join(f"{name} {what}" for name, what in told.items())
        found = None if wanted is None else told.get(wanted)
        if "unknown" in told.values():
            advice = f"Try again. An upload of {place.probe} may be left. {_DROPPED}"
            yield Finding(WARNING, "checksums", tried, text, advice)
        elif found == "refused":
            others = [name for name, what in told.items() if what == "kept"]
            yield Finding(FAILED, "checksums", tried, text, f"Set --checksum {(*others, 'none')[0]}.")
        elif found == "not confirmed":
            advice = "Uploads work; downloads may have nothing but an MD5 entity tag to be verified by."
            yield Finding(WARNING, "checksums", tried, text, advice)
        else:
            yield Finding(OK, "checksums", tried, text)


def _first_byte(operations: Operations, place: Place) -> Exception | None:
    try:
        operations.get_object(place.bucket, place.key or place.probe, start=0, end=1).close()
    except FAILURES as error:
        return error.with_traceback(None)
    return None


def insight(error: Exception | None) -> int:
    """How much a first request's outcome tells that the store has understood it: 0 nothing, up to `MOST`.

    It gives the object, or has no such one; it does not allow it, or has no such bucket; anything else.
    """
    is_empty = isinstance(error, ResponseError) and error.status == 416  # an object without a byte
    if error is None or is_empty or (isinstance(error, NotFound) and error.code == "NoSuchKey"):
        return MOST
    return int(_is_denied(error) or (isinstance(error, NotFound) and error.code is not None))


def _is_denied(error: Exception | None) -> bool:
    """Whether the store has understood who asks, and does not allow it."""
    return isinstance(error, AccessDenied) and error.code == "AccessDenied"
