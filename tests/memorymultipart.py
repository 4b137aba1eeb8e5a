"""What the small S3 of memorystore.py stores, in one piece or in parts, and its multipart uploads.

Codes and documents are those of the Amazon S3 API Reference. Where AWS and MinIO differ in what they let pass, this is
as strict as the stricter of the two: what passes here passes on both. No state is kept here; the store holds the open
uploads, and calls this under its lock.
"""

from __future__ import annotations

import base64
import dataclasses
import email.utils
import functools
import hashlib
import re
import zlib
from typing import TYPE_CHECKING, Mapping, NamedTuple
from urllib.parse import quote_plus
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape

from rawhttp import Answer

if TYPE_CHECKING:
    import datetime as dt

    from rawhttp import RawRequest

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
CHECKSUM = "x-amz-checksum-"
MAX_PARTS = 10_000  # S3 User Guide, multipart upload limits; the two below are from there too
PARTS_PER_PAGE = 1000
LEAST_PART = 5 << 20  # bytes; the last part may be smaller
ALGORITHMS = {
    "CRC32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "SHA256": lambda body: hashlib.sha256(body).digest(),
}
_ELEMENTS = {"PartNumber", "ETag"} | {"Checksum" + name for name in (*ALGORITHMS, "CRC32C", "CRC64NVME", "SHA1")}


