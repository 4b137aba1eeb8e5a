"""What the store says of the parts of an unfinished upload: proved before it is believed, or done without."""

import os
import re

import pytest
from kit_uploads import (
    ALL,
    DATA,
    FORBIDDEN,
    NUMBERS,
    PART,
    Link,
    parts_of,
    went_on,
)
from rawserver import Answer

from cdn_sigv4 import CDNError, parts

pytestmark = [
    pytest.mark.skipif(parts.fcntl is None, reason="uploads that are gone on with need flock"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


REFUSALS = {
    "403": FORBIDDEN,
    "501": Answer(501),
    "a portal's page": Answer(body=b"<html></html>"),
    "another document": Answer(body=b"<ListBucketResult/>"),
    "a list without numbers": Answer(body=b"<ListPartsResult><Part><Size>1</Size></Part></ListPartsResult>"),
    "a list that goes on nowhere": Answer(body=b"<ListPartsResult><IsTruncated>true</IsTruncated></ListPartsResult>"),
}


@pytest.mark.parametrize("answer", REFUSALS.values(), ids=REFUSALS)
def test_parts_that_cannot_be_listed(site, answer):
    """Where the store does not say what it has, all parts are sent again, in the same upload."""
    site.break_at("part 4")
    link = Link(site.store, "list", answer)
    assert site.again(link) == went_on(*NUMBERS)


def test_a_store_that_does_not_answer(site):
    """No answer to the list is an error like any other, and the record stays for the next run."""
    site.break_at("part 4")
    site.server.answer = Link(site.store, "list", Answer(reset=True))
    with pytest.raises(CDNError):
        site.upload()
    assert site.again() == went_on(4, 5, 6)


# -- what the store has


def test_pages(site):
    """A list of many pages is read to its end."""
    site.store.parts_per_page = 2
    site.break_at("complete")
    assert site.again() == ["list", "list", "list", "complete"]


ONE = b"<Part><PartNumber>%d</PartNumber><Size>1</Size><ETag>x</ETag></Part>"
TRUNCATED = b"<IsTruncated>true</IsTruncated><NextPartNumberMarker>%d</NextPartNumberMarker>%s"


@pytest.mark.parametrize("how", ["the same page", "an empty page", "more and more parts"])
def test_a_list_without_end(site, how):
    """A list that never ends is given up, and all parts are sent again."""
    site.break_at("part 4")
    pages = iter(range(1 << 30))

    def endless(request, through):
        page = next(pages)
        assert page < 100
        first = page * 1000 + 1 if how == "more and more parts" else 1
        count = 0 if how == "an empty page" else 1000
        inner = TRUNCATED % (first, b"".join(ONE % (first + each) for each in range(count)))
        return Answer(body=b"<ListPartsResult>%s</ListPartsResult>" % inner)

    requests = site.again(Link(site.store, "list", endless))
    assert [name for name in requests if name != "list"] == [*parts_of(*NUMBERS), "complete"]


NO_SUM = (b"<ChecksumCRC32>[^<]*</ChecksumCRC32>", b"")
LISTED = {
    "another checksum": ([(b"<ChecksumCRC32>[^<]*", b"<ChecksumCRC32>AAAAAA==")], True),
    "a checksum of another form": ([(b"<ChecksumCRC32>[^<]*", b"<ChecksumCRC32>x")], True),
    "no checksum": ([NO_SUM], False),
    "another size": ([(b"<Size>[^<]*", b"<Size>99999")], True),
    "no entity tag": ([(b"<ETag>[^<]*</ETag>", b"")], True),
    "another tag, no checksum": ([(b"<ETag>[^<]*", b'<ETag>"other"'), NO_SUM], True),
    "another tag, the right checksum": ([(b"<ETag>[^<]*", b'<ETag>"other"')], None),
}


@pytest.mark.parametrize(("edits", "is_sent"), LISTED.values(), ids=LISTED)
def test_a_part_that_is_not_proved_is_sent_again(site, edits, is_sent):
    """A part counts where its size, and its checksum or else its MD5, are those of the bytes here; else it is sent."""
    site.break_at("part 5")

    def edited(request, through):
        answer = through(request)
        whole = re.search(b"<Part><PartNumber>2</PartNumber>.*?</Part>", answer.body)[0]
        part = whole
        for pattern, text in edits:
            part = re.sub(pattern, text, part)
        answer.body = answer.body.replace(whole, part)
        return answer

    link = Link(site.store, "list", edited)
    if is_sent is None:  # that tag names no part of this store's, which only the completion tells
        site.again(link)
        assert link.seen == [*went_on(5, 6), "abort", *ALL]
        return
    assert site.again(link) == went_on(*([2] if is_sent else []), 5, 6)


@pytest.mark.parametrize("tag", [b'"00000000000000000000000000000000"', b'"opaque"', b"W/weak"])
def test_without_checksum_an_md5_proves_a_part(site, tag):
    """An upload without checksums believes a part whose entity tag is the MD5 of the bytes here, and no other."""
    site.break_at("part 5", checksum=None)

    def edited(request, through):
        answer = through(request)
        answer.body = re.sub(b"<ETag>[^<]*", b"<ETag>" + tag, answer.body, count=1)
        return answer

    assert site.again(Link(site.store, "list", edited), checksum=None) == went_on(1, 5, 6)


@pytest.mark.parametrize("checksum", ["crc32", "sha256", None])
def test_a_file_that_was_changed_unseen(site, checksum):
    """Bytes that were changed while size and time stayed are found by the checksums: that part alone is sent again."""
    site.break_at("part 5", checksum=checksum)
    before = site.path.stat()
    site.path.write_bytes(DATA[:PART] + b"?" + DATA[PART + 1 :])
    os.utime(str(site.path), ns=(before.st_atime_ns, before.st_mtime_ns))
    assert site.again(checksum=checksum) == went_on(2, 5, 6)
