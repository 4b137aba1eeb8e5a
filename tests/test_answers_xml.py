"""XML that S3 answers: the document, list pages and copies, none of it trusted.

Traps: 200 with an error inside (26), XML with a DOCTYPE or in an odd encoding (28), lists with and without encoding
(32a), tokens that are missing, digits that are none.
"""

import time
from datetime import datetime, timezone
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cdn_sigv4 import answers
from cdn_sigv4.errors import CDNError, InvalidResponse
from cdn_sigv4.s3 import Request

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=200)

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
MOMENT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>C</Code></Error>\n', id="declared"),
        pytest.param(f"<Error {NAMESPACE}><Code>C</Code></Error>".encode(), id="namespace"),
        pytest.param(b'<s:Error xmlns:s="urn:x"><s:Code>C</s:Code></s:Error>', id="prefix"),
        pytest.param(b' \r\n <?xml version="1.0"?><Error><Code>C</Code></Error>', id="blanks before the declaration"),
        pytest.param(b"\xef\xbb\xbf<Error><Code>C</Code></Error>", id="byte order mark"),
        pytest.param("<Error><Code>C</Code></Error>".encode("utf-16"), id="UTF-16"),
    ],
)
def test_xml(body):
    """The element is found with and without namespace, in every encoding that XML demands."""
    root = answers.parse_xml(body, "Error")
    assert (root.tag, root.findtext("Code")) == ("Error", "C")


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(20)
)
LAUGHS += "]><ListBucketResult>&u;</ListBucketResult>"
EXTERNAL = '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><ListBucketResult>&e;</ListBucketResult>'


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(LAUGHS, id="billion laughs"),
        pytest.param(EXTERNAL, id="external entity"),
        pytest.param('<!DOCTYPE x SYSTEM "http://h/x.dtd"><ListBucketResult/>', id="external DTD"),
        pytest.param("<!DOCTYPE html><html></html>", id="HTML"),
        pytest.param("<!DOCTYPE x><ListBucketResult/>", id="DOCTYPE alone"),
    ],
)
@pytest.mark.parametrize(
    ("before", "encoding"),
    [
        pytest.param("", "utf-8", id="UTF-8"),
        pytest.param("\ufeff", "utf-8", id="UTF-8 with byte order mark"),
        pytest.param("\ufeff", "utf-16-le", id="UTF-16, little end first"),
        pytest.param("\ufeff", "utf-16-be", id="UTF-16, big end first"),
        pytest.param('<?xml version="1.0" encoding="UTF-16"?>', "utf-16", id="UTF-16, declared"),
        pytest.param('<?xml version="1.0" encoding="latin-1"?>', "latin-1", id="Latin-1, declared"),
    ],
)
def test_doctype_is_refused_at_once(text, before, encoding):
    """No entity is ever defined, in whichever encoding the DOCTYPE hides, and no time is spent on it."""
    began = time.perf_counter()
    with pytest.raises(InvalidResponse, match="DOCTYPE"):
        answers.parse_xml((before + text).encode(encoding), "ListBucketResult")
    assert time.perf_counter() - began < 5


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<Error><Co", id="truncated in a tag"),
        pytest.param(b"<Error/><Error/>", id="two roots"),
        pytest.param(b"<Error/>junk", id="text behind"),
        pytest.param(b"<html><p>502<br></html>", id="HTML that is no XML"),
        pytest.param(b"<Error>\xff</Error>", id="no UTF-8"),
        pytest.param(b"<Error>&#x1;</Error>", id="a character that XML 1.0 has not"),
        pytest.param(b"<Error>&nbsp;</Error>", id="undefined entity"),
        pytest.param(b"<s:Error/>", id="unbound prefix"),
        pytest.param(b"\x1f\x8b\x08\x00", id="gzip"),
        pytest.param(b'<?xml version="1.0" encoding="no-such"?><Error/>', id="unknown encoding"),
        pytest.param(b'<?xml version="1.0" encoding="shift_jis"?><Error/>', id="multi-byte encoding"),
        pytest.param(b'<?xml version="1.0" encoding="base64"?><Error/>', id="an encoding that is no text"),
        pytest.param(b'<?xml version="1.0" encoding="idna"?><Error/>', id="an encoding that is no charmap"),
    ],
)
def test_no_xml(body):
    """Whatever is not XML is an InvalidResponse that keeps no reference to the parser's exception."""
    with pytest.raises(InvalidResponse, match="not the XML that S3 promises") as caught:
        answers.parse_xml(body, "Error")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@same_each_run
