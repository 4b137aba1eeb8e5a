"""The façade as DESIGN.md promises it: who signs what, True or False, what is printed, and what is left on the disk.

The store is the loopback MemoryStore, which verifies each signature; which key signed is read from the raw header.
Every test runs in a folder of its own, whose whole content is compared before and after where nothing may change.
"""

from __future__ import annotations

import array
import copy
import ctypes
import errno
import inspect
import io
import mmap
import os
import pathlib
import pickle
import re
import stat
from typing import Any, Callable, Iterator

import pytest
import requests
from rawserver import Answer, MemoryStore, RawRequest, RawServer, make_tls
from sigcheck import verify

from cdn_sigv4 import (
    AccessDenied,
    CDNCredentials,
    CDNManager,
    InvalidResponse,
    NotFound,
    ObjectReader,
    S3Client,
    SourceError,
    TransportError,
)

READ_KEY, READ_SECRET = "READERKEY", "reader+secret/0123456789"
WRITE_KEY, WRITE_SECRET = "WRITERKEY", "writer+secret/9876543210"
SECRETS = {READ_KEY: READ_SECRET, WRITE_KEY: WRITE_SECRET}
FOUR = (READ_KEY, READ_SECRET, WRITE_KEY, WRITE_SECRET)
BUCKET = "models"


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """An empty folder, which is the current one."""
    path = tmp_path / "here"
    path.mkdir()
    monkeypatch.chdir(path)
    return path


@pytest.fixture
def store() -> MemoryStore:
    """A store that knows both keys and one bucket."""
    return MemoryStore(SECRETS, buckets=(BUCKET,))


@pytest.fixture
def server(store: MemoryStore) -> Iterator[RawServer]:
    """The store's server."""
    with RawServer(store) as started:
        yield started


@pytest.fixture
def errors() -> list[Exception]:
    """What the manager hands to `on_error`."""
    return []


@pytest.fixture
def manager(server: RawServer, errors: list[Exception]) -> Iterator[CDNManager]:
    """A manager of that server, which collects its errors."""
    with CDNManager(CDNCredentials(server.endpoint, *FOUR), on_error=errors.append) as made:
        yield made


def signing_key(request: RawRequest) -> str:
    match = re.search(rb"\r\nAuthorization: AWS4-HMAC-SHA256 Credential=([^/]+)/", request.head)
    assert match is not None
    return match.group(1).decode()


