"""One PUT of an object: its checksum is sent along, its answer compared, and what a lost answer hides is found out.

Rules: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html,
.../userguide/checking-object-integrity.html and .../userguide/conditional-writes.html.
"""

from __future__ import annotations

from . import answers, checksums, s3
from .body import open_body
from .errors import CDNError, IntegrityError, SourceError
from .exchange import about

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Optional, Tuple

    from .answers import ObjectInfo
    from .body import Body, Source
    from .exchange import Exchange
    from .s3 import Request
    from .wire import Answer

    Outcome = Tuple[ObjectInfo, Optional[str]]


_CUSTOMER_KEY = "x-amz-server-side-encryption-customer-"  # without these a HEAD of such an object is refused


def put(
    exchange: Exchange,
    bucket: str,
    key: str,
    source: Source,
    *,
    checksum: str | None,
    etag_is_md5: bool,
    content_type: str | None,
    metadata: Mapping[str, str] | None,
    headers: Mapping[str, str] | None,
    if_match: str | None,
    if_none_match: str | None,
) -> Outcome:
    """Store `source` under `key`: the object, and by which checksum the store's answer proves it (None: by none)."""
    described = s3.object_headers(content_type, metadata, headers)
    conditions = {"if-match": if_match, "if-none-match": if_none_match}
    request = s3.object_request("PUT", bucket, key, headers={**described, **conditions})
    try:
        body = open_body(source)
    except SourceError as error:
        raise about(request, error) from error.__cause__
    try:
        s3.check_size(body.size)
        return _Upload(exchange, request, body, described, checksum, etag_is_md5=etag_is_md5).run()
    except SourceError as error:
        raise about(request, error) from error.__cause__
    finally:
        body.close()


class _Upload:
    """The bytes of `body` on their way to `request`'s key. `described`: the headers that the object is to keep."""

    def __init__(
        self,
        exchange: Exchange,
        request: Request,
        body: Body,
        described: Mapping[str, str],
        checksum: str | None,
        *,
        etag_is_md5: bool,
    ) -> None:
        self._exchange = exchange
        self._request = request
        self._body = body
        self._described = described
        # A checksum that the caller has made is the one to send: S3 takes no second one beside it.
        self._checksum = None if any(name.startswith("x-amz-checksum-") for name in described) else checksum
        self._etag_is_md5 = etag_is_md5

    def run(self) -> Outcome:
        """The object that was stored, and by which checksum the answer proves it."""
        names = [name for name in (self._checksum, "sha256" if self._exchange.sign_payload else None) if name]
        made = self._body.digests(*names)
        checksum = {} if self._checksum is None else checksums.header(self._checksum, made[self._checksum])
        self._request.headers.update(checksum)
        return self._exchange.ask(self._request, self._stored, self._body, found_out=self._found_out)

    def _stored(self, answer: Answer, _: bytes) -> Outcome:
        info = answers.stored(self._request, self._described, answer.headers, self._body.size)
        return info, self._proved(answer.headers)

    def _proved(self, headers: Mapping[str, str]) -> str | None:
        """By which checksum of the answer's these bytes are the store's; IntegrityError where they are not."""
        found = checksums.stored(headers, etag_is_md5=self._etag_is_md5)
        if found is None:
            return None
        name, theirs = found
        # Where the store does not say the checksum that it was sent, its MD5 is worth another pass over the bytes.
        ours = self._digest(name)
        if ours is None:
            return None
        try:
            checksums.compare(name, ours, theirs)
        except IntegrityError as error:
            error.message = f"the store has kept other bytes than those sent: {error.message}"
            error.hint = f"The object under this key is not to be used: upload it again. {error.hint}"
            raise
        return name

    def _digest(self, name: str) -> bytes | None:
        """A checksum of the body that was sent; None where its source cannot be read any more."""
        try:
            return self._body.digests(name)[name]
        except SourceError:
            return None

    def _found_out(self, refusal: CDNError) -> Outcome:
        """What became of a conditional PUT whose first answer was lost, and whose repetition was refused.

        The condition may have failed because of what the first attempt has stored. Who else may have stored the very
        same bytes with the same description cannot be told from it: its outcome is the same.
        """
        keys = {name: value for name, value in self._described.items() if name.startswith(_CUSTOMER_KEY)}
        headers = {**checksums.MODE, **keys}
        try:
            info = self._exchange.ask(
                s3.object_request("HEAD", self._request.bucket, self._request.key or "", headers=headers),
                lambda answer, _: answers.headed(self._request, answer.headers),
            )
        except CDNError as error:
            raise _unknown(refusal, f"looking what is there was refused: {error.message}") from None
        is_ours = self._is_ours(info)
        if is_ours:
            return info, self._proved(info.headers)
        if is_ours is None:
            raise _unknown(refusal, "what is there now has no checksum, or these bytes with other metadata")
        if self._request.headers.get("if-none-match") is not None:
            raise refusal  # somebody else's object was there, or came first
        raise _unknown(refusal, "another object is there now: it may have taken the place of this one, or of none")

    def _is_ours(self, info: ObjectInfo) -> bool | None:
        """Whether an object has these bytes and this metadata; None where that cannot be told."""
        metadata = {name: value for name, value in self._described.items() if name.startswith("x-amz-meta-")}
        found = checksums.stored(info.headers, etag_is_md5=self._etag_is_md5)
        if info.size not in (None, self._body.size):
            return False
        if found is None or info.size is None:
            return None
        ours = self._digest(found[0])
        if ours is None:
            return None
        if ours != found[1]:
            return False
        is_described = all(info.headers.get(name) == value for name, value in metadata.items())
        return True if is_described else None  # another's, or ours in a store that writes it in another way


def _unknown(refusal: CDNError, why: str) -> CDNError:
    return refusal.as_unknown(
        f"an earlier answer was lost, the repetition was refused ({refusal.message}), and {why}",
        "Look whether the object is the one that was sent, before it is sent again.",
    )