@given(body=st.one_of(st.binary(max_size=60), st.text(alphabet="<>/&;!?-[]ErorC= \"'", max_size=40).map(str.encode)))
def test_no_bytes_are_another_exception(body):
    """Any bytes at all are an element or an InvalidResponse."""
    try:
        said = answers.parse_xml(body, "Error").tag
    except InvalidResponse as error:
        said = str(error)
    assert said == "Error" or (said.startswith("the answer") and said.isprintable())


def test_another_root_is_refused_with_its_code():
    """An `<Error>` in a 200 is no success, and its code is kept as evidence."""
    with pytest.raises(InvalidResponse, match="<Error> where <CopyObjectResult> belongs") as caught:
        answers.parse_xml(f"<Error {NAMESPACE}><Code>InternalError</Code></Error>".encode(), "CopyObjectResult")
    assert caught.value.code == "InternalError"


def test_deep_xml_does_no_harm():
    """A hundred thousand elements in each other are refused like any other answer, not with a crash."""
    depth = 100_000
    with pytest.raises(InvalidResponse, match="belongs"):
        answers.parse_xml(b"<a>" * depth + b"</a>" * depth, "Error")


def page(inner, attributes=NAMESPACE):
    return f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult {attributes}>{inner}</ListBucketResult>'.encode()


def listed(key, size="1"):
    return f"<Contents><Key>{key}</Key><Size>{size}</Size></Contents>"


URL = "<EncodingType>url</EncodingType>"


@pytest.mark.parametrize("attributes", ["", NAMESPACE], ids=["without namespace", "with namespace"])
def test_list_page(attributes):
    """A page's entries come with all their fields."""
    body = page(
        "<Name>buc</Name><Prefix/><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents><Key>a</Key>"
        "<LastModified>2026-02-03T04:05:06.000Z</LastModified><ETag>&#34;e&#34;</ETag><Size>5</Size></Contents>",
        attributes,
    )
    assert answers.parse_list(body) == ([answers.ListedObject("a", 5, '"e"', MOMENT)], None)


def test_empty_page():
    """No entries and no token is the end."""
    assert answers.parse_list(page("<KeyCount>0</KeyCount>")) == ([], None)


@pytest.mark.parametrize(
    ("said", "sent", "key"),
    [
        pytest.param(URL, "a+b", "a b", id="plus is a blank"),
        pytest.param(URL, "a%2Bb", "a+b", id="encoded plus"),
        pytest.param(URL, "a%2520b", "a%20b", id="decoded once"),
        pytest.param(URL, "a%01b", "a\x01b", id="a character that XML has not"),
        pytest.param(URL, "%C3%BC%F0%9F%A4%96", "ü🤖", id="UTF-8"),
        pytest.param(URL, "100%", "100%", id="a lone percent sign, which was not encoded"),
        pytest.param("", "a%20b", "a%20b", id="not said: percent stays"),
        pytest.param("", "a+b", "a+b", id="not said: plus stays"),
        pytest.param("", "a &amp; b", "a & b", id="not said: XML's own escapes"),
        pytest.param("<EncodingType>none</EncodingType>", "a%20b", "a%20b", id="said otherwise"),
    ],
)
def test_keys_are_decoded_only_when_the_answer_says_so(said, sent, key):
    """Objects and common prefixes alike: `encoding-type=url` was asked for, but only the answer tells."""
    inner = f"{said}{listed(sent)}<CommonPrefixes><Prefix>{sent}</Prefix></CommonPrefixes>"
    entries, _ = answers.parse_list(page(inner))
    assert [entry.key for entry in entries] == [key, key]
    assert sorted(entry.is_prefix for entry in entries) == [False, True]


@same_each_run
@given(
    keys=st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), max_size=6, unique=True),
    encode=st.sampled_from([quote, quote_plus]),
)
@example(keys=["\uffff", "\U00010000"], encode=quote)
def test_any_key_comes_back(keys, encode):
    """Keys of any characters come back in the order of their UTF-8 bytes, with a blank written either way."""
    entries, token = answers.parse_list(page(URL + "".join(listed(escape(encode(key))) for key in keys)))
    assert [entry.key for entry in entries] == sorted(keys, key=str.encode)
    assert token is None


def test_a_key_that_is_no_utf_8_is_like_no_other():
    """Bytes that are no UTF-8 stay apart as surrogates, which no request takes, and keep their place in the order."""
    entries, _ = answers.parse_list(page(URL + listed("a%FF") + listed("a%FE") + listed("a%EF%BF%BD")))
    assert [entry.key for entry in entries] == ["a\ufffd", "a\udcfe", "a\udcff"]