def content(folder: pathlib.Path) -> dict[str, bytes | None]:
    """Every file below the folder with its bytes, and every folder with None."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def judge(request: RawRequest) -> Answer:
    """A store that has everything and takes everything, as long as it is signed well."""
    verify(request.head, request.body, SECRETS)
    return Answer(headers={"ETag": '"tag"'}, body=b"" if request.method == "PUT" else b"data")


def check_no_request(manager: CDNManager, server: RawServer) -> None:
    """Nothing was sent until now: the first request that comes is the one made here, on the first connection."""
    manager.downloader.head_bucket(BUCKET)
    assert [(request.method, request.connection) for request in server.requests] == [("HEAD", 1)]


# -- the credentials


def test_credentials_signature() -> None:
    """The arguments of CDNCredentials have the promised names and order, and only `region` is keyword-only."""
    parameters = inspect.signature(CDNCredentials).parameters.values()
    assert [(each.name, each.kind) for each in parameters] == [
        ("host", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        ("downloader_access_key", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        ("downloader_access_secret", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        ("uploader_access_key", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        ("uploader_access_secret", inspect.Parameter.POSITIONAL_OR_KEYWORD),
        ("region", inspect.Parameter.KEYWORD_ONLY),
    ]


def test_credentials_are_plain_data() -> None:
    """Each argument is an attribute of the same name, as a caller with his `cdn.yaml` expects it."""
    credentials = CDNCredentials("host", "1", "2", "3", "4", region="eu-west-1")
    assert vars(credentials) == {
        "host": "host",
        "downloader_access_key": "1",
        "downloader_access_secret": "2",
        "uploader_access_key": "3",
        "uploader_access_secret": "4",
        "region": "eu-west-1",
    }


@pytest.mark.parametrize(
    "make", [CDNCredentials, lambda *args: CDNManager(CDNCredentials(*args))], ids=["credentials", "manager"]
)
def test_repr(make: Callable[..., object]) -> None:
    """Neither object shows a secret, whether by `repr`, `str`, or the `repr` of what it keeps."""
    made = make("https://store.example", *FOUR)
    text = f"{made!r} {made}"
    if isinstance(made, CDNManager):
        text += repr(vars(made))
    assert READ_SECRET not in text
    assert WRITE_SECRET not in text


def test_repr_of_credentials_tells_them_apart() -> None:
    """The `repr` of credentials shows the host, both keys and the region: what is needed to find a mix-up."""
    text = repr(CDNCredentials("https://store.example", *FOUR, region="eu-west-1"))
    assert all(part in text for part in ("https://store.example", READ_KEY, WRITE_KEY, "eu-west-1"))


@pytest.mark.parametrize(
    "act",
    [
        *(pytest.param(lambda made, n=n: pickle.dumps(made, n), id=f"pickle {n}") for n in range(6)),
        pytest.param(copy.deepcopy, id="deepcopy"),
        pytest.param(copy.copy, id="copy"),
    ],
)
@pytest.mark.parametrize(
    "make", [CDNCredentials, lambda *args: CDNManager(CDNCredentials(*args))], ids=["credentials", "manager"]
)
def test_no_pickling(make: Callable[..., object], act: Callable[[object], object]) -> None:
    """Neither object is pickled or copied by accident, and the refusal names no secret."""
    made = make("https://store.example", *FOUR)
    with pytest.raises(TypeError) as caught:
        act(made)
    assert READ_SECRET not in str(caught.value)
    assert WRITE_SECRET not in str(caught.value)


# -- both directions


def test_methods_signature() -> None:
    """`upload` and `download` take their arguments by the promised names and places; only `to` is keyword-only."""
    upload, download = inspect.signature(CDNManager.upload), inspect.signature(CDNManager.download)
    assert list(upload.parameters) == ["self", "bucket", "filename", "file_bytes"]
    assert list(download.parameters) == ["self", "bucket", "filename", "to"]
    assert download.parameters["to"].kind is inspect.Parameter.KEYWORD_ONLY
    made = inspect.signature(CDNManager).parameters
    assert [name for name, each in made.items() if each.kind is not inspect.Parameter.KEYWORD_ONLY] == ["credentials"]
    assert made["on_error"].default is print


def test_there_and_back(manager: CDNManager, store: MemoryStore, folder: pathlib.Path, errors: list[Exception]) -> None:
    """What is uploaded is in the store byte for byte, and comes back under its name in the current directory."""
    data = bytes(range(256)) * 10
    assert manager.upload(BUCKET, "yolo.onnx", bytearray(data)) is True
    assert store.objects[BUCKET, b"yolo.onnx"].body == data
    assert manager.download(BUCKET, "yolo.onnx") is True
    assert content(folder) == {"yolo.onnx": data}
    assert errors == []


def test_each_key_signs_its_own_direction(manager: CDNManager, server: RawServer) -> None:
    """The uploader's key signs uploads and nothing else, the downloader's downloads: read from the raw headers."""
    for _ in range(2):
        manager.upload(BUCKET, "key", b"data")
        manager.download(BUCKET, "key")
    signers = [(request.method, signing_key(request)) for request in server.requests]
    assert signers == [("PUT", WRITE_KEY), ("GET", READ_KEY)] * 2


def test_the_two_clients(manager: CDNManager, server: RawServer) -> None:
    """`.uploader` and `.downloader` are clients of their own, each with its own key."""
    assert isinstance(manager.uploader, S3Client)
    assert isinstance(manager.downloader, S3Client)
    manager.uploader.head_bucket(BUCKET)
    manager.downloader.head_bucket(BUCKET)
    assert [signing_key(request) for request in server.requests] == [WRITE_KEY, READ_KEY]


def test_each_secret_belongs_to_its_key(server: RawServer, errors: list[Exception]) -> None:
    """With the two secrets exchanged neither direction works: no secret is used for the other key."""
    credentials = CDNCredentials(server.endpoint, READ_KEY, WRITE_SECRET, WRITE_KEY, READ_SECRET)
    with CDNManager(credentials, on_error=errors.append) as manager:
        assert manager.upload(BUCKET, "key", b"data") is False
        assert manager.download(BUCKET, "key") is False
    assert [type(error) for error in errors] == [AccessDenied, AccessDenied]


# -- what may be uploaded


def mapped() -> mmap.mmap:
    memory = mmap.mmap(-1, 4)
    memory[:] = b"data"
    return memory


@pytest.mark.parametrize(
    ("value", "body"),
    [
        pytest.param(b"data", b"data", id="bytes"),
        pytest.param(bytearray(b"data"), b"data", id="bytearray"),
        pytest.param(memoryview(b"data"), b"data", id="memoryview"),
        pytest.param(memoryview(b"data").cast("H"), b"data", id="memoryview of two-byte elements"),
        pytest.param(memoryview(b"data").cast("B", (2, 2)), b"data", id="memoryview of two dimensions"),
        pytest.param(memoryview(b"d_a_t_a_")[::2], b"data", id="memoryview with gaps"),
        pytest.param(memoryview(b"atad")[::-1], b"data", id="memoryview backwards"),
        pytest.param(array.array("B", b"data"), b"data", id="array"),
        pytest.param(array.array("d", [1.0, 2.0]), array.array("d", [1.0, 2.0]).tobytes(), id="array of doubles"),
        pytest.param((ctypes.c_uint16 * 2)(1, 2), bytes((ctypes.c_uint16 * 2)(1, 2)), id="ctypes"),
        pytest.param(mapped(), b"data", id="mmap"),
        pytest.param(io.BytesIO(b"data").getbuffer(), b"data", id="buffer of a BytesIO"),
        pytest.param(b"", b"", id="empty"),
        pytest.param(memoryview(array.array("d")), b"", id="empty, of doubles"),
    ],
)
def test_bytes_like(manager: CDNManager, server: RawServer, store: MemoryStore, value: Any, body: bytes) -> None:
    """Any bytes-like object is stored, all of it, measured in bytes and not in elements."""
    assert manager.upload(BUCKET, "key", value) is True
    assert store.objects[BUCKET, b"key"].body == body
    assert server.requests[0].header("content-length") == str(len(body))


@pytest.mark.parametrize("answer", [Answer(headers={"ETag": '"x"'}), Answer(403)], ids=["stored", "refused"])
def test_bytearray_is_given_back(manager: CDNManager, server: RawServer, answer: Answer) -> None:
    """After the call, whatever its outcome, a bytearray can be resized again: no view on it is kept."""
    server.answer = lambda request: answer
    data = bytearray(b"data")
    manager.upload(BUCKET, "key", data)
    data.extend(b"more")
    assert data == b"datamore"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(lambda path: "text", id="str"),
        pytest.param(lambda path: "", id="empty str"),
        pytest.param(lambda path: io.StringIO("text"), id="StringIO"),
        pytest.param(lambda path: path.open(encoding="utf-8"), id="text file"),
        pytest.param(lambda path: path, id="path"),
        pytest.param(lambda path: None, id="None"),
        pytest.param(lambda path: 5, id="int"),
        pytest.param(lambda path: {"a": 1}, id="dict"),
        pytest.param(lambda path: ["text"], id="list of str"),
        pytest.param(lambda path: [1, 2], id="list of int"),
    ],
)
def test_no_bytes(
    manager: CDNManager, server: RawServer, tmp_path: pathlib.Path, errors: list[Exception], value: Callable[..., Any]
) -> None:
    """What is not bytes is False with a TypeError, and no request: text is never encoded silently."""
    path = tmp_path / "file"
    path.write_text("text")
    data = value(path)
    assert manager.upload(BUCKET, "key", data) is False
    assert [type(error) for error in errors] == [TypeError]
    if hasattr(data, "close"):
        data.close()
    check_no_request(manager, server)


def test_text_is_printed(server: RawServer, capsys: pytest.CaptureFixture[str]) -> None:
    """By default a `str` is a printed False, and the line says what to do instead."""
    with CDNManager(CDNCredentials(server.endpoint, *FOUR)) as manager:
        assert manager.upload(BUCKET, "key", "text") is False  # type: ignore[arg-type]
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    assert "bytes" in out


# -- errors


def raiser(error: BaseException) -> Callable[..., Any]:
    def fail(*args: object, **more: object) -> Any:
        raise error

    return fail


def failing(error: BaseException) -> Iterator[bytes]:
    yield b"first"
    raise error


ANSWERS = [
    pytest.param(Answer(403), AccessDenied, id="403"),
    pytest.param(Answer(404), NotFound, id="404"),
    pytest.param(Answer(reset=True), TransportError, id="reset"),
    pytest.param(Answer(cut_after=0, close=True, raw=b""), TransportError, id="closed without a word"),
    pytest.param(Answer(raw=b"no HTTP\r\n\r\n", close=True), TransportError, id="no HTTP"),
    pytest.param(
        Answer(headers={"Content-Length": "x"}, close=True), (InvalidResponse, TransportError), id="bad length"
    ),
]


@pytest.mark.parametrize(("answer", "kind"), ANSWERS)
def test_errors_of_uploads(
    manager: CDNManager, server: RawServer, errors: list[Exception], answer: Answer, kind: type[Exception]
) -> None:
    """Whatever goes wrong on the way up is False, and the one exception, of its type, goes to `on_error`."""
    server.answer = lambda request: answer
    assert manager.upload(BUCKET, "key", b"data") is False
    assert len(errors) == 1
    assert isinstance(errors[0], kind)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        *ANSWERS,
        pytest.param(Answer(headers={"ETag": '"x"'}, body=b"data", length=9, cut_after=4), TransportError, id="cut"),
        pytest.param(Answer(body=b"data", no_length=True), InvalidResponse, id="no length"),
        pytest.param(Answer(206, headers={"Content-Range": "bytes 0-3/9"}, body=b"data"), InvalidResponse, id="part"),
        pytest.param(Answer(204), Exception, id="204"),
    ],
)
@pytest.mark.parametrize("before", [{}, {"deep": None, "deep/old": b"old"}], ids=["no file", "old file"])
def test_errors_of_downloads(
    manager: CDNManager,
    server: RawServer,
    folder: pathlib.Path,
    errors: list[Exception],
    answer: Answer,
    kind: type[Exception],
    before: dict[str, bytes | None],
) -> None:
    """Whatever goes wrong on the way down is False; an old file stays, and neither new folders nor parts are left."""
    if before:
        (folder / "deep").mkdir()
        (folder / "deep" / "old").write_bytes(b"old")
    server.answer = lambda request: answer
    assert manager.download(BUCKET, "deep/old") is False
    assert manager.download(BUCKET, "deep/er/new") is False
    assert len(errors) == 2
    assert all(isinstance(error, kind) for error in errors)
    assert content(folder) == before


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        pytest.param(lambda: failing(OSError(errno.EIO, "disk")), OSError, id="OSError of an iterable"),
        pytest.param(lambda: failing(RuntimeError("other")), RuntimeError, id="any exception of an iterable"),
        pytest.param(lambda: failing(MemoryError()), MemoryError, id="MemoryError"),
    ],
)
def test_errors_of_the_source(
    manager: CDNManager, server: RawServer, errors: list[Exception], source: Callable[[], Any], kind: type[Exception]
) -> None:
    """An exception of any kind from the source of the bytes is caught as well, and nothing was sent."""
    assert manager.upload(BUCKET, "key", source()) is False
    assert [isinstance(error, (kind, SourceError)) for error in errors] == [True]
    check_no_request(manager, server)


@pytest.mark.parametrize("function", ["open", "os.fsync", "os.replace", "os.chmod"])
def test_errors_of_the_disk(
    manager: CDNManager,
    store: MemoryStore,
    folder: pathlib.Path,
    errors: list[Exception],
    monkeypatch: pytest.MonkeyPatch,
    function: str,
) -> None:
    """A disk that fails at any step is False with its OSError; the old file stays, neither file nor folder is left."""
    (folder / "old").write_bytes(b"old")
    (folder / "deep").mkdir()
    keys = ["old"] if function == "os.chmod" else ["old", "deep/er/new"]  # only an old file has permissions to keep
    for key in keys:
        store.put(BUCKET, key, b"new")
    error = raiser(OSError(errno.ENOSPC, "No space left"))
    monkeypatch.setattr(f"cdn_sigv4.files.{function}", error, raising=False)  # `open` is a builtin there
    assert [manager.download(BUCKET, key) for key in keys] == [False] * len(keys)
    assert [getattr(each, "errno", None) for each in errors] == [errno.ENOSPC] * len(keys)
    assert content(folder) == {"deep": None, "old": b"old"}


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda manager: manager.upload("BAD_BUCKET", "key", b""), id="bucket of an upload"),
        pytest.param(lambda manager: manager.download("BAD_BUCKET", "key"), id="bucket of a download"),
        pytest.param(lambda manager: manager.upload(BUCKET, "", b""), id="empty key of an upload"),
        pytest.param(lambda manager: manager.download(BUCKET, ""), id="empty key of a download"),
        pytest.param(lambda manager: manager.upload(None, "key", b""), id="no bucket"),
        pytest.param(lambda manager: manager.upload(BUCKET, b"key", b""), id="key in bytes, upload"),
        pytest.param(lambda manager: manager.download(BUCKET, b"key"), id="key in bytes, download"),
        pytest.param(lambda manager: manager.upload(BUCKET, None, b""), id="no key, upload"),
        pytest.param(lambda manager: manager.download(BUCKET, None), id="no key, download"),
        pytest.param(lambda manager: manager.download(BUCKET, None, to="file"), id="no key, download to a file"),
        pytest.param(lambda manager: manager.download(BUCKET, "\ud800"), id="half a surrogate pair"),
        pytest.param(lambda manager: manager.download(BUCKET, "k/" * 512 + "k"), id="too long a key"),
        pytest.param(lambda manager: manager.download(BUCKET, "key", to=5), id="to= is no path"),
    ],
)
def test_wrong_arguments(
    manager: CDNManager,
    server: RawServer,
    folder: pathlib.Path,
    errors: list[Exception],
    call: Callable[[CDNManager], bool],
) -> None:
    """An argument that cannot be is False too, with a ValueError or TypeError, no request and no trace on the disk."""
    assert call(manager) is False
    assert len(errors) == 1
    assert isinstance(errors[0], (ValueError, TypeError))
    assert content(folder) == {}
    check_no_request(manager, server)


def test_refused_connection(errors: list[Exception], folder: pathlib.Path) -> None:
    """Where nobody listens, both directions are False with a TransportError."""
    with RawServer() as gone:
        pass
    with CDNManager(CDNCredentials(gone.endpoint, *FOUR), on_error=errors.append) as manager:
        assert manager.upload(BUCKET, "key", b"data") is False
        assert manager.download(BUCKET, "deep/key") is False
    assert [type(error) for error in errors] == [TransportError, TransportError]
    assert content(folder) == {}


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, body=b"<Error><Code>NoSuchKey</Code><Message>two\nlines\x1b[31m</Message></Error>"),
        Answer(reset=True),
        Answer(301, headers={"Location": "http://other.example/?X-Amz-Signature=abc"}),
    ],
    ids=["answer of several lines", "no answer", "redirect"],
)
def test_default_print(server: RawServer, capsys: pytest.CaptureFixture[str], answer: Answer) -> None:
    """By default each error is one line on stdout: which object, no secret, no signature, no control characters."""
    server.answer = lambda request: answer
    with CDNManager(CDNCredentials(server.endpoint, *FOUR)) as manager:
        assert manager.upload(BUCKET, "some-key", b"data") is False
        assert manager.download(BUCKET, "some-key") is False
    out, err = capsys.readouterr()
    assert err == ""
    lines = out.splitlines()
    assert len(lines) == out.count("\n") == 2
    for line in lines:
        assert f"{BUCKET}/some-key" in line
        assert line.isprintable()
    for secret in (READ_SECRET, WRITE_SECRET, "Signature=", "AWS4-HMAC"):
        assert secret not in out


def test_on_error_gets_the_evidence(manager: CDNManager, errors: list[Any]) -> None:
    """`on_error` gets the exception itself, with status, code, bucket and key to decide by."""
    assert manager.download(BUCKET, "missing") is False
    (error,) = errors
    assert isinstance(error, NotFound)
    assert (error.status, error.code, error.bucket, error.key) == (404, "NoSuchKey", BUCKET, "missing")


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("where", ["body", "fsync", "replace"])
def test_interrupted_download(
    manager: CDNManager,
    store: MemoryStore,
    folder: pathlib.Path,
    errors: list[Exception],
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    interrupt: type[BaseException],
) -> None:
    """Ctrl-C during a download gets through, is no error of `on_error`'s, and leaves no part and no folder behind."""
    (folder / "old").write_bytes(b"old")
    store.put(BUCKET, "old", b"new")
    store.put(BUCKET, "deep/er/new", b"new")
    if where == "body":
        monkeypatch.setattr(ObjectReader, "__iter__", lambda reader: failing(interrupt()))
    else:
        monkeypatch.setattr(f"cdn_sigv4.files.os.{where}", raiser(interrupt()))
    for key in ("old", "deep/er/new"):
        with pytest.raises(interrupt):
            manager.download(BUCKET, key)
    assert content(folder) == {"old": b"old"}
    assert errors == []