class StoreError(Exception):
    """Becomes an error answer."""

    def __init__(self, status: int, code: str, message: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status, self.code, self.message, self.headers = status, code, message, dict(headers or {})


class _Fields(NamedTuple):
    body: bytes
    headers: dict[str, str]
    modified: dt.datetime
    tag: str | None = None
    parts: tuple[tuple[int, str | None], ...] = ()


class Stored(_Fields):
    """What is stored. Uploaded in parts, it has an entity tag of its own, and size and checksum of each part."""

    @functools.cached_property
    def etag(self) -> str:
        return self.tag or f'"{hashlib.md5(self.body).hexdigest()}"'

    @property
    def sums(self) -> dict[str, str]:
        """The headers that tell its checksum."""
        sums = {name: value for name, value in self.headers.items() if name.startswith(CHECKSUM)}
        kind = "COMPOSITE" if any("-" in value for value in sums.values()) else "FULL_OBJECT"
        return {CHECKSUM + "type": kind, **sums} if sums else {}


class Part(NamedTuple):
    """A part of an open upload. `sums` are the checksums sent with it, by algorithm."""

    body: bytes
    etag: str
    sums: dict[str, str]
    modified: dt.datetime


@dataclasses.dataclass
class Upload:
    """An open upload: what the object is to have, the algorithm and kind of its checksum, and the parts so far."""

    bucket: str
    key: bytes
    headers: dict[str, str]
    algorithm: str | None = None
    kind: str = "COMPOSITE"
    parts: dict[int, Part] = dataclasses.field(default_factory=dict)


def upload_id(count: int) -> str:
    """The same for the same count, opaque, and with characters that a query must encode."""
    return base64.b64encode(b"\xfb\xff\xbf" + hashlib.sha256(b"upload %d" % count).digest()[:20]).decode("ascii")


def number_of(text: bytes, name: str = "partNumber", least: int = 1, most: int = MAX_PARTS) -> int:
    """A number from the query."""
    if re.fullmatch(b"[0-9]{1,9}", text) is None or not least <= int(text) <= most:
        raise StoreError(400, "InvalidArgument", f"{name} must be an integer between {least} and {most}")
    return int(text)


def begin(request: RawRequest, bucket: str, key: bytes, headers: Mapping[str, str]) -> Upload:
    """CreateMultipartUpload. Conditions belong to its completion; AWS does not know them here."""
    if request.header("if-match") is not None or request.header("if-none-match") is not None:
        raise StoreError(501, "NotImplemented", "A header you provided implies functionality not implemented")
    algorithm, kind = request.header(CHECKSUM + "algorithm"), request.header(CHECKSUM + "type")
    kinds = {None: (None,), "CRC32": (None, "COMPOSITE", "FULL_OBJECT"), "SHA256": (None, "COMPOSITE")}
    if kind not in kinds.get(algorithm, ()):
        raise StoreError(400, "InvalidRequest", f"checksum algorithm {algorithm} with type {kind}")
    kept = {name.lower(): value for name, value in headers.items() if not name.lower().startswith(CHECKSUM)}
    return Upload(bucket, key, kept, algorithm, kind or "COMPOSITE")


def begun(upload: Upload, name: str) -> Answer:
    headers = {"Content-Type": "application/xml"}
    if upload.algorithm is not None:
        headers.update({CHECKSUM + "algorithm": upload.algorithm, CHECKSUM + "type": upload.kind})
    return Answer(headers=headers, body=document("InitiateMultipartUploadResult", _place(upload, name)))


def add_part(request: RawRequest, upload: Upload, number: int, now: dt.datetime) -> Answer:
    """UploadPart. MinIO, and AWS for composite checksums, want the algorithm of the upload with every part."""
    if request.header("x-amz-copy-source") is not None:
        raise StoreError(501, "NotImplemented", "UploadPartCopy")
    sums = {name: request.header(CHECKSUM + name.lower()) for name in ALGORITHMS}
    sums = {name: value for name, value in sums.items() if value is not None}
    if upload.algorithm is not None and set(sums) != {upload.algorithm}:
        raise StoreError(400, "InvalidRequest", f"Checksum Type mismatch occurred, expected: {upload.algorithm}")
    check_digests(request)
    body = request.body
    part = upload.parts[number] = Part(body, f'"{hashlib.md5(body).hexdigest()}"', sums, now)
    return Answer(headers={"ETag": part.etag, **{CHECKSUM + name.lower(): value for name, value in sums.items()}})


def list_parts(upload: Upload, name: str, query: Mapping[str, bytes], per_page: int) -> Answer:
    """ListParts. The marker of the next page stands there on the last page too, as on AWS; on MinIO it is 0 then."""
    limit = min(number_of(query.get("max-parts", b"1000"), "max-parts", 0, 1 << 31), per_page)
    marker = number_of(query.get("part-number-marker", b"0"), "part-number-marker", 0, 1 << 31)
    left = sorted(number for number in upload.parts if number > marker)
    page, more = left[:limit], 0 < limit < len(left)
    texts = [_place(upload, name), "<StorageClass>STANDARD</StorageClass>"]
    texts.append(f"<PartNumberMarker>{marker}</PartNumberMarker>")
    texts.append(f"<NextPartNumberMarker>{page[-1] if page else 0}</NextPartNumberMarker>")
    texts.append(f"<MaxParts>{limit}</MaxParts><IsTruncated>{str(more).lower()}</IsTruncated>")
    if upload.algorithm is not None:
        texts.append(f"<ChecksumAlgorithm>{upload.algorithm}</ChecksumAlgorithm>")
        texts.append(f"<ChecksumType>{upload.kind}</ChecksumType>")
    for number in page:
        part = upload.parts[number]
        value = part.sums.get(upload.algorithm or "")
        checksum = f"<Checksum{upload.algorithm}>{value}</Checksum{upload.algorithm}>" if value else ""
        texts.append(
            f"<Part><PartNumber>{number}</PartNumber><LastModified>{iso(part.modified)}</LastModified>"
            f"<ETag>{escape(part.etag)}</ETag><Size>{len(part.body)}</Size>{checksum}</Part>"
        )
    return Answer(headers={"Content-Type": "application/xml"}, body=document("ListPartsResult", "".join(texts)))


def complete(request: RawRequest, upload: Upload, least_part: int, now: dt.datetime) -> Stored:
    """CompleteMultipartUpload: the object, or StoreError with the upload untouched."""
    parts = [_chosen(upload, fields) for fields in _listed(request.body)]
    if any(len(part.body) < least_part for part in parts[:-1]):
        raise StoreError(400, "EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
    headers = {**upload.headers, **_checksum(request, upload, parts)}
    tags = hashlib.md5(b"".join(bytes.fromhex(part.etag[1:-1]) for part in parts)).hexdigest()
    sums = tuple((len(part.body), part.sums.get(upload.algorithm or "")) for part in parts)
    return Stored(b"".join(part.body for part in parts), headers, now, f'"{tags}-{len(parts)}"', sums)


def completed(request: RawRequest, upload: Upload, stored: Stored) -> Answer:
    """Its answer. MinIO puts the checksum into the headers too, and leaves its type out of the document."""
    location = "http://" + (request.header("host") or "") + request.path.decode("ascii")
    text = f"<Location>{escape(location)}</Location>{_place(upload)}<ETag>{escape(stored.etag)}</ETag>"
    if upload.algorithm is not None:
        value = stored.headers[CHECKSUM + upload.algorithm.lower()]
        text += f"<Checksum{upload.algorithm}>{value}</Checksum{upload.algorithm}>"
        text += f"<ChecksumType>{upload.kind}</ChecksumType>"
    body = document("CompleteMultipartUploadResult", text)
    return Answer(headers={"Content-Type": "application/xml"}, body=body)


def _listed(body: bytes) -> list[dict[str, str]]:
    """The parts that the client names, their fields by name, in an order that rises."""
    malformed = StoreError(400, "MalformedXML", "The XML you provided was not well-formed or did not validate")
    try:
        root = ET.fromstring(body)
    except ET.ParseError:
        raise malformed from None
    for element in root.iter():
        element.tag = element.tag.replace(f"{{{NAMESPACE}}}", "")
    listed = [{field.tag: (field.text or "").strip() for field in part} for part in root]
    good = root.tag == "CompleteMultipartUpload" and listed and all(part.tag == "Part" for part in root)
    if not good or any(not {"PartNumber", "ETag"} <= set(part) <= _ELEMENTS for part in listed):
        raise malformed
    if any(re.fullmatch("[0-9]{1,9}", part["PartNumber"]) is None for part in listed):
        raise malformed
    numbers = [int(part["PartNumber"]) for part in listed]
    if any(after <= before for before, after in zip(numbers, numbers[1:])):
        raise StoreError(400, "InvalidPartOrder", "The list of parts was not in ascending order.")
    return listed


def _chosen(upload: Upload, fields: Mapping[str, str]) -> Part:
    """The part that is meant. MinIO wants its checksum named where the upload has an algorithm, whatever the kind."""
    part = upload.parts.get(int(fields["PartNumber"]))
    given = {name[len("Checksum") :]: value for name, value in fields.items() if name.startswith("Checksum")}
    good = part is not None and part.etag == '"' + fields["ETag"].strip('"') + '"'
    good = good and all(part.sums.get(name) == value for name, value in given.items())
    if not good or (upload.algorithm is not None and upload.algorithm not in given):
        raise StoreError(400, "InvalidPart", f"Part {fields['PartNumber']} could not be found or differs")
    return part


def _checksum(request: RawRequest, upload: Upload, parts: list[Part]) -> dict[str, str]:
    """The headers of the object's checksum, compared with what the client says about the stored."""
    sent = {name: request.header(CHECKSUM + name.lower()) for name in ALGORITHMS}
    sent = {name: value for name, value in sent.items() if value is not None}
    kind = request.header(CHECKSUM + "type")
    if (sent or kind is not None) and (kind or "COMPOSITE", *sent) not in (
        (upload.kind, upload.algorithm),
        (upload.kind,),
    ):
        raise StoreError(400, "InvalidRequest", f"The upload was created using {upload.algorithm} {upload.kind}")
    if upload.algorithm is None:
        return {}
    if upload.kind == "FULL_OBJECT":
        crc = 0
        for part in parts:
            crc = zlib.crc32(part.body, crc)
        value = base64.b64encode(crc.to_bytes(4, "big")).decode("ascii")
    else:
        raw = b"".join(base64.b64decode(part.sums[upload.algorithm]) for part in parts)
        value = f"{base64.b64encode(ALGORITHMS[upload.algorithm](raw)).decode('ascii')}-{len(parts)}"
    if sent.get(upload.algorithm, value) != value:
        raise StoreError(400, "BadDigest", "The checksum you specified did not match the calculated checksum.")
    return {CHECKSUM + upload.algorithm.lower(): value, CHECKSUM + "type": upload.kind}


def read_part(request: RawRequest, stored: Stored, number: int, even_full: bool) -> Answer:
    """One part, counted from 1 whatever its number was; an object from a single PUT is one, and is not counted."""
    if request.header("range") is not None:
        raise StoreError(400, "InvalidRequest", "Cannot specify both Range header and partNumber query parameter")
    parts = stored.parts or ((len(stored.body), None),)
    if number > len(parts):
        raise StoreError(416, "InvalidPartNumber", "The requested partnumber is not satisfiable")
    start = sum(size for size, _ in parts[: number - 1])
    size, checksum = parts[number - 1]
    more = {"x-amz-mp-parts-count": str(len(parts))} if stored.parts else {}
    if (
        checksum is not None
        and wants_checksum(request)
        and (even_full or stored.sums[CHECKSUM + "type"] == "COMPOSITE")
    ):
        name = next(name for name in stored.sums if name != CHECKSUM + "type")
        more[name] = checksum
    return piece(stored, (start, start + size), more)


def piece(stored: Stored, span: tuple[int, int], more: Mapping[str, str]) -> Answer:
    headers = {**described(stored), **more}
    if span[0] < span[1]:
        headers["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{len(stored.body)}"
    return Answer(206, headers=headers, body=stored.body[span[0] : span[1]])


def described(stored: Stored) -> dict[str, str]:
    headers = {"content-type": "binary/octet-stream", "Accept-Ranges": "bytes", "ETag": stored.etag}
    headers["Last-Modified"] = email.utils.format_datetime(stored.modified, True)
    headers.update({name: value for name, value in stored.headers.items() if not name.startswith(CHECKSUM)})
    return headers


def wants_checksum(request: RawRequest) -> bool:
    return (request.header("x-amz-checksum-mode") or "").upper() == "ENABLED"


def check_digests(request: RawRequest) -> None:
    """What the client says about its body besides the signature."""
    known = {CHECKSUM + name.lower(): digest for name, digest in ALGORITHMS.items()}
    known["content-md5"] = lambda body: hashlib.md5(body).digest()
    for name, digest in known.items():
        sent = request.header(name)
        if sent is not None and sent != base64.b64encode(digest(request.body)).decode("ascii"):
            raise StoreError(400, "BadDigest", f"The {name} you specified did not match what we received.")


def _place(upload: Upload, name: str | None = None) -> str:
    text = f"<Bucket>{escape(upload.bucket)}</Bucket><Key>{xml_name(upload.key, encoded=False)}</Key>"
    return text if name is None else f"{text}<UploadId>{escape(name)}</UploadId>"


def xml_name(raw: bytes, encoded: bool) -> str:
    """A key in XML. AWS writes a space as `+`. Unencoded control characters become `&#x1;`, no XML, as on MinIO."""
    if encoded:
        return quote_plus(raw, safe="/")
    text = escape(raw.decode("utf-8", "replace"))
    return re.sub("[\x00-\x08\x0b-\x1f]", lambda match: f"&#x{ord(match.group()):X};", text)


def iso(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000Z")


def document(root: str, inner: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{NAMESPACE}">{inner}</{root}>'.encode()
