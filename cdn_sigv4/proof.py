"""Whether the store has what was sent: what it says of an object compared with the object as it should be.

Rules: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html and
.../userguide/conditional-writes.html.
"""

from __future__ import annotations

from . import answers, checksums, s3
from .errors import CDNError, IntegrityError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Optional, Tuple

    from .answers import ObjectInfo
    from .body import Body
    from .exchange import Exchange

    Outcome = Tuple[ObjectInfo, Optional[str]]
    Evidence = Tuple[str, bytes, bytes]

_CUSTOMER_KEY = "x-amz-server-side-encryption-customer-"  # without these a HEAD of such an object is refused


class Sent:
    """An object on its way into the store: what it is to be, and how that is proved.

    `described`: the headers that it is to keep; `conditions`: if-match, if-none-match. `checksum`: the name of the one
    that is sent along. Subclasses send it, and know its checksums (`evidence`).
    """

    def __init__(
        self,
        exchange: Exchange,
        bucket: str,
        key: str,
        *,
        described: Mapping[str, str],
        conditions: Mapping[str, str | None],
        checksum: str | None,
        etag_is_md5: bool,
    ) -> None:
        self.exchange = exchange
        self.bucket = bucket
        self.key = key
        self.described = described
        self.conditions = {name: value for name, value in conditions.items() if value is not None}
        self.checksum = checksum
        self.etag_is_md5 = etag_is_md5
        self.size = 0

    def digests(self, body: Body) -> dict[str, bytes]:
        """The checksums of `body` that are sent and signed, made in one pass."""
        names = [name for name in (self.checksum, "sha256" if self.exchange.sign_payload else None) if name]
        return dict(body.digests(*names))

    def header(self, made: Mapping[str, bytes]) -> dict[str, str]:
        """The header with the checksum that is sent along, of those that were made."""
        return {} if self.checksum is None else checksums.header(self.checksum, made[self.checksum])

    def evidence(self, headers: Mapping[str, str]) -> Evidence | None:
        """Name of a checksum that these headers give, what it should be and what it is; None where there is none."""
        raise NotImplementedError

    def proved(self, headers: Mapping[str, str]) -> str | None:
        """By which checksum of the answer's the bytes sent are the store's; IntegrityError where they are not."""
        evidence = self.evidence(headers)
        if evidence is None:
            return None
        name, ours, theirs = evidence
        try:
            checksums.compare(name, ours, theirs)
        except IntegrityError as error:
            error.message = f"the store has kept other bytes than those sent: {error.message}"
            error.hint = f"The object under this key is not to be used: upload it again. {error.hint}"
            raise
        return name

    def found_out(self, refusal: CDNError) -> Outcome:
        """What became of a write whose first answer was lost, and whose repetition was refused.

        It may be what the first attempt has stored that is in the way. Who else may have stored the very same bytes
        with the same description cannot be told from it: its outcome is the same.
        """
        keys = {name: value for name, value in self.described.items() if name.startswith(_CUSTOMER_KEY)}
        request = s3.object_request("HEAD", self.bucket, self.key, headers={**checksums.MODE, **keys})
        try:
            info = self.exchange.ask(request, lambda answer, _: answers.headed(request, answer.headers))
        except CDNError as error:
            raise self.not_seen(refusal, error) from None
        is_ours = self._is_ours(info)
        if is_ours:
            return info, self.proved(info.headers)
        if is_ours is None:
            raise unknown(refusal, "what is there now has no checksum, or these bytes with other metadata")
        if "if-none-match" in self.conditions:
            raise refusal  # somebody else's object was there, or came first
        raise unknown(refusal, "another object is there now: it may have taken the place of this one, or of none")

    def not_seen(self, refusal: CDNError, error: CDNError) -> CDNError:
        """The error where a look at what is there was refused with `error`."""
        return unknown(refusal, f"looking what is there was refused: {error.message}")

    def _is_ours(self, info: ObjectInfo) -> bool | None:
        """Whether an object has these bytes and this metadata; None where that cannot be told."""
        metadata = {name: value for name, value in self.described.items() if name.startswith("x-amz-meta-")}
        if info.size not in (None, self.size):
            return False
        evidence = None if info.size is None else self.evidence(info.headers)
        if evidence is None:
            return None
        if evidence[1] != evidence[2]:
            return False
        is_described = all(info.headers.get(name) == value for name, value in metadata.items())
        return True if is_described else None  # another's, or ours in a store that writes it in another way


def unknown(refusal: CDNError, why: str) -> CDNError:
    """OutcomeUnknown for a refusal after a lost answer, with the reason why it could not be found out."""
    return refusal.as_unknown(
        f"an earlier answer was lost, the repetition was refused ({refusal.message}), and {why}",
        "Look whether the object is the one that was sent, before it is sent again.",
    )