def test_interrupted_upload(manager: CDNManager, server: RawServer, errors: list[Exception]) -> None:
    """Ctrl-C while the bytes are collected gets through as well, and nothing was sent."""
    with pytest.raises(KeyboardInterrupt):
        manager.upload(BUCKET, "key", failing(KeyboardInterrupt()))  # type: ignore[arg-type]
    assert errors == []
    check_no_request(manager, server)


# -- where downloads go


@pytest.mark.parametrize(
    "key",
    ["yolo.onnx", "a b", "ü/日本", ".hidden", "...", "a..b", "-rf", "~", "a+b%2F", "name\nline", "ab:c", "C", "..x/y"],
)
@pytest.mark.skipif(os.name == "nt", reason="some of these are no file names on Windows")
def test_names(manager: CDNManager, store: MemoryStore, folder: pathlib.Path, key: str) -> None:
    """A key is saved under exactly its own name, however odd, as long as it stays below the current directory."""
    store.put(BUCKET, key, b"data")
    assert manager.download(BUCKET, key) is True
    assert (folder / key).read_bytes() == b"data"
    files = [name for name, data in content(folder).items() if data is not None]
    assert files == [key]


def test_folders_of_a_key(manager: CDNManager, store: MemoryStore, folder: pathlib.Path) -> None:
    """A `/` makes folders, once, and a second object goes into the same ones."""
    store.put(BUCKET, "a/b/one", b"1")
    store.put(BUCKET, "a/b/two", b"2")
    assert manager.download(BUCKET, "a/b/one") is True
    assert manager.download(BUCKET, "a/b/two") is True
    assert content(folder) == {"a": None, "a/b": None, "a/b/one": b"1", "a/b/two": b"2"}


