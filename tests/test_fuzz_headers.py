"""Fuzzing what travels in headers: values, names, metadata, credentials are refused unsent, or arrive exactly.

What arrived is read from the raw header lines and judged by sigcheck.py. Traps: header values (14), one value for each
name (15), no text that is silently encoded.
"""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit import BUCKET, SECRETS, client_of
from kit_fuzz import NAMES, NO_TEXT, VALUES, WILD, fuzzing, obliging
from rawserver import RawServer
from sigcheck import verify

from cdn_sigv4 import Credentials, S3Client
from cdn_sigv4.endpoint import Endpoint


@pytest.fixture(scope="module")
def seen():
    return []


@pytest.fixture(scope="module")
def server(seen):
    with RawServer(obliging(seen)) as started:
        yield started


@pytest.fixture(scope="module")
def client(server):
    with client_of(server) as made:
        yield made


def sent(seen, call):
    """The one request that a call makes, judged; None where the call is refused, and then nothing was sent."""
    seen.clear()
    try:
        call()
    except (ValueError, TypeError):
        assert seen == []
        return None
    (request,) = seen
    verify(request.head, request.body, SECRETS)
    return request


def lines(request, name):
    """The values of all lines with a header's name."""
    return [value for each, value in request.headers if each.lower() == name.lower()]


ANY = st.one_of(VALUES, NO_TEXT.filter(lambda value: value is not None))


def is_clean(value):
    """Whether a value can stand in a header as it is, by a second reckoning."""
    return isinstance(value, str) and value == value.strip(" ") and all(32 <= ord(char) <= 126 for char in value)


@settings(fuzzing, max_examples=250)
@given(value=ANY)
@example(value="")
@example(value="a  b   c")
def test_any_value(client, seen, value):
    """Any value for each argument that becomes a header arrives in one line as it was given, or is refused unsent."""
    calls = {
        "content-type": lambda: client.put_object(BUCKET, "k", b"body", content_type=value),
        "cache-control": lambda: client.put_object(BUCKET, "k", b"body", headers={"Cache-Control": value}),
        "x-amz-meta-note": lambda: client.put_object(BUCKET, "k", b"body", metadata={"Note": value}),
        "if-match": lambda: client.put_object(BUCKET, "k", b"body", if_match=value),
        "if-none-match": lambda: client.copy_object(BUCKET, "k", BUCKET, "l", headers={"x-amz-tagging": value}),
    }
    for name, call in calls.items():
        request = sent(seen, call)
        room = name != "x-amz-meta-note" or len(str(value)) <= 2000
        assert (request is not None) == (is_clean(value) and room)
        if request is not None:
            assert lines(request, "x-amz-tagging" if name == "if-none-match" else name) == [value]


@settings(fuzzing, max_examples=300)
@given(headers=st.dictionaries(NAMES, VALUES, max_size=5), metadata=st.dictionaries(NAMES, VALUES, max_size=5))
def test_any_names(client, seen, headers, metadata):
    """Any names for headers and metadata arrive with their values, each once, or all is refused unsent."""
    request = sent(seen, lambda: client.put_object(BUCKET, "k", b"body", headers=headers, metadata=metadata))
    if request is not None:
        wanted = {**headers, **{f"x-amz-meta-{name}": value for name, value in metadata.items()}}
        assert {name: lines(request, name) for name in wanted} == {name: [value] for name, value in wanted.items()}
        assert request.body == b"body"


@settings(fuzzing, max_examples=200)
@given(metadata=st.dictionaries(st.text("abcXYZ-_.09", min_size=1, max_size=9), st.text("az ~!\"'", max_size=9)))
def test_good_names(client, seen, metadata):
    """Metadata that keeps the rules is stored whole, under names in lower case."""
    clean = all(is_clean(value) for value in metadata.values())
    clean = clean and len({name.lower() for name in metadata}) == len(metadata)
    request = sent(seen, lambda: client.put_object(BUCKET, "k", b"", metadata=metadata))
    assert (request is not None) == clean
    if request is not None:
        found = [(name, value) for name, value in request.headers if name.lower().startswith("x-amz-meta-")]
        assert sorted(found) == sorted((f"x-amz-meta-{name.lower()}", value) for name, value in metadata.items())


@settings(fuzzing, max_examples=300)
@given(access=ANY, secret=ANY, token=st.one_of(st.none(), ANY), region=st.one_of(st.just("us-east-1"), ANY))
@example(access="key", secret="s\u00fc\U0001f916 +/", token=None, region="x")
@example(access="key", secret="\ud800", token=None, region="x")
def test_any_credentials(server, seen, access, secret, token, region):
    """Any credentials and region sign a request that the judge accepts, or are refused before one is made."""

    def call():
        with S3Client(server.endpoint, Credentials(access, secret, token), region=region, timeout=(5, 5)) as client:
            client.put_object(BUCKET, "k", b"body")

    seen.clear()
    try:
        call()
    except (ValueError, TypeError) as error:
        said = str(error)
    else:
        said = None
    if said is not None:
        assert seen == []
        told = not isinstance(secret, str) or len(secret) < 5 or secret in f"{access} {token} {region}"
        assert told or secret not in said
        return
    (request,) = seen
    proof = verify(request.head, request.body, {access: secret})
    assert (proof.access_key, proof.session_token, proof.region) == (access, token, region)


URL_PIECES = [
    "http", "https", "://", ":", "//", "/", "host", "h.test", "[::1]", "[", "]", "127.0.0.1", "9000", "0", "99999", "@",
    "?", "#", "%", "%2f", "%41", "..", ".", "a b", "\r\n", "\0", "\u00fc", "\u0661", "\ud800", "-", "_",
]  # fmt: skip
URLS = st.one_of(
    WILD,
    st.lists(st.sampled_from(URL_PIECES), max_size=8).map("".join),
)


@settings(fuzzing, max_examples=500)
@given(url=URLS, addressing=st.sampled_from(["path", "virtual"]))
def test_any_endpoint(url, addressing):
    """Any text as endpoint is refused, or what is sent of it is printable ASCII, and it reads as itself again."""
    try:
        endpoint = Endpoint(url, addressing)
    except ValueError:
        return
    shown = str(endpoint)
    assert set(shown) <= set(map(chr, range(33, 127)))
    assert not set(endpoint.authority) & set("/@?#%")
    assert str(Endpoint(shown, addressing)) == shown
