"""Fuzzing the names: any text as key, prefix, version, bucket or file name is refused unsent, or sent exactly.

What arrived is read from the raw request line and judged by sigcheck.py, which shares nothing with the package. Traps:
dot segments and other rewriting (1 to 6), local paths (38).
"""

import contextlib
import os
import pathlib
import tempfile

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from kit import BUCKET, FOUR, SECRETS, client_of, judged
from kit_calls import KEYS as KNOWN
from kit_files import content
from kit_fuzz import KEYS, NO_TEXT, WILD, fuzzing, obliging
from rawserver import MemoryStore, RawServer
from sigcheck import decode, parse_query, verify

from cdn_sigv4 import CDNCredentials, CDNError, CDNManager
from cdn_sigv4.s3 import MAX_KEY_BYTES


class Listening:
    """A server that says yes to all, a client of it, and what has come since it was last asked."""

    def __init__(self, server, client, seen):
        self.server, self.client, self._seen = server, client, seen

    def request(self, call):
        """The one request that the call made, judged; None where it was refused, and then nothing came at all."""
        before = self.server.connections
        try:
            call(self.client)
        except (ValueError, TypeError):
            assert (self._seen, self.server.connections) == ([], before)
            return None
        (request,) = self._seen
        self._seen.clear()
        judged(request)
        return request


@pytest.fixture(scope="module")
def listening():
    seen = []
    with RawServer(obliging(seen)) as server, client_of(server) as client:
        yield Listening(server, client, seen)


def fits(key):
    """Whether a key keeps S3's rules, by a second reckoning."""
    with contextlib.suppress(UnicodeEncodeError):
        return "\0" not in key and 1 <= len(key.encode("utf-8")) <= MAX_KEY_BYTES
    return False


def read(client, key, **options):
    with client.get_object(BUCKET, key, **options) as reader:
        return reader.read()


def head(client, key, **options):
    return client.head_object(BUCKET, key, **options)


ON_KEYS = [
    lambda client, key: client.put_object(BUCKET, key, b"body"),
    read,
    head,
    lambda client, key: client.delete_object(BUCKET, key),
    lambda client, key: client.copy_object(BUCKET, "from", BUCKET, key),
]


def known(test):
    """The test with the keys of all other tests as examples."""
    for key, _ in KNOWN:
        test = example(key=key)(test)
    return test


@settings(fuzzing, max_examples=150)
@given(key=KEYS)
@known
def test_any_key(listening, key):
    """Any text as a key is refused with nothing sent, or the path on the wire is that key, for every operation."""
    for call in ON_KEYS:
        request = listening.request(lambda client, call=call: call(client, key))
        assert (request is not None) == fits(key)
        if request is not None:
            assert decode(request.path) == b"/bucket/" + key.encode("utf-8")


@settings(fuzzing, max_examples=150)
@given(key=KEYS, version=st.one_of(st.none(), KEYS))
def test_any_copy_source(listening, key, version):
    """Any text as a copy's source arrives decoded as itself in its header, with its version, or is refused."""
    request = listening.request(lambda client: client.copy_object(BUCKET, key, BUCKET, "to", source_version_id=version))
    if request is not None:
        path, mark, query = request.header("x-amz-copy-source").encode("ascii").partition(b"?versionId=")
        assert decode(path) == b"/bucket/" + key.encode("utf-8")
        assert (decode(query).decode("utf-8") if mark else None) == version
    assert request is not None or not fits(key) or not encodes(version)


def encodes(*texts):
    """Whether there is a UTF-8 form."""
    try:
        "".join(text or "" for text in texts).encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


@settings(fuzzing, max_examples=150)
@given(prefix=KEYS, delimiter=st.one_of(st.none(), WILD), after=st.one_of(st.none(), KEYS))
def test_any_prefix(listening, prefix, delimiter, after):
    """Any text as prefix, delimiter or beginning of a list arrives as itself in the query, or is refused."""
    request = listening.request(
        lambda client: list(client.list_objects(BUCKET, prefix, delimiter=delimiter, start_after=after))
    )
    assert (request is not None) == encodes(prefix, delimiter, after)
    if request is not None:
        query = {decode(name): decode(value).decode("utf-8") for name, value in parse_query(request.query)}
        wanted = {b"prefix": prefix or None, b"delimiter": delimiter, b"start-after": after}
        assert {name: query.get(name) for name in wanted} == wanted


@settings(fuzzing, max_examples=100)
@given(key=KEYS, version=KEYS)
def test_any_version(listening, key, version):
    """Any text as a version id arrives as itself in the query, or is refused."""
    for call in (read, head):
        request = listening.request(lambda client, call=call: call(client, key, version_id=version))
        assert (request is not None) == (fits(key) and encodes(version))
        if request is not None:
            assert decode(request.path) == b"/bucket/" + key.encode("utf-8")
            assert parse_query(request.query)[-1][0] == b"versionId"
            assert decode(parse_query(request.query)[-1][1]) == version.encode("utf-8")