def test_current_directory_is_that_of_the_call(
    manager: CDNManager, store: MemoryStore, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the directory at the time of the download, not the one in which the manager was made."""
    store.put(BUCKET, "key", b"data")
    monkeypatch.chdir(tmp_path)
    assert manager.download(BUCKET, "key") is True
    assert (tmp_path / "key").read_bytes() == b"data"


def test_old_file_is_replaced(manager: CDNManager, store: MemoryStore, folder: pathlib.Path) -> None:
    """An older, longer file is replaced whole, and keeps its permissions."""
    (folder / "key").write_bytes(b"old and longer")
    (folder / "key").chmod(0o640)
    store.put(BUCKET, "key", b"new")
    assert manager.download(BUCKET, "key") is True
    assert content(folder) == {"key": b"new"}
    assert (folder / "key").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "key",
    [
        "..",
        ".",
        "../key",
        "a/../key",
        "a/../../key",
        "a/..",
        "./key",
        "a/./key",
        "a//key",
        "folder/",
        "/key",
        "/",
        "//host/share",
        "C:key",
        "c:/key",
        "C:\\key",
        "a\0b",
        "link/key",
        "real/link/key",
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="makes symbolic links")
def test_refused_names(
    manager: CDNManager,
    server: RawServer,
    store: MemoryStore,
    tmp_path: pathlib.Path,
    folder: pathlib.Path,
    errors: list[Exception],
    key: str,
) -> None:
    """A key that leaves the current directory, or hides a file, is refused before a request, without a trace."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "key").write_bytes(b"precious")
    (folder / "link").symlink_to(outside)
    (folder / "real").mkdir()
    (folder / "real" / "link").symlink_to(outside)
    store.put(BUCKET, key, b"evil")
    before = content(tmp_path)
    assert manager.download(BUCKET, key) is False
    assert [type(error) for error in errors] == [ValueError]
    assert content(tmp_path) == before
    check_no_request(manager, server)


def test_symbolic_link_is_replaced_itself(
    manager: CDNManager, store: MemoryStore, tmp_path: pathlib.Path, folder: pathlib.Path
) -> None:
    """A symbolic link where the file belongs is replaced, and what it points to outside is not written."""
    (tmp_path / "precious").write_bytes(b"precious")
    (folder / "key").symlink_to(tmp_path / "precious")
    store.put(BUCKET, "key", b"data")
    assert manager.download(BUCKET, "key") is True
    assert not (folder / "key").is_symlink()
    assert (folder / "key").read_bytes() == b"data"
    assert (tmp_path / "precious").read_bytes() == b"precious"


@pytest.mark.parametrize("to", ["folder", "pipe"])
@pytest.mark.skipif(os.name == "nt", reason="makes a pipe")
def test_no_file_can_be_there(
    manager: CDNManager,
    server: RawServer,
    store: MemoryStore,
    folder: pathlib.Path,
    errors: list[Exception],
    to: str,
) -> None:
    """A directory or a pipe in the file's place is an OSError before a request, and stays."""
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    store.put(BUCKET, to, b"data")
    modes = {name: (folder / name).stat().st_mode for name in ("folder", "pipe")}
    assert manager.download(BUCKET, to) is False
    assert len(errors) == 1
    assert isinstance(errors[0], OSError)
    assert {path.name: path.stat().st_mode for path in folder.iterdir()} == modes
    check_no_request(manager, server)


def test_name_too_long_for_the_disk(
    manager: CDNManager, server: RawServer, folder: pathlib.Path, errors: list[Exception]
) -> None:
    """A name that S3 takes and the disk does not is the system's OSError, before a request."""
    assert manager.download(BUCKET, "k" * 300) is False
    assert [getattr(error, "errno", None) for error in errors] == [errno.ENAMETOOLONG]
    assert content(folder) == {}
    check_no_request(manager, server)


def test_file_in_place_of_a_folder(
    manager: CDNManager, store: MemoryStore, folder: pathlib.Path, errors: list[Exception]
) -> None:
    """A file where the key needs a folder is an OSError, and stays as it is."""
    (folder / "a").write_bytes(b"file")
    store.put(BUCKET, "a/b/c", b"data")
    assert manager.download(BUCKET, "a/b/c") is False
    assert len(errors) == 1
    assert isinstance(errors[0], OSError)
    assert content(folder) == {"a": b"file"}


@pytest.mark.parametrize("kind", [str, pathlib.Path], ids=["str", "path-like"])
@pytest.mark.parametrize("key", ["key", "../key", "/abs", "folder/"])
def test_to(
    manager: CDNManager, store: MemoryStore, tmp_path: pathlib.Path, key: str, kind: Callable[..., Any]
) -> None:
    """`to=` names the file itself, for any key, inside or outside the current directory, and its folders are made."""
    store.put(BUCKET, key, b"data")
    assert manager.download(BUCKET, key, to=kind(tmp_path / "else" / "where" / "file")) is True
    assert manager.download(BUCKET, key, to=kind("relative")) is True
    files = {name: data for name, data in content(tmp_path).items() if data is not None}
    assert files == {"else/where/file": b"data", "here/relative": b"data"}


def test_to_is_left_alone_when_it_fails(manager: CDNManager, tmp_path: pathlib.Path) -> None:
    """A failed download to `to=` takes the folders it made away again, and keeps an old file."""
    (tmp_path / "old").write_bytes(b"old")
    assert manager.download(BUCKET, "missing", to=tmp_path / "else" / "where" / "file") is False
    assert manager.download(BUCKET, "missing", to=tmp_path / "old") is False
    assert content(tmp_path) == {"here": None, "old": b"old"}


# -- settings


def with_credentials(**changed: Any) -> CDNCredentials:
    settings: dict[str, Any] = {
        "host": "https://store.example",
        "downloader_access_key": READ_KEY,
        "downloader_access_secret": READ_SECRET,
        "uploader_access_key": WRITE_KEY,
        "uploader_access_secret": WRITE_SECRET,
    }
    return CDNCredentials(**{**settings, **changed})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *[
            (f"{role}_access_{part}", value)
            for role in ("downloader", "uploader")
            for part in ("key", "secret")
            for value in ("", " blank", "line\n", None, 5, b"bytes")
        ],
        *[
            ("host", value)
            for value in (
                *("", "https://", "ftp://store.example", "s3://bucket", "https://store.example?x=1", "store.example#x"),
                *("https://user:pass@store.example", "https://store example", "https://store.example:99999", None, 5),
                *(
                    "https://store.example/a/../b",
                    "https://[::1",
                    "https://store.example:port",
                    "https://bücher.example",
                ),
            )
        ],
        *[("region", value) for value in ("", "eu west", "a/b", "eu-west-1\n", None, 5)],
    ],
)
def test_wrong_credentials(name: str, value: Any) -> None:
    """A wrong host, key, secret or region is refused when the manager is made, and shows no secret."""
    with pytest.raises((ValueError, TypeError)) as caught:
        CDNManager(with_credentials(**{name: value}))
    assert READ_SECRET not in str(caught.value)
    assert WRITE_SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"addressing": "dns"},
        {"addressing": None},
        {"timeout": 5},
        {"timeout": (5,)},
        {"timeout": (0, 5)},
        {"timeout": (5, -1)},
        {"timeout": (5, None)},
        {"timeout": (5, float("inf"))},
        {"timeout": (float("nan"), 5)},
        {"timeout": "55"},
        {"verify": "/no/such/file.pem"},
        {"verify": pathlib.Path("/no/such/file.pem")},
        {"verify": 5},
        {"verify": ""},
        {"on_error": None},
        {"on_error": "print"},
        {"nonsense": 1},
    ],
    ids=str,
)
def test_wrong_options(options: dict[str, Any]) -> None:
    """A wrong option is a ValueError or TypeError when the manager is made, not a False later."""
    with pytest.raises((ValueError, TypeError)):
        CDNManager(with_credentials(), **options)


