"""What S3 asks and answers about an upload in parts, as values: sizes, requests, XML. No I/O.

Rules: https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html, .../userguide/qfacts.html (limits) and
.../API/ on the page that each function names.
"""

from __future__ import annotations

from math import isqrt

from . import checksums
from .answers import made, parse_xml, whole_number
from .errors import InvalidResponse
from .s3 import XML_NAMESPACE, Value, object_request

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from .answers import ObjectInfo
    from .s3 import Request

_MIB = 1 << 20
MIN_PART = 5 * _MIB  # bytes of any part but the last (AWS, qfacts)
MAX_PART = 5 << 30
MAX_PARTS = 10_000
MAX_OBJECT = 5 << 40
MAX_ID = 2048  # characters of an upload id: more than any store gives
# As small as S3 allows where links are thin: what breaks is sent again, and a link that breaks every few MiB would let
# nothing larger through. As each part costs a request, both their size and their number grow with the object.
_AIM = _MIB // 4  # bytes: a part is to these as the object is to the part; 8 MiB of 256 MiB, 16 MiB of 1 GiB
_LARGE_PART = 64 * _MIB
STREAM_PART = MIN_PART  # bytes of a part where nobody knows how many will come
_STREAM_STEP = 990  # parts after which that doubles: 10,000 are then enough for 5 TiB

# What describes an object belongs to its beginning; these go along with every request of its upload.
_EVERYWHERE = ("x-amz-server-side-encryption-customer-", "x-amz-expected-bucket-owner", "x-amz-request-payer")


class Part(Value):
    """One part as the store has it: its number, size in bytes, entity tag, and checksum in S3's form, if any."""

    def __init__(self, number: int, size: int, etag: str, checksum: str | None = None) -> None:
        self.number = number
        self.size = size
        self.etag = etag
        self.checksum = checksum


def check_part_size(wanted: int | None) -> None:
    """TypeError or ValueError for a part size that S3 does not allow."""
    if wanted is None:
        return
    if isinstance(wanted, bool) or not isinstance(wanted, int):
        raise TypeError(f"part_size must be int, not {type(wanted).__name__}")
    if not MIN_PART <= wanted <= MAX_PART:
        raise ValueError(f"part_size must be {MIN_PART} (5 MiB) to {MAX_PART} (5 GiB) bytes, not {wanted}")


