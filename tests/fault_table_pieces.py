"""The table of faults for operations of many requests: uploads in parts, and downloads over several connections.

How a row is read says fault_row.py, at which request of an operation the fault is fault_pieces.py. What must come of
it follows from what the requests are: nothing that an upload does before its end makes an object, so a lost answer
leaves nothing unknown; a lost end is repeated, and looked into; an upload that fails is taken back, and an error says
so where it could not be. A helper's failure alone fails no download. No two versions are ever mixed.
"""

from __future__ import annotations

import fault_bytes as damage
import fault_link as link
import fault_store as store
import fault_upload as upload
from fault_row import (
    BROKEN,
    CHANGED,
    DAMAGED,
    LOST,
    PIECES,
    REFUSED,
    RIGHT,
    UNKNOWN,
    Outcomes,
    Row,
    final,
    once_more,
)
from misbehaviour import Spoil

INSIDE = "create part last"  # before there is an object
ENDS = "complete new"
WRITES = f"{INSIDE} {ENDS}"
DENIED = "AccessDenied"
GONE = "NotFound"
BLOCKED = "PreconditionFailed"
CONTRADICTION = f"{RIGHT}|{LOST}|{BROKEN}|{CHANGED}"  # the front and the ranges do not say the same size
# Without a list all parts are sent again. Where ranges are refused for ever, it depends on how far the first
# connection has come when the last helper gives up; it may be done, or need a range itself.
NO_MATTER: Outcomes = {"parts": (RIGHT, RIGHT), "abort": (DENIED, DENIED)}


def helped(kind: str) -> Outcomes:
    """A fault that passes costs a helper at the most; one that lasts may meet the first connection as well."""
    return {"range": (RIGHT, f"{RIGHT}|{kind}")}


LOST_ANSWER: Outcomes = {
    f"{INSIDE} parts": (RIGHT, LOST), ENDS: (RIGHT, UNKNOWN), "abort": (DENIED, DENIED), "front": (RIGHT, LOST),
    **helped(LOST)
}  # fmt: skip
LOST_BODY: Outcomes = {
    "create parts": (RIGHT, LOST), ENDS: (RIGHT, f"{RIGHT}|{UNKNOWN}"), "front": (RIGHT, RIGHT), **helped(LOST)
}  # fmt: skip
LYING_HEAD: Outcomes = {"new": (RIGHT, f"{UNKNOWN}|{BROKEN}|{BLOCKED}")}  # another length there, of another object
UNHARMED: Outcomes = {f"{WRITES} parts range front": (RIGHT, RIGHT), "abort": (DENIED, DENIED)}
ODD: Outcomes = {  # an answer that no HTTP client can read, or none wants to
    f"{INSIDE} front": (RIGHT, f"{BROKEN}|{LOST}"), ENDS: (RIGHT, f"{BROKEN}|{UNKNOWN}"), "abort": (DENIED, DENIED),
    "parts": (RIGHT, f"{RIGHT}|{LOST}"), **helped(f"{BROKEN}|{LOST}")
}  # fmt: skip


def decided(kind: str) -> Outcomes:
    """The store's last word. To a list it is none: the parts are sent again; nor to a helper."""
    return {**final(kind, f"{WRITES} front"), **helped(kind), **NO_MATTER}


def repeated(kind: str = REFUSED) -> Outcomes:
    """Asked for again, for a while."""
    return {f"{WRITES} front": (RIGHT, kind), **helped(kind), **NO_MATTER}


def without(operation: str, outcomes: Outcomes) -> Outcomes:
    """All outcomes but those of one operation."""
    return {names: each for names, each in outcomes.items() if names != operation}


def row(fault: str, spoil: Spoil, outcomes: Outcomes, **settings: object) -> Row:
    """A row about pieces."""
    return Row(fault, spoil, outcomes, PIECES, **settings)  # type: ignore[arg-type]


