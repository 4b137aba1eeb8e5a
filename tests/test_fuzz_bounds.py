"""However much a server sends, and whatever its XML is made of, a call takes a bounded number of bytes and of memory.

A server that never ends is left; one that answers within the limit of a list page gets no more than a few times that
limit of memory out of us. The limits in time are only those that a call without bounds would reach.
"""

import itertools
import string

import pytest
from kit import LONG, client_of, within
from kit_calls import copy, delete, get, head, listed, put
from kit_fuzz import MIB, Endless, counted, create, ended, head_of_bucket

from cdn_sigv4 import answers
from cdn_sigv4.errors import CDNError

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "status line": (b"HTTP/1.1 200 ", b"x"),
    "headers": (OK, b"a: b\r\n"),
    "one header": (OK + b"a: ", b"x"),
    "a folded header": (OK + b"a: b\r\n", b" x\r\n"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "103 Early Hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "headers of an interim answer": (b"HTTP/1.1 100 Continue\r\n", b"a: b\r\n"),
    "body without length": (OK + b"\r\n", b"<a/>"),
    "body of huge length": (OK + b"Content-Length: %d\r\n\r\n" % (1 << 60), b"\0"),
    "chunks": (CHUNKED, b"1000\r\n%s\r\n" % (b" " * 4096)),
    "one huge chunk": (CHUNKED + b"f" * 15 + b"\r\n", b" "),
    "a chunk of no length": (CHUNKED, b"x"),
    "a chunk's extension": (CHUNKED + b"5;", b"x"),
    "a chunk of negative length": (CHUNKED + b"-1\r\n", b" "),
    "trailers": (CHUNKED + b"0\r\n", b"a: b\r\n"),
    "body of an error": (b"HTTP/1.1 500 x\r\n\r\n", b"x"),
    "body of an error in chunks": (b"HTTP/1.1 500 x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", b"x"),
    "body of a redirect": (b"HTTP/1.1 301 x\r\nLocation: /\r\n\r\n", b"x"),
    "behind a 204": (b"HTTP/1.1 204 x\r\n\r\n", b"x"),
    "behind an empty body": (OK + b'ETag: "e"\r\nContent-Length: 0\r\n\r\n', b"x"),
}
CALLS = [put, head, delete, copy, listed, create, head_of_bucket]
MOST_TAKEN = 40 * MIB  # the limit of an answer, and what the sockets between client and server hold


@pytest.mark.parametrize("way", list(ENDLESS))
def test_endless_answers(way):
    """A server that never ends its answer is left soon, by every operation, and little is kept of what it sent."""
    for call in CALLS:
        with Endless(*ENDLESS[way]) as server, client_of(server.endpoint, timeout=(5, 5)) as client:
            with counted() as peak, within(LONG):
                ended(lambda client=client, call=call: call(client))
                assert peak() < 40
        assert server.sent < MOST_TAKEN


@pytest.mark.parametrize("way", [way for way in ENDLESS if not way.startswith("body of huge")])
def test_endless_answers_to_a_get(way):
    """So it is with an object, unless its length is what is endless: that is given as it comes."""
    with Endless(*ENDLESS[way]) as server, client_of(server.endpoint, timeout=(5, 5)) as client:
        with counted() as peak, within(LONG):
            result = ended(lambda: get(client))
            assert peak() < 40
    assert isinstance(result, CDNError) or result == b""
    assert server.sent < MOST_TAKEN


# -- XML at its limit