@pytest.mark.parametrize(
    ("host", "options"),
    [
        pytest.param("http://store.example", {"sign_payload": False}, id="unsigned payload over http"),
        pytest.param("https://10.0.0.1", {"addressing": "virtual"}, id="virtual addressing of an IP address"),
        pytest.param("https://[::1]:9000", {"addressing": "virtual"}, id="virtual addressing of an IPv6 address"),
    ],
)
def test_options_that_do_not_fit_the_host(host: str, options: dict[str, Any]) -> None:
    """An option that cannot work with this host is refused when the manager is made, too."""
    with pytest.raises(ValueError, match=r"https|path"):
        CDNManager(with_credentials(host=host), **options)


def test_no_connection_is_made_without_need(server: RawServer) -> None:
    """Making and closing a manager talks to nobody."""
    with CDNManager(CDNCredentials(server.endpoint, *FOUR)):
        pass
    requests.head(server.endpoint, timeout=10)
    assert server.connections == 1


def test_host_without_scheme(store: MemoryStore, tmp_path: pathlib.Path, errors: list[Exception]) -> None:
    """A host without `://` is spoken to over TLS."""
    tls, authority = make_tls(tmp_path)
    with RawServer(store, tls=tls) as server:
        assert "://" not in server.authority
        credentials = CDNCredentials(server.authority, *FOUR)
        with CDNManager(credentials, verify=authority, on_error=errors.append) as manager:
            assert manager.upload(BUCKET, "key", b"data") is True
            assert manager.download(BUCKET, "key") is True
    assert errors == []


