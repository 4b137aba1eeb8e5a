"""What a transfer of a file came to, in either direction."""

from __future__ import annotations

from .s3 import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .answers import ObjectInfo


class TransferResult(Value):
    """What a transfer of a file came to.

    `info`: the object. `verified`: by which checksum the bytes were proved to be the object's ("crc32", "sha256",
    "sha1", "md5"), None where the store offered none and only their number was compared. `bytes_moved`: bytes of the
    object that went over the wire; fewer than its size where an earlier run had begun, more where some came twice.
    """

    def __init__(self, info: ObjectInfo, verified: str | None, bytes_moved: int) -> None:
        self.info = info
        self.verified = verified
        self.bytes_moved = bytes_moved