PAGE, END = b"<ListBucketResult>", b"</ListBucketResult>"
IN_KEY, END_KEY = PAGE + b"<EncodingType>url</EncodingType><Contents><Size>1</Size><Key>", b"</Key></Contents>" + END
IN_DATE, END_DATE = PAGE + b"<Contents><Key>a</Key><Size>1</Size><LastModified>", b"</LastModified></Contents>" + END
ENTRY = b"<Contents><Key>%41</Key><Size>1</Size><LastModified>2026-02-03T04:05:06</LastModified></Contents>"
# Head, unit and tail of documents that are as bad as their size allows, each in its own way.
WORST = {
    "tiny elements": (PAGE, b"<a/>", END),
    "tiny elements with a namespace": (b"<ListBucketResult xmlns='urn:x'>", b"<ab/>", END),
    "nested": (PAGE, b"<a>", b""),
    "nested with a namespace": (b"<ListBucketResult xmlns='urn:x'>", b"<ab>", b""),
    "nested with attributes": (PAGE, b"<a b=''>", b""),
    "nested with namespaces": (PAGE, b"<a xmlns:b='c'>", b""),
    "attributes": (PAGE, b"<a b=''/>", END),
    "line breaks": (PAGE, b"\xc4\x80\n", END),
    "returns": (PAGE, b"ab\r", END),
    "references": (PAGE, b"ab&lt;", END),
    "sections": (PAGE, b"<![CDATA[\xc4\x80]]>", END),
    "comments": (PAGE, b"<!---->", END),
    "instructions": (PAGE, b"<?a?>", END),
    "one long text": (PAGE, b"a", "\U0001f916".encode() + END),
    "one long name": (PAGE + b"<", b"a", b"/>" + END),
    "one long key": (IN_KEY, b"%", END_KEY),
    "one long key of escapes": (IN_KEY, b"%C3", END_KEY),
    "one long key, part encoded": (IN_KEY, b"%41\xc4\x80", END_KEY),
    "one long date of words": (IN_DATE, b"\xc4\x80 ", END_DATE),
    "one long date of digits": (IN_DATE + b"3 Feb ", b"9", b" 04:05:06" + END_DATE),
    "one long date of colons": (IN_DATE + b"3 Feb 2026 ", b":", END_DATE),
    "one long size": (PAGE + b"<Contents><Key>a</Key><Size>", b"9", b"</Size></Contents>" + END),
    "entries": (PAGE, ENTRY, END),
    "prefixes": (PAGE, b"<CommonPrefixes><Prefix>ab</Prefix></CommonPrefixes>", END),
    "blanks": (b"", b" \n", PAGE + END),
    "UTF-16": ("<ListBucketResult>".encode("utf-16"), "<a>".encode("utf-16-le"), b""),
    "nothing but openings": (b"", b"<", b""),
}
MOST_KEPT = 160  # MiB


def numbered(unit, count):
    """A unit, with four letters for its `%s` that differ each time."""
    letters = itertools.islice(itertools.product(string.ascii_lowercase, repeat=4), count)
    return [unit % "".join(each) for each in letters]


def filled(start, unit, end):
    """As many units as fit into the largest answer that is read; a `%s` in a unit is another name each time."""
    room = answers.MAX_XML_BYTES - len(start) - len(end)
    if b"%s" not in unit:
        return start + unit * (room // len(unit)) + end
    return start + "".join(numbered(unit.decode(), room // (len(unit) + 2))).encode() + end


WORST["one element of many attributes"] = (PAGE[:-1], b" %s=''", b"/>")
WORST["one element of many namespaces"] = (PAGE[:-1], b" xmlns:%s='a'", b"/>")
WORST["many names"] = (PAGE, b"<%s/>", END)
WORST["many long names, nested"] = (PAGE, b"<" + b"a" * 33 + b"%s>", b"")


@pytest.mark.parametrize("way", list(WORST))
def test_worst_documents(way):
    """The worst document of the largest size that is read takes no more than 160 MiB, and no more than seconds."""
    body = filled(*WORST[way])
    assert answers.MAX_XML_BYTES - 200 < len(body) <= answers.MAX_XML_BYTES or b"%s" in WORST[way][1]
    with counted() as peak, within(LONG):
        ended(lambda: answers.parse_list(body))
        assert peak() <= MOST_KEPT