@pytest.mark.parametrize("base", ["/base", "/base/", "/a/b", "/with%20blank"])
def test_base_path(server: RawServer, errors: list[Exception], base: str) -> None:
    """A base path in the host stands before bucket and key, and is signed with them."""
    server.answer = judge
    credentials = CDNCredentials(server.endpoint + base, *FOUR)
    with CDNManager(credentials, on_error=errors.append) as manager:
        assert manager.upload(BUCKET, "dir/key", b"data") is True
        assert manager.download(BUCKET, "dir/key") is True
    assert errors == []
    target = f"{base.rstrip('/')}/{BUCKET}/dir/key".encode()
    assert [request.target for request in server.requests] == [target, target]


def test_region(errors: list[Exception]) -> None:
    """The region of the credentials is the one that both clients sign for; the default is us-east-1."""
    store = MemoryStore(SECRETS, region="eu-west-1", buckets=(BUCKET,))
    with RawServer(store) as server:
        for region in ({"region": "eu-west-1"}, {}):
            credentials = CDNCredentials(server.endpoint, *FOUR, **region)
            with CDNManager(credentials, on_error=errors.append) as manager:
                assert manager.upload(BUCKET, "key", b"data") is bool(region)
                assert manager.download(BUCKET, "key") is bool(region)
        assert all(b"/us-east-1/s3/" in request.head for request in server.requests[2:])
    assert [type(error) for error in errors] == [AccessDenied, AccessDenied]


