"""Fuzzing what S3 answers in XML: values or this package's errors come out, and nothing else.

The documents are damaged ones of each kind, trees of elements that belong elsewhere, texts in the wrong encoding, and
raw bytes. Traps: lists (32a), success elements (26), DOCTYPE and size (28).
"""

import encodings
import pkgutil
import warnings

from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit_fuzz import COPY, ERROR, LIST, damaged, ended, fuzzing

from cdn_sigv4 import answers
from cdn_sigv4.diagnosis import diagnose
from cdn_sigv4.endpoint import Endpoint
from cdn_sigv4.errors import CDNError, InvalidResponse, ResponseError
from cdn_sigv4.s3 import Request

COPYING = Request("PUT", "buc", "k")
NAMES = [
    "Contents", "Contents", "Contents", "CommonPrefixes", "CommonPrefixes", "Key", "Key", "Prefix", "Size", "ETag",
    "LastModified", "EncodingType", "IsTruncated", "NextContinuationToken", "Code", "Message", "Region", "ServerTime",
    "CanonicalRequest", "ListBucketResult", "CopyObjectResult", "Error", "a", "\u00e9", "a-.1",
]  # fmt: skip
TEXTS = [
    "", " ", "true", "false", "url", "1", "1", "0", "-1", "1e5", "9" * 40, "2026-02-03T04:05:06Z", "k", "%41", "%ff%fe",
    "Tue, 03 Feb 2026 04:05:06 GMT", "%", "%ED%A0%80", "+", "&amp;", "&lt;b&gt;", "&#65;", "<![CDATA[<x>]]>",
    "<!--c-->", "<?p i?>", "\u0663", "\U0001f916", "\ufffd", "SignatureDoesNotMatch", "host:h:9000", "\u2028", "\u202e",
]  # fmt: skip
ATTRIBUTES = ["", "", " xmlns='http://s3.amazonaws.com/doc/2006-03-01/'", " xmlns:x='u'", " a='1' b=\"2\""]
ROOTS = ["ListBucketResult", "CopyObjectResult", "Error"]
BAD_NAMES, BAD_TEXTS, BAD_ATTRIBUTES = (
    ["x:a", "xmlns", "1"],
    ["&#0;", "&no;", "<", "\x1b[2J", "]]>"],
    [" a=1", " a='' a=''"],
)
ENCODINGS = [
    "utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1", "cp1252", "shift_jis", "utf-7", "cp037",
]  # fmt: skip
DECLARED = [None, "UTF-8", "utf-8", "UTF-16", "latin-1", "US-ASCII", "cp037", "shift_jis", "utf-7", "", "x" * 300, "no"]
BEFORE = ["", "<!DOCTYPE x>", "<!DOCTYPE x [<!ENTITY a 'b'>]>", "<!--c-->", "\ufeff", "\n", "x"]


def tree(steps):
    """Elements with texts, each step a leaf in, a level down from, or a level up from where the last one was."""
    parts, above = [], []
    for name, attributes, text, move in steps:
        parts += [f"<{name}{attributes}>", text]
        above.append(name)
        parts += [f"</{above.pop()}>" for _ in range(min(move, len(above)))]
    return "".join(parts + [f"</{name}>" for name in reversed(above)])


def trees(*choices):
    """Trees of elements with names, attributes and texts of these."""
    return st.lists(st.tuples(*map(st.sampled_from, [*choices, [0, 1, 1, 1, 2]])), max_size=12).map(tree)


GOOD = trees(NAMES, ATTRIBUTES, TEXTS)
TREES = st.one_of(GOOD, trees(NAMES + BAD_NAMES, ATTRIBUTES + BAD_ATTRIBUTES, TEXTS + BAD_TEXTS))


def written(inner, root, encoding, declared, doctype):
    """A tree as a document, in an encoding which its declaration may contradict."""
    head = "" if declared is None else f"<?xml version='1.0' encoding='{declared}'?>"
    return f"{head}{doctype}<{root}>{inner}</{root}>".encode(encoding, "replace")