@settings(fuzzing, max_examples=200)
@given(key=KEYS, method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE"]), seconds=st.integers(1, 604800))
def test_any_presigned_key(key, method, seconds):
    """Any text as the key of a URL for others is refused, or the URL's path is that key and its signature holds."""
    with client_of("http://store.test:9000") as client:
        try:
            url = client.presigned_url(method, BUCKET, key, expires_in=seconds)
        except ValueError:
            assert not fits(key)
            return
    target = url[len("http://store.test:9000") :].encode("ascii")
    assert decode(target.partition(b"?")[0]) == b"/bucket/" + key.encode("utf-8")
    head = b"%s %s HTTP/1.1\r\nHost: store.test:9000\r\n\r\n" % (method.encode("ascii"), target)
    assert verify(head, b"", SECRETS).presigned


@settings(fuzzing, max_examples=200)
@given(bucket=st.one_of(WILD, st.text("abz019-._/:@%\u0661", max_size=65)), key=st.just("key"))
def test_any_bucket(listening, bucket, key):
    """Any text as a bucket's name is refused, or the path begins with just that name."""
    request = listening.request(lambda client: client.put_object(bucket, key, b""))
    if request is not None:
        assert request.path == f"/{bucket}/{key}".encode("ascii")
        assert set(bucket) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")


@settings(fuzzing, max_examples=100)
@given(key=NO_TEXT)
def test_no_text_is_a_key(listening, key):
    """What is no text is no key, bucket or prefix, and never its `str()`."""
    for call in ON_KEYS:
        assert listening.request(lambda client, call=call: call(client, key)) is None
    assert listening.request(lambda client: client.put_object(key, "key", b"")) is None
    if key:  # without a prefix everything is listed
        assert listening.request(lambda client: list(client.list_objects(BUCKET, key))) is None


BOUNDS = st.one_of(st.none(), st.integers(-2, 5), st.integers(-(1 << 70), 1 << 70), st.booleans(), st.floats(), WILD)


@settings(fuzzing, max_examples=200)
@given(start=BOUNDS, end=BOUNDS, tail=BOUNDS)
def test_any_range(listening, start, end, tail):
    """Any values as the bounds of a range are refused, or the header is a range of whole numbers in order."""

    def call(client):
        with contextlib.suppress(CDNError):  # the server says 200 to a range
            read(client, "key", start=start, end=end, tail=tail)

    request = listening.request(call)
    if request is not None and request.header("range") is not None:
        first, _, last = request.header("range")[len("bytes=") :].partition("-")
        assert (first + last).isdigit()
        assert not (first and last) or int(first) <= int(last)


# -- files


class Room:
    """A folder to download into, with symbolic links that lead out of it, and what lies around it."""

    def __init__(self, root):
        self.outside, self.here = root / "outside", root / "here"
        self.outside.mkdir()
        (self.outside / "file").write_bytes(b"old")
        self.here.mkdir()
        (self.here / "folder").mkdir()
        (self.here / "link").symlink_to(self.outside)
        (self.here / "file-link").symlink_to(self.outside / "file")

    def around(self):
        """Everything but the folder itself."""
        root = self.here.parent
        return {path: data for path, data in content(root).items() if path.partition("/")[0] != "here"}

    def holds(self, key, before):
        """The object lies where its key says, and nothing else is new."""
        assert not {"", ".", ".."} & set(key.split("/"))
        target = self.here.joinpath(*key.split("/"))
        assert (target.is_symlink(), target.read_bytes()) == (False, b"new")
        folders = {key[:at] for at, char in enumerate(key) if char == "/"}
        assert set(content(self.here)) - set(before) <= {key, *folders}


@contextlib.contextmanager
def a_room():
    """A new room, of which `here` is the current folder."""
    back = pathlib.Path.cwd()
    with tempfile.TemporaryDirectory() as root:
        room = Room(pathlib.Path(os.path.realpath(root)))
        os.chdir(str(room.here))
        try:
            yield room
        finally:
            os.chdir(str(back))


LOCAL_BITS = st.sampled_from(
    ["link", "file-link", "folder", "file", "here", "outside", "..", ".", "", "C:", "\\", "~", "nul", "\0", "x" * 256]
)
LOCAL_KEYS = st.one_of(KEYS, st.lists(LOCAL_BITS, min_size=1, max_size=5).map("/".join))


@pytest.fixture(scope="module")
def shop():
    store = MemoryStore(SECRETS, buckets=(BUCKET,))
    errors = []
    with RawServer(store) as server:
        credentials = CDNCredentials(server.endpoint, *FOUR)
        with CDNManager(credentials, on_error=errors.append, durable=False) as manager:
            yield store, manager


@settings(fuzzing, max_examples=300)
@given(key=LOCAL_KEYS, absolute=st.booleans())
@example(key="../outside/file", absolute=False)
@example(key="outside/file", absolute=True)
@example(key="link/file", absolute=False)
@example(key="file-link", absolute=False)
@example(key="folder", absolute=False)
def test_no_key_leaves_its_folder(shop, key, absolute):
    """Whatever a key is, a download writes the object below the current folder, or nothing at all."""
    store, manager = shop
    with a_room() as room:
        key = f"{room.here.parent}/{key}" if absolute else key
        with contextlib.suppress(UnicodeEncodeError):
            store.objects.clear()
            store.put(BUCKET, key, b"new")
        around, inside = room.around(), content(room.here)
        done = manager.download(BUCKET, key)
        assert room.around() == around
        if done:
            room.holds(key, inside)
        else:
            assert content(room.here) == inside