@pytest.mark.parametrize("works", [True, False], ids=["with the authority's file", "without"])
def test_verify(store: MemoryStore, tmp_path: pathlib.Path, errors: list[Exception], works: bool) -> None:
    """`verify` reaches both clients: a private authority is trusted exactly where its file was given."""
    tls, authority = make_tls(tmp_path)
    store.put(BUCKET, "key", b"data")
    with RawServer(store, tls=tls) as server:
        options: dict[str, Any] = {"verify": authority} if works else {}
        credentials = CDNCredentials(server.endpoint, *FOUR)
        with CDNManager(credentials, on_error=errors.append, **options) as manager:
            assert manager.upload(BUCKET, "key", b"data") is works
            assert manager.download(BUCKET, "key") is works
    assert [type(error) for error in errors] == ([] if works else [TransportError, TransportError])


class Recorder(requests.Session):
    """A session that notes what it is asked to send, and sends nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[requests.PreparedRequest, dict[str, Any]]] = []

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        self.sent.append((request, options))
        raise requests.ConnectionError("recorded")


def test_session_timeout_and_addressing(errors: list[Exception]) -> None:
    """The session, the timeout, the addressing and `sign_payload` that were given are those of both clients."""
    with Recorder() as session:
        manager = CDNManager(
            with_credentials(),
            on_error=errors.append,
            session=session,
            timeout=(1.5, 2.5),
            addressing="virtual",
            sign_payload=False,
        )
        assert manager.upload(BUCKET, "key", b"data") is False
        assert manager.download(BUCKET, "key") is False
    assert [request.method for request, _ in session.sent] == ["PUT", "GET"]
    assert {request.url for request, _ in session.sent} == {f"https://{BUCKET}.store.example/key"}
    assert [options["timeout"] for _, options in session.sent] == [(1.5, 2.5)] * 2
    assert session.sent[0][0].headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD"
    assert len(errors) == 2


@pytest.mark.parametrize("durable", [True, False, None], ids=["durable", "not durable", "default"])
@pytest.mark.skipif(os.name == "nt", reason="folders are not synced there")
def test_durable(server: RawServer, store: MemoryStore, monkeypatch: pytest.MonkeyPatch, durable: bool | None) -> None:
    """`durable=False` waits for no disk; by default the file and every folder that got a new name in it are synced."""
    synced: list[str] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    monkeypatch.setattr("cdn_sigv4.files.os.fsync", noted)
    store.put(BUCKET, "a/key", b"data")
    options = {} if durable is None else {"durable": durable}
    with CDNManager(CDNCredentials(server.endpoint, *FOUR), **options) as manager:
        assert manager.download(BUCKET, "a/key") is True
    assert synced == ([] if durable is False else ["file", "folder", "folder"])  # the folder `a`, and that of `a`


def test_context_manager(server: RawServer, store: MemoryStore) -> None:
    """`with` gives the manager itself, keeps one connection a client, closes both, and they can be used again."""
    made = CDNManager(CDNCredentials(server.endpoint, *FOUR))
    with made as manager:
        assert manager is made
        for _ in range(2):
            assert manager.upload(BUCKET, "key", b"data") is True
            assert manager.download(BUCKET, "key") is True
        assert server.connections == 2
    assert manager.upload(BUCKET, "key", b"data") is True
    assert manager.download(BUCKET, "key") is True
    assert server.connections == 4
    manager.close()


def test_context_manager_lets_exceptions_through(server: RawServer) -> None:
    """The `with` block swallows nothing of the caller's."""
    with pytest.raises(ZeroDivisionError), CDNManager(CDNCredentials(server.endpoint, *FOUR)):
        raise ZeroDivisionError
