"""What is noted of an object while it comes down, and what a later run makes of the notes, which may hold anything."""

from __future__ import annotations

from .answers import ObjectInfo

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .s3 import Request

_MAX_SIZE = 1 << 60  # bytes of an object
# What of an answer's headers describes the object, beside x-amz-*: a proxy's cookies have no business on the disk.
_RECORDED = frozenset(
    [
        "etag",
        "last-modified",
        "content-type",
        "content-encoding",
        "content-language",
        "cache-control",
        "content-disposition",
        "expires",
    ]
)


def noted(info: ObjectInfo) -> dict[str, Any]:
    """What is noted of an object."""
    kept = {name: value for name, value in info.headers.items() if name in _RECORDED or name.startswith("x-amz-")}
    return {"size": info.size, "headers": kept}


def from_notes(request: Request, record: dict[str, Any], least: int) -> ObjectInfo | None:
    """The object that was noted; None where that is not what `noted` gives, or of fewer than `least` bytes."""
    size, headers = record.get("size"), record.get("headers")
    if not isinstance(size, int) or not least <= size <= _MAX_SIZE or not isinstance(headers, dict):
        return None
    if not all(isinstance(value, str) for value in headers.values()):
        return None
    return ObjectInfo(request.bucket, request.key or "", size, headers)