def test_common_prefixes_stand_in_order():
    """Objects and common prefixes come as one list in the order of their keys, as S3 counts them."""
    inner = listed("a") + listed("c") + listed("Z")
    inner += "<CommonPrefixes><Prefix>b/</Prefix></CommonPrefixes><CommonPrefixes><Prefix>d/</Prefix></CommonPrefixes>"
    entries, _ = answers.parse_list(page(inner))
    assert [(entry.key, entry.is_prefix) for entry in entries] == [
        ("Z", False), ("a", False), ("b/", True), ("c", False), ("d/", True),
    ]  # fmt: skip
    assert vars(entries[2]) == {"key": "b/", "size": None, "etag": None, "last_modified": None}


@pytest.mark.parametrize(
    ("truncated", "token", "expected"),
    [
        pytest.param(
            "<IsTruncated>true</IsTruncated>",
            "<NextContinuationToken>t+/=</NextContinuationToken>",
            "t+/=",
            id="goes on",
        ),
        pytest.param(
            "<IsTruncated>false</IsTruncated>", "<NextContinuationToken>t</NextContinuationToken>", None, id="ends"
        ),
        pytest.param("<IsTruncated>false</IsTruncated>", "", None, id="ends without token"),
        pytest.param("", "<NextContinuationToken>t</NextContinuationToken>", None, id="says nothing"),
    ],
)
@pytest.mark.parametrize("said", ["", URL], ids=["plain", "url"])
def test_next_page(truncated, token, expected, said):
    """The token counts where the list is truncated; it is opaque, and encoding-type does not decode it."""
    assert answers.parse_list(page(said + truncated + token + listed("a")))[1] == expected


@pytest.mark.parametrize("token", ["", "<NextContinuationToken/>"])
def test_truncated_without_token(token):
    """A list that goes on but does not say where is an error, and not a shorter list."""
    with pytest.raises(InvalidResponse, match="does not say where"):
        answers.parse_list(page(f"<IsTruncated>true</IsTruncated>{token}{listed('a')}"))


@pytest.mark.parametrize("size", ["<Size>-1</Size>", "<Size>²</Size>", "<Size/>", ""])
def test_bad_sizes(size):
    """A size is digits in a list too: without it an object would be a common prefix."""
    with pytest.raises(InvalidResponse, match="Size is"):
        answers.parse_list(page(f"<Contents><Key>a</Key>{size}</Contents>"))


@pytest.mark.parametrize("inner", ["<Contents><Size>1</Size></Contents>", "<CommonPrefixes/>"])
def test_missing_key(inner):
    """A line without its key is an error, since no object has an empty one."""
    with pytest.raises(InvalidResponse):
        answers.parse_list(page(inner))


def test_bad_date_in_a_list_is_none():
    """A date that cannot be read costs the date, not the list."""
    inner = "<Contents><Key>a</Key><Size>0</Size><LastModified>yesterday</LastModified></Contents>"
    assert answers.parse_list(page(inner)) == ([answers.ListedObject("a", 0)], None)


def test_copy():
    """Entity tag and date are the copy's own, from the XML; of the headers only x-amz-* speak of the object."""
    body = (
        f'<CopyObjectResult {NAMESPACE}><ETag>"new"</ETag><LastModified>2026-02-03T04:05:06Z</LastModified>'
        "</CopyObjectResult>"
    ).encode()
    headers = {
        "content-length": str(len(body)),
        "content-type": "application/xml",
        "etag": '"the XML\'s"',
        "last-modified": "Tue, 03 Feb 2020 04:05:06 GMT",
        "x-amz-version-id": "v2",
    }
    info = answers.parse_copy(Request("PUT", "buc", "k"), headers, body)
    assert (info.bucket, info.key, info.size) == ("buc", "k", None)
    assert (info.etag, info.last_modified, info.version_id, info.content_type) == ('"new"', MOMENT, "v2", None)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"<Error><Code>InternalError</Code></Error>", "InternalError", id="error in a 200"),
        pytest.param(b'<?xml version="1.0"?>\n<Error><Code>SlowDown</Code></Error>', "SlowDown", id="declared"),
        pytest.param(b"", None, id="empty"),
        pytest.param(b" \n \n", None, id="blanks that kept the connection alive, and nothing more"),
        pytest.param(b"<CopyObjectResult><ETag>", None, id="truncated"),
        pytest.param(b"<CopyPartResult/>", None, id="another result"),
    ],
)
def test_no_copy(body, code):
    """The status was sent before the outcome was known: without the success element there is no copy."""
    with pytest.raises(CDNError) as caught:
        answers.parse_copy(Request("PUT", "buc", "k"), {}, body)
    assert type(caught.value) is InvalidResponse
    assert caught.value.code == code


def test_copy_without_entity_tag():
    """An entity tag that the answer does not name is None, and so is the date: as ObjectInfo says."""
    info = answers.parse_copy(Request("PUT", "buc", "k"), {"etag": '"header"'}, b"<CopyObjectResult/>")
    assert info.etag is None
    assert info.last_modified is None