CONNECTIONS = [
    row("refused", link.never_asked, {"create": (RIGHT, LOST)}, deaf=True),
    row("reset before the headers", link.reset_before_headers, LOST_ANSWER, strays=True),
    row("closed before the headers", link.closed_before_headers, LOST_ANSWER, strays=True),
    row("closed in the headers", link.closed_in_headers, LOST_ANSWER, strays=True),
    row("reset after the headers", link.reset_after_headers, LOST_BODY, strays=True),
    row("reset in the upload", link.reset_in_upload, {f"{INSIDE} {ENDS}": (RIGHT, f"{LOST}|{UNKNOWN}")}),
    row("cut at byte 1", link.cut_at(lambda size: min(size - 1, 1)), LOST_BODY, strays=True),
    row("cut in the middle", link.cut_at(lambda size: size // 2), LOST_BODY, strays=True),
    row("cut before the last byte", link.cut_at(lambda size: size - 1), LOST_BODY, strays=True),
    row("closed behind the answer", link.closed_afterwards, UNHARMED),
    row("stall before the headers", link.stall_before_headers, LOST_ANSWER, stall=0.15, attempts=2, strays=True),
    row("stall in the body", link.stall_in_body, LOST_BODY, stall=0.15, attempts=2, strays=True),
    row("stall in the upload", link.stall_in_upload, {"part last": (RIGHT, LOST)}, stall=0.15, attempts=2),
    row("second answer behind the first", link.stray_bytes, UNHARMED),
    row("length too long", link.length_too_long,
        {"create parts part last": (RIGHT, LOST), "complete": (RIGHT, UNKNOWN), "front": (CONTRADICTION,) * 2,
         **LYING_HEAD, **helped(f"{LOST}|{BROKEN}")}, strays=True),
    row("length too short", link.length_too_short,
        {"create": (RIGHT, BROKEN), "complete": (RIGHT, f"{BROKEN}|{UNKNOWN}"), **LYING_HEAD, **NO_MATTER,
         **helped(BROKEN)}, strays=True),
    row("in chunks", link.in_chunks, {f"{WRITES} parts": (RIGHT, RIGHT), "front": (RIGHT, BROKEN), **helped(BROKEN)}),
    row("in chunks, cut short", link.chunks_cut_short, {"create": (RIGHT, LOST), ENDS: (RIGHT, UNKNOWN)}, strays=True),
    row("gzip when not asked", link.gzip_not_asked,
        {"create": (RIGHT, BROKEN), ENDS: (RIGHT, f"{BROKEN}|{UNKNOWN}"), "front": (RIGHT, f"{DAMAGED}|{BROKEN}"),
         **NO_MATTER}, strays=True),
    row("100 before the answer", link.interim(link.CONTINUE), UNHARMED),
    row("103 before the answer", link.interim(link.EARLY_HINTS), UNHARMED),
    row("103 in place of the answer", link.interim(link.EARLY_HINTS, final=False), LOST_ANSWER, strays=True),
    row("10,000 headers", link.many_headers, ODD, strays=True),
    row("flipped bit in the status line", link.flipped_status_line, ODD, strays=True),
]  # fmt: skip

STATUSES = [
    row("204", store.says(204), without("abort", decided(f"{REFUSED}|{BROKEN}"))),
    *(
        row(f"{status} with Location", store.redirect(status, located=True), decided("RedirectRefused"))
        for status in (301, 307)
    ),
    row("304", store.says(304), decided("NotModified")),
    row("400 with a web page", store.says(400, body=store.PAGE), decided(REFUSED)),
    row("403", store.says(403, DENIED), decided(DENIED)),
    row("403 before the body is read", store.says_early(403, DENIED), final(DENIED, WRITES)),
    row("404", store.says(404, "NoSuchBucket"), {**decided(GONE), "parts": (RIGHT, RIGHT)}, strays=True),
    row("404 NoSuchUpload", store.says(404, "NoSuchUpload"), {**final(GONE, WRITES), "parts": (RIGHT, RIGHT)},
        strays=True),
    row("404 with a web page", store.says(404, body=store.PAGE), {"abort": (DENIED, DENIED)}),
    row("409", store.says(409, "BucketNotEmpty"), decided(REFUSED)),
    row("411", store.says(411, "MissingContentLength"), decided(REFUSED)),
    row("412", store.says(412, "PreconditionFailed"),
        {**final(BLOCKED, f"{WRITES} front"), "range": (RIGHT, f"{RIGHT}|{CHANGED}"), **NO_MATTER}),
    row("416", store.says(416, "InvalidRange"),
        {**final(REFUSED, f"{WRITES} front"), "range": (RIGHT, f"{RIGHT}|{CHANGED}"), **NO_MATTER}),
    row("501", store.says(501, "NotImplemented"), decided(REFUSED)),
    row("400 RequestTimeout", store.says(400, "RequestTimeout"), {"part last": (RIGHT, REFUSED)}),
    row("403 RequestTimeTooSkewed", store.skewed, repeated(DENIED)),
    row("408", store.says(408), repeated()),
    row("409 OperationAborted", store.says(409, "OperationAborted"), {ENDS: (RIGHT, REFUSED)}),
    row("409 ConditionalRequestConflict", store.says(409, "ConditionalRequestConflict"), {"new": (RIGHT, REFUSED)}),
    row("429", store.says(429), repeated()),
    row("500", store.says(500, "InternalError"), repeated()),
    row("502 with a web page", store.says(502, body=store.PAGE), repeated()),
    row("503 with Retry-After 60", store.says(503, "SlowDownRead", Retry_After="60"), repeated()),
    row("503 before the body is read", store.says_early(503, "SlowDown"), {WRITES: (RIGHT, REFUSED)}),
    row("200 with a portal's web page", store.portal,
        {f"{WRITES} front": (RIGHT, BROKEN), **helped(BROKEN), **NO_MATTER}),
    row("200 with <Error>", store.error_in_200(), {WRITES: (RIGHT, REFUSED), **NO_MATTER, **helped(BROKEN)}),
    row("200 with <Error> and ETag", store.error_in_200({"ETag": '"x"'}), {WRITES: (RIGHT, REFUSED), **NO_MATTER}),
    row("200 with nothing", store.says(200), {WRITES: (RIGHT, BROKEN), **helped(BROKEN), "parts": (RIGHT, RIGHT)}),
    row("XML bomb", store.bomb(200), {f"create {ENDS}": (RIGHT, BROKEN), "parts": (RIGHT, RIGHT)}),
    row("endless answer", store.endless_answer,
        {"create": (RIGHT, BROKEN), ENDS: (RIGHT, f"{BROKEN}|{UNKNOWN}"), "parts": (RIGHT, RIGHT)}, strays=True),
]  # fmt: skip

PARTS = [
    row("no ETag", store.no_etag, {"part last": (RIGHT, BROKEN), "range front": (RIGHT, f"{RIGHT}|{BROKEN}")}),
    row("ETag of other bytes", upload.part_of_other_bytes, once_more(DAMAGED, "part last")),
    *(
        row(f"flipped bit, {code}", damage.noticed(code), once_more(DAMAGED, "part last"))
        for code in ("XAmzContentSHA256Mismatch", "XAmzContentChecksumMismatch", "BadDigest")
    ),
    row("flipped bit, stored, with its MD5", upload.part_kept(damage.as_md5), once_more(DAMAGED, "part last")),
    row("flipped bit, stored, with its CRC32", upload.part_kept(damage.as_crc32), once_more(DAMAGED, "part last")),
    row("flipped bit at rest", upload.part_spoilt_at_rest, final(DAMAGED, "part last")),
    row("part lost at rest", upload.part_lost_at_rest, final(REFUSED, "part last")),
    row("upload gone", upload.upload_gone, final(GONE, f"part last {ENDS}")),
    row("no upload id", upload.with_id(b""), once_more(BROKEN, "create"), strays=True),
    row("empty upload id", upload.with_id(b"<UploadId></UploadId>"), once_more(BROKEN, "create"), strays=True),
    row("endless upload id", upload.with_id(b"<UploadId>" + b"x" * 9999 + b"</UploadId>"),
        once_more(BROKEN, "create"), strays=True),
]  # fmt: skip

# The end is done, and its answer is lost; what a look for the object then finds decides.
THRICE = {"times": 3}  # the end, the end again, the look
ALL_ENDS = f"{ENDS} stream"
OVER = "complete stream"  # in the place of whatever is there
ENDINGS = [
    row("stored, empty answer", upload.edited(lambda body: b""), {ALL_ENDS: (RIGHT, RIGHT)}),
    row("stored, half an answer", upload.edited(lambda body: body[: len(body) // 2]),
        {ALL_ENDS: (RIGHT, RIGHT)}),
    row("stored, no ETag in the answer", upload.listed(b"<ETag>.*</ETag>", b""), {ALL_ENDS: (RIGHT, RIGHT)}),
    row("stored, a list of parts for answer", upload.listed(b"CompleteMultipartUploadResult", b"ListPartsResult"),
        {ALL_ENDS: (RIGHT, RIGHT)}),
    row("stored, another ETag in the answer", upload.listed(b"<ETag>.*</ETag>", b'<ETag>"x-5"</ETag>'),
        {ALL_ENDS: (RIGHT, RIGHT)}),
    row("stored, no checksum in the answer", upload.listed(b"<Checksum.*</ChecksumType>", b""),
        {ALL_ENDS: (RIGHT, RIGHT)}),
    row("stored, another checksum in the answer", upload.listed(b"(<ChecksumCRC32>).*?<", b"\\1AAAAAA==<"),
        final(DAMAGED, ALL_ENDS)),
    row("spaces before the answer", upload.edited(lambda body: upload.SPACES + body), {ALL_ENDS: (RIGHT, RIGHT)}),
    row("spaces in the answer", upload.edited(upload.behind_declaration(upload.SPACES)), {ALL_ENDS: (RIGHT, RIGHT)}),
    row("spaces, then <Error>", store.says(200, body=upload.SPACES + store.xml("InternalError")),
        {ALL_ENDS: (RIGHT, REFUSED)}),
    row("declaration, spaces, then <Error>",
        store.says(200, body=upload.behind_declaration(upload.SPACES)(store.xml("InternalError"))),
        {ALL_ENDS: (RIGHT, REFUSED)}),
    row("200 with <Error> AccessDenied", store.says(200, DENIED), final(REFUSED, ALL_ENDS)),
    row("stored, then 500", link.changed(lambda request, answer: store.says(500, "InternalError")(request, None)),
        {ALL_ENDS: (RIGHT, REFUSED)}),
    row("lost, then 404", upload.lost(damage.honest), {ALL_ENDS: (RIGHT, RIGHT)}, **THRICE),
    row("lost, then 403", upload.lost(damage.honest, again=store.says(403, DENIED)),
        {ALL_ENDS: (RIGHT, RIGHT)}, **THRICE),
    row("lost, HEAD 403", upload.lost(store.says(403)),
        {"complete": (RIGHT, UNKNOWN), "new stream": (UNKNOWN, UNKNOWN)}, **THRICE),
    row("lost, HEAD 404", upload.lost(store.says(404)),
        {"complete": (RIGHT, UNKNOWN), "new stream": (UNKNOWN, UNKNOWN)}, **THRICE),
    row("lost, HEAD 503", upload.lost(store.says(503)), {ALL_ENDS: (RIGHT, UNKNOWN)}, **THRICE),
    row("lost, deleted", upload.lost(damage.honest, then=upload.object_goes),
        {"complete": (RIGHT, UNKNOWN), "new stream": (UNKNOWN, UNKNOWN)}, **THRICE),
    row("lost, upload dropped", upload.lost(damage.honest, does=upload.drops),
        {"complete": (RIGHT, UNKNOWN), "new stream": (UNKNOWN, UNKNOWN)}, **THRICE),
    row("lost, another's object there", upload.lost(damage.honest, then=upload.another_comes),
        {OVER: (UNKNOWN, UNKNOWN), "new": (f"{BLOCKED}|{UNKNOWN}",) * 2}, **THRICE),
    row("lost, another's object first", upload.lost(damage.honest, does=upload.drops, then=upload.another_comes),
        {OVER: (UNKNOWN, UNKNOWN), "new": (f"{BLOCKED}|{UNKNOWN}",) * 2}, **THRICE),
]  # fmt: skip

LISTS = [
    row(f"list {name}", spoil, {"parts": (RIGHT, RIGHT)}, times=times)
    for name, spoil, times in (
        ("empty", upload.listed(b"<Part>.*</Part>", b""), 2),
        ("with other sizes", upload.listed(b"<Size>", b"<Size>1"), 2),
        ("with other checksums", upload.listed(b"<ChecksumCRC32>.*?<", b"<ChecksumCRC32>AAAAAA==<"), 2),
        ("without checksums", upload.listed(b"<ChecksumCRC32>.*?</ChecksumCRC32>", b""), 2),
        ("with other ETags", upload.listed(b'<ETag>&quot;|<ETag>"', b'<ETag>"0'), 2),
        ("without ETags", upload.listed(b"<ETag>.*?</ETag>", b""), 2),
        ("of parts that nobody has sent", upload.listed(b"<PartNumber>", b"<PartNumber>7"), 2),
        ("of one part again and again", upload.listed(b"<PartNumber>.", b"<PartNumber>1"), 2),
        ("with no numbers", upload.listed(b"<PartNumber>", b"<PartNumber>x"), 1),
        ("that goes on, it does not say where", upload.listed(b"<NextPartNumberMarker>.*?</N.*?>", b""), 1),
        ("that goes on for ever", upload.first_parts_again, 3),
        ("without its end tag", upload.listed(b"</ListPartsResult>", b""), 1),
        ("for an object's", upload.listed(b"ListPartsResult", b"ListBucketResult"), 1),
    )
]


def both(kind: str) -> Outcomes:
    """Whether the object has a checksum or not: each range is looked at for itself."""
    return {"range bare": (RIGHT, f"{RIGHT}|{kind}")}


ANOTHER = both(CHANGED)
RANGES = [
    row("flipped bit", damage.flip_first, {"front": (RIGHT, DAMAGED), "range": (RIGHT, f"{RIGHT}|{DAMAGED}")}),
    row("flipped bit, MD5 alone", damage.flip_under_etag, once_more(DAMAGED, "front")),
    row("wrong checksum", damage.wrong_checksum, once_more(DAMAGED, "front")),
    row("error for the object's bytes", store.error_for_object, {"front": (RIGHT, DAMAGED), **both(BROKEN)}),
    row("weak ETag", link.changed(lambda request, answer: link.with_headers(answer, without=("etag",), ETag='W/"1"')),
        {"front": (RIGHT, RIGHT)}),
    row("ignoring Range", damage.deaf_to("range"), {"range bare": (RIGHT, RIGHT)}),
    row("ignoring If-Match", damage.deaf_to("if-match"), {"range bare": (RIGHT, RIGHT)}),
    row("another ETag", damage.part_with_another_etag, ANOTHER),
    row("no ETag in the range", damage.part_without_etag, both(f"{BROKEN}|{CHANGED}")),
    row("half of the range", damage.part_too_short, both(f"{BROKEN}|{LOST}")),
    *(
        row(f"Content-Range {name}", damage.part_said_to_be(text), both(BROKEN))
        for name, text in (
            ("elsewhere", "bytes {early}-{last}/{size}"),
            ("missing", None),
            ("nonsense", "bytes all"),
            ("of another size", "bytes {first}-{last}/{more}"),
            ("in other units", "lines {first}-{last}/{size}"),
            ("beyond the end", "bytes {first}-{late}/{size}"),
        )
    ),
    row("replaced", damage.replaced(damage.honest), ANOTHER),
    row("replaced, ignoring If-Match", damage.replaced(damage.deaf_to("if-match")), ANOTHER),
    row("replaced, ignoring If-Match and Range", damage.replaced(damage.deaf_to("if-match", "range")), ANOTHER),
    row("replaced, under the old ETag", damage.replaced(damage.part_with_the_etag_asked_for),
        {"range": (RIGHT, f"{RIGHT}|{DAMAGED}|{CHANGED}")}),
]  # fmt: skip

PIECEWISE = [*CONNECTIONS, *STATUSES, *PARTS, *ENDINGS, *LISTS, *RANGES]