def part_size(size: int, wanted: int | None = None) -> int:
    """Bytes of each part of an object of `size` bytes; the last has the rest. ValueError for more than S3 takes."""
    if size > MAX_OBJECT:
        raise ValueError(f"the body has {size} bytes; an object has at most {MAX_OBJECT} (5 TiB)")
    if wanted is None:
        aim = min(max(isqrt(size * _AIM), MIN_PART), _LARGE_PART)
        return -(-max(aim, -(-size // MAX_PARTS)) // _MIB) * _MIB
    if size > wanted * MAX_PARTS:
        raise ValueError(
            f"{size} bytes are more than {MAX_PARTS} parts of {wanted}: give at least {-(-size // MAX_PARTS)}"
        )
    return wanted


def stream_part_size(number: int, wanted: int | None = None) -> int:
    """Bytes of the part of this number where the size of all is not known."""
    return wanted or STREAM_PART << (number - 1) // _STREAM_STEP


def along(sent: Mapping[str, str]) -> dict[str, str]:
    """Of the headers that describe an object, those that go along with every request of its upload."""
    return {name: value for name, value in sent.items() if name.startswith(_EVERYWHERE)}


def create_request(bucket: str, key: str, sent: Mapping[str, str], checksum: str | None) -> Request:
    """Rules: API_CreateMultipartUpload. A CRC32 will be the whole object's, another checksum that of its parts' own."""
    kept = {} if checksum is None else {"x-amz-checksum-algorithm": checksum.upper()}
    if checksum == "crc32":
        kept["x-amz-checksum-type"] = "FULL_OBJECT"
    return object_request("POST", bucket, key, {"uploads": ""}, {**sent, **kept})


def created(body: bytes) -> str:
    """The upload id in the answer."""
    # The shorter name is that of `rclone serve s3`.
    upload_id = parse_xml(body, "InitiateMultipartUploadResult", "InitiateMultipartUpload").findtext("UploadId")
    if not upload_id or len(upload_id) > MAX_ID:
        raise InvalidResponse("the answer names no upload id, or one that is longer than any")
    return upload_id


def part_request(
    bucket: str, key: str, upload_id: str, number: int, sent: Mapping[str, str], checksum: Mapping[str, str]
) -> Request:
    """Rules: API_UploadPart."""
    query = {"partNumber": str(number), "uploadId": upload_id}
    return object_request("PUT", bucket, key, query, {**along(sent), **checksum})


def abort_request(bucket: str, key: str, upload_id: str, sent: Mapping[str, str]) -> Request:
    """Rules: API_AbortMultipartUpload."""
    owner = {name: value for name, value in along(sent).items() if "customer" not in name}
    return object_request("DELETE", bucket, key, {"uploadId": upload_id}, owner)


def list_request(bucket: str, key: str, upload_id: str, sent: Mapping[str, str], after: str | None) -> Request:
    """Rules: API_ListParts."""
    query = {"uploadId": upload_id, "part-number-marker": after}
    return object_request("GET", bucket, key, query, along(sent))


def parse_parts(body: bytes, checksum: str | None) -> tuple[list[Part], str | None]:
    """The parts on one page of a list, and where the next one begins (None: it was the last)."""
    root = parse_xml(body, "ListPartsResult")
    tag = f"Checksum{checksum.upper()}" if checksum else ""
    parts = [
        Part(
            whole_number("PartNumber", item.findtext("PartNumber") or ""),
            whole_number("Size", item.findtext("Size") or ""),
            item.findtext("ETag") or "",
            item.findtext(tag) if tag else None,
        )
        for item in root.findall("Part")
    ]
    is_cut = root.findtext("IsTruncated") == "true"
    after = root.findtext("NextPartNumberMarker") if is_cut else None
    if is_cut and not (after and after.isascii() and after.isdigit()):
        raise InvalidResponse("the list of parts goes on, but the answer does not say where")
    return parts, after


def complete_request(
    bucket: str, key: str, upload_id: str, sent: Mapping[str, str | None], whole: Mapping[str, str]
) -> Request:
    """Rules: API_CompleteMultipartUpload. `whole`: the header with the checksum of the whole object, if any."""
    kind = {"x-amz-checksum-type": "FULL_OBJECT"} if whole else {}
    return object_request("POST", bucket, key, {"uploadId": upload_id}, {**sent, **whole, **kind})


def complete_body(parts: Iterable[Part], checksum: str | None) -> bytes:
    """The list of parts that are to become the object."""
    from html import escape

    tag = f"Checksum{checksum.upper()}" if checksum else ""
    lines = []
    for part in parts:
        value = f"<{tag}>{part.checksum}</{tag}>" if tag else ""
        etag = escape(part.etag, quote=False)
        lines.append(f"<Part><PartNumber>{part.number}</PartNumber><ETag>{etag}</ETag>{value}</Part>")
    return f'<CompleteMultipartUpload xmlns="{XML_NAMESPACE}">{"".join(lines)}</CompleteMultipartUpload>'.encode()


def completed(
    request: Request, sent: Mapping[str, str], headers: Mapping[str, str], body: bytes, size: int
) -> ObjectInfo:
    """The object that the answer to a completion describes: S3 sends the status before it knows the outcome."""
    root = parse_xml(body, "CompleteMultipartUploadResult")
    found = {name: value for name, value in headers.items() if name.startswith("x-amz-") or name == "date"}
    found["etag"] = root.findtext("ETag") or ""
    for name in checksums.STORED:
        value = root.findtext(f"Checksum{name.upper()}")
        if value:
            found[f"x-amz-checksum-{name}"] = value
            found["x-amz-checksum-type"] = "COMPOSITE" if "-" in value else "FULL_OBJECT"
    return made(request, sent, found, size)
