"""The table of faults: each with what must come of every operation, where the fault passes and where it lasts.

How a row is read says fault_row.py. Here are the operations of one request; those of many, uploads in parts and
downloads over several connections, have their rows in fault_table_pieces.py.
"""

from __future__ import annotations

import fault_bytes as damage
import fault_link as link
import fault_store as store
from fault_row import (
    ALL,
    ANSWER_LOST,
    BODIES,
    BROKEN,
    CHANGED,
    CONTRADICTION,
    DAMAGED,
    EVERY,
    KIB,
    LITTLE,
    LOST,
    MIB,
    OBJECTS,
    READS,
    REFUSED,
    REPEATED,
    RIGHT,
    SOME,
    UNHARMED,
    UNKNOWN,
    WRITES,
    Row,
    final,
    once_more,
    said,
)
from fault_table_pieces import PIECEWISE

CONNECTIONS = [
    Row("refused", link.never_asked, {EVERY: (RIGHT, LOST)}, deaf=True),
    Row("reset before the headers", link.reset_before_headers, ANSWER_LOST),
    Row("closed before the headers", link.closed_before_headers, ANSWER_LOST, LITTLE),
    Row("reset in the headers", link.reset_in_headers, ANSWER_LOST),
    Row("closed in the headers", link.closed_in_headers, ANSWER_LOST, LITTLE),
    Row("reset after the headers", link.reset_after_headers, {BODIES: (RIGHT, LOST)}, SOME),
    Row("reset after the headers", link.reset_after_headers, {"put head delete": (RIGHT, RIGHT)}, KIB),
    Row("reset in the upload", link.reset_in_upload, {"put": (RIGHT, LOST)}, MIB, attempts=4),
    Row("cut at byte 0", link.cut_at(lambda size: 0), {BODIES: (RIGHT, LOST)}, SOME),
    Row("cut at byte 1", link.cut_at(lambda size: min(size - 1, 1)), {BODIES: (RIGHT, LOST)}, SOME),
    Row("cut in the middle", link.cut_at(lambda size: size // 2), {BODIES: (RIGHT, LOST)}, SOME),
    Row("cut before the last byte", link.cut_at(lambda size: size - 1), {BODIES: (RIGHT, LOST)}, SOME),
    Row("cut at every MiB", link.cut_at(lambda size: 1 << 20), {OBJECTS: (RIGHT, RIGHT)}, MIB, attempts=3),
    Row("closed behind the answer", link.closed_afterwards, UNHARMED),
    Row("stall before the headers", link.stall_before_headers, ANSWER_LOST, KIB, stall=0.15, attempts=2),
    Row(
        "stall in the headers",
        link.stall_in_headers,
        {"get": (RIGHT, LOST), "put": (RIGHT, UNKNOWN)},
        KIB,
        stall=0.15,
        attempts=2,
    ),
    Row("stall in the body", link.stall_in_body, {BODIES: (RIGHT, LOST)}, SOME, stall=0.15, attempts=2),
    Row("stall in the upload", link.stall_in_upload, {"put": (RIGHT, LOST)}, MIB, stall=0.5, attempts=2),
]

FRAMING = [
    Row("second answer behind the first", link.stray_bytes, UNHARMED),
    Row("length too short", link.length_too_short, once_more(DAMAGED, OBJECTS), SOME),
    Row("length too short", link.length_too_short, once_more(BROKEN, "list"), SOME),
    Row(
        "length too long", link.length_too_long, {"get": (CONTRADICTION,) * 2, "download": (RIGHT, CONTRADICTION)}, SOME
    ),
    Row("length too long", link.length_too_long, {"list": (RIGHT, LOST), "put": (RIGHT, UNKNOWN)}),
    Row("no length", link.no_length, {OBJECTS: (RIGHT, BROKEN), "put head list": (RIGHT, RIGHT)}),
    Row("in chunks", link.in_chunks, {OBJECTS: (RIGHT, BROKEN), "put head list": (RIGHT, RIGHT)}),
    Row("in chunks, cut short", link.chunks_cut_short, {OBJECTS: (RIGHT, BROKEN), "list": (RIGHT, LOST)}),
    Row("gzip when not asked", link.gzip_not_asked, {OBJECTS: (RIGHT, DAMAGED), "list": (RIGHT, BROKEN)}),
    Row("gzip when not asked", link.gzip_not_asked, final(RIGHT, "head"), KIB),
    Row("100 before the answer", link.interim(link.CONTINUE), UNHARMED),
    Row("103 before the answer", link.interim(link.EARLY_HINTS), UNHARMED),
    Row("103 in place of the answer", link.interim(link.EARLY_HINTS, final=False), ANSWER_LOST, KIB),
    Row("10,000 times 103", link.interim(link.EARLY_HINTS, 10_000), once_more(f"{BROKEN}|{LOST}", READS), KIB),
    Row("10,000 times 103", link.interim(link.EARLY_HINTS, 10_000), once_more(f"{BROKEN}|{UNKNOWN}", WRITES), KIB),
    Row("10,000 headers", link.many_headers, once_more(f"{BROKEN}|{LOST}", READS), KIB),
    Row("10,000 headers", link.many_headers, once_more(f"{BROKEN}|{UNKNOWN}", WRITES), KIB),
    Row("a header of 1 MB", link.wide_header, once_more(f"{BROKEN}|{LOST}", READS), KIB),
    Row("a header of 1 MB", link.wide_header, once_more(f"{BROKEN}|{UNKNOWN}", WRITES), KIB),
    Row("flipped bit in the status line", link.flipped_status_line, once_more(f"{BROKEN}|{LOST}", READS), KIB),
    Row("flipped bit in the status line", link.flipped_status_line, once_more(f"{BROKEN}|{UNKNOWN}", WRITES), KIB),
]

STATUSES = [
    said("204", store.says(204), final(f"{REFUSED}|{BROKEN}", "put get download head list")),
    *(
        said(f"{status} {'with' if located else 'without'} Location", store.redirect(status, located=located),
            final("RedirectRefused"), ALL if located and status in (301, 307) else LITTLE)
        for status in (301, 302, 307, 308) for located in (True, False)
    ),
    said("304", store.says(304), final("NotModified"), LITTLE),
    said("400 with a web page", store.says(400, body=store.PAGE), final(REFUSED)),
    said("403", store.says(403, "AccessDenied"), final("AccessDenied")),
    Row("403 before the body is read", store.says_early(403, "AccessDenied"), final("AccessDenied", "put"), MIB),
    Row("503 before the body is read", store.says_early(503, "SlowDown"), {"put": (RIGHT, REFUSED)}, MIB),
    said("404", store.says(404, "NoSuchKey"), final("NotFound")),
    said("409", store.says(409, "BucketNotEmpty"), final(REFUSED), LITTLE),
    said("411", store.says(411, "MissingContentLength"), final(REFUSED), LITTLE),
    said("412", store.says(412, "PreconditionFailed"), final("PreconditionFailed")),
    said("416", store.says(416, "InvalidRange"), final(REFUSED), LITTLE),
    said("501", store.says(501, "NotImplemented"), final(REFUSED)),
    said("400 RequestTimeout", store.says(400, "RequestTimeout"), {"put": (RIGHT, REFUSED)}, SOME),
    said("400 IncompleteBody", store.says(400, "IncompleteBody"), {"put": (RIGHT, REFUSED)}, KIB),
    said("403 RequestTimeTooSkewed", store.skewed, once_more("AccessDenied", EVERY)),
    said("408", store.says(408), REPEATED, LITTLE),
    said("429", store.says(429), REPEATED, LITTLE),
    said("500", store.says(500, "InternalError"), REPEATED),
    said("502 with a web page", store.says(502, body=store.PAGE), REPEATED, LITTLE),
    said("503 with Retry-After 60", store.says(503, "SlowDownRead", Retry_After="60"), REPEATED),
    said("504 with a web page", store.says(504, body=store.PAGE), REPEATED, LITTLE),
    said("200 with a portal's web page", store.portal, once_more(BROKEN, EVERY)),
    said("200 with <Error>", store.error_in_200(), {"put list delete": (RIGHT, REFUSED)}),
    said("200 with <Error>", store.error_in_200(), once_more(f"{BROKEN}|{REFUSED}|{DAMAGED}", OBJECTS)),
    said("200 with <Error> and ETag", store.error_in_200({"ETag": '"x"'}), {"put list delete": (RIGHT, REFUSED)}, KIB),
    Row("200 with <Error>, the object's ETag", store.error_for_object, once_more(DAMAGED, OBJECTS)),
    said("XML bomb", store.bomb(200), once_more(BROKEN, "put list")),
    said("XML bomb in a 400", store.bomb(400), final(REFUSED), LITTLE),
    Row("endless XML", store.endless(200), once_more(BROKEN, "list"), KIB),
    Row("endless XML in a 400", store.endless(400), final(REFUSED, "put get download list delete"), KIB),
    Row("endless answer", store.endless_answer, once_more(BROKEN, "put list"), KIB),
    Row("list without its end tag", store.list_without_end_tag, once_more(BROKEN, "list")),
    Row("second page lost", store.on_page_two(link.closed_before_headers), {"list": (RIGHT, LOST)}, MIB, times=2),
    Row("second page without end tag", store.on_page_two(store.list_without_end_tag), once_more(BROKEN, "list"), MIB,
        times=2),
    Row("second page the first again", store.on_page_two(store.first_page), final(BROKEN, "list"), MIB, times=2),
]  # fmt: skip

DAMAGE = [
    Row("flipped bit", damage.flip_down, once_more(DAMAGED, OBJECTS), SOME),
    Row("flipped bit, MD5 alone", damage.flip_under_etag, once_more(DAMAGED, OBJECTS), SOME),
    Row("flipped bit, SHA-256 alone", damage.flip_under_sha256, once_more(DAMAGED, OBJECTS), KIB),
    Row("flipped bit in a tag", damage.flip_in_tag, once_more(BROKEN, "list")),
    Row("wrong checksum", damage.wrong_checksum, once_more(DAMAGED, OBJECTS)),
    Row(
        "flipped bit, seen in the SHA-256", damage.noticed("XAmzContentSHA256Mismatch"), once_more(DAMAGED, "put"), SOME
    ),
    Row(
        "flipped bit, seen in the CRC32", damage.noticed("XAmzContentChecksumMismatch"), once_more(DAMAGED, "put"), KIB
    ),
    Row("flipped bit, BadDigest", damage.noticed("BadDigest"), once_more(DAMAGED, "put"), KIB),
    Row("flipped bit, stored, with its MD5", damage.kept(damage.as_md5), once_more(DAMAGED, "put"), SOME),
    Row("flipped bit, stored, with its CRC32", damage.kept(damage.as_crc32), once_more(DAMAGED, "put"), SOME),
    Row("no ETag", store.no_etag, {"put": (RIGHT, BROKEN), "get download head": (RIGHT, RIGHT)}),
]

# The answer breaks off, and so the client goes on from there: the fault is in what it then gets.
cut = damage.broken_off
NO_BASIS = {"get": (LOST, LOST), "download": (RIGHT, LOST)}  # a file can be begun anew, a reader's caller cannot
ANOTHER = {"get": (CHANGED, CHANGED), "download": (RIGHT, CHANGED)}
TWICE = {"sizes": SOME, "times": 2}
RESUMED = [
    Row("cut, weak ETag", cut(damage.honest, ETag='W/"1"'), NO_BASIS, SOME),
    Row("cut, no ETag", cut(damage.honest, ETag=None), NO_BASIS, SOME),
    Row("cut, wrong ETag on resume", cut(damage.part_with_another_etag), ANOTHER, **TWICE),
    Row("cut, no ETag on resume", cut(damage.part_without_etag), once_more(f"{BROKEN}|{CHANGED}", OBJECTS), **TWICE),
    Row("cut, replaced", cut(damage.honest, replaced=True), ANOTHER, **TWICE),
    Row("cut, replaced, ignoring If-Match", cut(damage.deaf_to("if-match"), replaced=True), ANOTHER, **TWICE),
    Row("cut, replaced, ignoring If-Match and Range", cut(damage.deaf_to("if-match", "range"), replaced=True),
        ANOTHER, **TWICE),
    Row("cut, replaced, under the old ETag", cut(damage.part_with_the_etag_asked_for, replaced=True),
        {"get": (RIGHT, f"{DAMAGED}|{CHANGED}"), "download": (RIGHT, DAMAGED)}, **TWICE),
    Row("cut, ignoring Range", cut(damage.deaf_to("range")), {OBJECTS: (RIGHT, RIGHT)}, **TWICE),
    Row("cut, deleted", cut(store.says(404, "NoSuchKey")), {OBJECTS: (RIGHT, "NotFound")}, **TWICE),
    Row("cut, 503 on resume", cut(store.says(503, "SlowDown")), {OBJECTS: (RIGHT, REFUSED)}, **TWICE),
    Row("cut, 416 on resume", cut(store.says(416, "InvalidRange")), ANOTHER, **TWICE),
    Row("cut, flipped bit on resume", cut(damage.part_damaged), once_more(DAMAGED, OBJECTS), **TWICE),
    Row("cut, half of the rest on resume", cut(damage.part_too_short),
        {OBJECTS: (RIGHT, f"{BROKEN}|{RIGHT}")}, **TWICE),
    *(
        Row(f"cut, Content-Range {name} on resume", cut(damage.part_said_to_be(text)), once_more(BROKEN, OBJECTS),
            sizes, times=2)
        for name, text, sizes in (
            ("elsewhere", "bytes {early}-{last}/{size}", SOME),
            ("missing", None, KIB),
            ("nonsense", "bytes all", KIB),
            ("of another size", "bytes {first}-{last}/{more}", KIB),
            ("in other units", "lines {first}-{last}/{size}", KIB),
        )
    ),
]  # fmt: skip

TABLE = [*CONNECTIONS, *FRAMING, *STATUSES, *DAMAGE, *RESUMED, *PIECEWISE]

UNDETECTABLE = """\
What nobody can detect is not in the table: S3 gives lists, descriptions and headers no checksum, so over plain http a
bit flipped in a list's key, in a size, or in a HEAD's headers arrives as if it were meant (the row "flipped bit in a
tag" damages a list where it shows). An object without a stored checksum and with an entity tag that is no MD5 proves
nothing of its bytes, on the way down or up. A second answer that comes later than the next request goes out belongs to
that one. Over https the link can do none of this; a careless store still can."""