def page(entries, said):
    """A list page of entries that are each a key or prefix, a size and a date."""
    rows = []
    for key, size in entries:
        date = f"<LastModified>{key}</LastModified>"
        row = f"<Contents><Key>{key}</Key><Size>{size}</Size>{date}</Contents>"
        rows.append(row if size else f"<CommonPrefixes><Prefix>{key}</Prefix></CommonPrefixes>")
    return f"<ListBucketResult>{said}{''.join(rows)}</ListBucketResult>".encode()


ROWS = st.tuples(st.sampled_from([text for text in TEXTS if text.strip()]), st.sampled_from(["", "0", "5", "9" * 19]))
SAID = [
    "", "<EncodingType>url</EncodingType>",
    "<IsTruncated>true</IsTruncated><NextContinuationToken>&lt;t</NextContinuationToken>",
]  # fmt: skip
PAGES = st.builds(page, st.lists(ROWS, max_size=8), st.sampled_from(SAID))

BODIES = st.one_of(
    damaged(st.sampled_from([LIST, COPY, ERROR])),
    st.builds(written, GOOD, st.sampled_from(ROOTS), st.just("utf-8"), st.none(), st.just("")),
    st.builds(written, TREES, *map(st.sampled_from, [ROOTS, ENCODINGS, DECLARED, BEFORE])),
    damaged(TREES.map(lambda inner: f"<Error>{inner}</Error>".encode())),
    st.binary(max_size=60),
)


@settings(fuzzing, max_examples=1000)
@given(body=st.one_of(BODIES, PAGES, damaged(PAGES)))
@example(body=LIST)
def test_lists(body):
    """A list page, whatever it is, is entries in order with keys and sizes and a token, or an InvalidResponse."""
    result = ended(lambda: answers.parse_list(body))
    if isinstance(result, CDNError):
        assert type(result) is InvalidResponse
        return
    entries, token = result
    assert entries == sorted(entries, key=lambda entry: entry.key.encode("utf-8", "surrogateescape"))
    assert all(entry.key and (entry.is_prefix or 0 <= entry.size < 10**20) for entry in entries)
    assert token is None or token


@settings(fuzzing, max_examples=400)
@given(body=BODIES)
@example(body=COPY)
def test_copies(body):
    """A copy's answer, whatever it is, is a description whose texts are text, or an InvalidResponse."""
    result = ended(lambda: answers.parse_copy(COPYING, {"etag": '"header"'}, body))
    if isinstance(result, CDNError):
        assert type(result) is InvalidResponse
        return
    assert result.etag is None or result.etag
    assert result.last_modified is None or result.last_modified.tzinfo is not None


@settings(fuzzing, max_examples=600)
@given(body=BODIES, status=st.integers(0, 999), host=st.sampled_from(["h", "h:9000", "other"]))
@example(body=ERROR, status=403, host="h")
def test_error_documents(body, status, host):
    """An error's document, whatever it is, becomes an error that can be shown on one line of a terminal."""
    error = diagnose(Request("GET", "buc", "k"), Endpoint(f"http://{host}"), status, {}, body, region="r", now=1.7e9)
    assert isinstance(error, ResponseError)
    assert ended(lambda: raising(error)) is error


def raising(error):
    raise error


def test_every_encoding_of_python():
    """Whichever codec of Python a document names, what comes out is an element or an InvalidResponse."""
    names = [module.name for module in pkgutil.iter_modules(encodings.__path__)]
    assert "utf_8" in names
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the codec "unicode_escape" warns of what it is given to read
        for name in [*names, "aliases", "os.path", "..", "-", "a" * 100_000, "x-user-defined"]:
            for inner in (b"<Code>\xe9</Code>", b"<Code>A</Code>", b""):
                document = b'<?xml version="1.0" encoding="%s"?><Error>%s</Error>' % (name.encode("ascii"), inner)
                result = ended(lambda document=document: answers.parse_xml(document, "Error"))
                assert isinstance(result, InvalidResponse) or result.tag == "Error"
