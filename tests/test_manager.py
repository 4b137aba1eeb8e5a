"""The façade: who signs what, True or False, what is printed, and which settings it takes.

The store is the loopback one, which verifies each signature; which key signed is read from the raw header. Where
downloads go is in test_manager_download.py.
"""

import copy
import inspect
import pickle
import re

import pytest
import requests
from kit import BUCKET, FOUR, READ_KEY, READ_SECRET, SECRETS, WRITE_KEY, WRITE_SECRET
from kit_files import content, failing, raiser
from rawserver import Answer, MemoryStore, RawServer, make_tls

from cdn_sigv4 import AccessDenied, CDNCredentials, CDNManager, InvalidResponse, NotFound, TransportError

pytestmark = pytest.mark.usefixtures("folder")

NAMES = ("host", "downloader_access_key", "downloader_access_secret", "uploader_access_key", "uploader_access_secret")


def signing_key(request):
    match = re.search(rb"\r\nAuthorization: AWS4-HMAC-SHA256 Credential=([^/]+)/", request.head)
    assert match is not None
    return match.group(1).decode()


def test_credentials_signature():
    """The arguments of CDNCredentials have the promised names and order, and only `region` is keyword-only."""
    parameters = inspect.signature(CDNCredentials).parameters.values()
    assert tuple(each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD) == NAMES
    assert [each.name for each in parameters if each.kind is each.KEYWORD_ONLY] == ["region"]


def test_credentials_are_plain_data():
    """Each argument is an attribute of the same name, as a caller with his `cdn.yaml` expects it."""
    credentials = CDNCredentials("host", "1", "2", "3", "4", region="eu-west-1")
    assert vars(credentials) == {**dict(zip(NAMES, ("host", "1", "2", "3", "4"))), "region": "eu-west-1"}


MAKE = [CDNCredentials, lambda *args: CDNManager(CDNCredentials(*args))]


@pytest.mark.parametrize("make", MAKE, ids=["credentials", "manager"])
def test_repr(make):
    """Neither object shows a secret, whether by `repr`, `str`, or the `repr` of what it keeps."""
    made = make("https://store.example", *FOUR)
    text = f"{made!r} {made}" + (repr(vars(made)) if isinstance(made, CDNManager) else "")
    assert READ_SECRET not in text
    assert WRITE_SECRET not in text


def test_repr_of_credentials_tells_them_apart():
    """The `repr` of credentials shows the host, both keys and the region: what is needed to find a mix-up."""
    text = repr(CDNCredentials("https://store.example", *FOUR, region="eu-west-1"))
    assert all(part in text for part in ("https://store.example", READ_KEY, WRITE_KEY, "eu-west-1"))


@pytest.mark.parametrize("act", [pickle.dumps, copy.deepcopy, copy.copy], ids=lambda act: act.__name__)
@pytest.mark.parametrize("make", MAKE, ids=["credentials", "manager"])
def test_no_pickling(make, act):
    """Neither object is pickled or copied by accident, and the refusal names no secret."""
    made = make("https://store.example", *FOUR)
    with pytest.raises(TypeError) as caught:
        act(made)
    assert READ_SECRET not in str(caught.value)
    assert WRITE_SECRET not in str(caught.value)


def test_methods_signature():
    """`upload` and `download` take their arguments by the promised names and places; all others are keyword-only."""
    upload, download = inspect.signature(CDNManager.upload), inspect.signature(CDNManager.download)
    keyword_only = [
        each for made in (upload, download) for each in made.parameters.values() if each.kind is each.KEYWORD_ONLY
    ]
    assert list(upload.parameters) == ["self", "bucket", "filename", "file_bytes", "progress"]
    assert list(download.parameters) == ["self", "bucket", "filename", "to", "if_changed", "progress"]
    assert [each.name for each in keyword_only] == ["progress", "to", "if_changed", "progress"]
    made = inspect.signature(CDNManager).parameters
    assert [name for name, each in made.items() if each.kind is not inspect.Parameter.KEYWORD_ONLY] == ["credentials"]
    assert made["on_error"].default is print


def test_there_and_back(manager, store, folder, errors):
    """What is uploaded is in the store byte for byte, and comes back under its name in the current directory."""
    data = bytes(range(256)) * 10
    assert manager.upload(BUCKET, "yolo.onnx", bytearray(data)) is True
    assert store.objects[BUCKET, b"yolo.onnx"].body == data
    assert manager.download(BUCKET, "yolo.onnx") is True
    assert content(folder) == {"yolo.onnx": data}
    assert errors == []


def test_the_way_there_and_back_is_told(manager, loopback, folder):
    """`progress` hears of both, up to all bytes; `if_changed` then fetches none of them."""
    data, told = bytes(range(256)) * 4096 * 6, []

    def progress(done, total):
        told.append((done, total))

    assert manager.upload(BUCKET, "big", data, progress=progress) is True
    assert told[-1] == (len(data), len(data))
    del told[:]
    assert manager.download(BUCKET, "big", progress=progress) is True
    assert told == sorted(told)
    assert told[-1] == (len(data), len(data))
    before = len(loopback.requests)
    assert manager.download(BUCKET, "big", if_changed=True) is True
    assert {request.method for request in loopback.requests[before:]} == {"HEAD"}


def test_each_key_signs_its_own_direction(manager, loopback):
    """The uploader's key signs uploads and nothing else, the downloader's downloads: read from the raw headers."""
    for _ in range(2):
        manager.upload(BUCKET, "key", b"data")
        manager.download(BUCKET, "key")
    signers = [(request.method, signing_key(request)) for request in loopback.requests]
    assert signers == [("PUT", WRITE_KEY), ("GET", READ_KEY)] * 2


def test_text_is_printed(loopback, capsys):
    """By default a `str` is a printed False, and the line says what to do instead."""
    with CDNManager(CDNCredentials(loopback.endpoint, *FOUR)) as manager:
        assert manager.upload(BUCKET, "key", "text") is False
    out, err = capsys.readouterr()
    assert err == ""
    assert out.count("\n") == 1
    assert "bytes" in out


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(Answer(403), AccessDenied), (Answer(reset=True), TransportError), (Answer(), InvalidResponse)],
    ids=["403", "reset", "no S3"],
)
def test_errors_of_uploads(manager, loopback, errors, answer, kind):
    """Whatever goes wrong on the way up is False, and the one exception, of its type, goes to `on_error`."""
    loopback.answer = lambda request: answer
    assert manager.upload(BUCKET, "key", b"data") is False
    assert [isinstance(error, kind) for error in errors] == [True]


@pytest.mark.parametrize("error", [RuntimeError("other"), MemoryError()], ids=repr)
def test_errors_of_the_source(manager, loopback, errors, error):
    """An exception of any kind from the source of the bytes is caught as well, and nothing was sent."""
    assert manager.upload(BUCKET, "key", failing(error)) is False
    assert errors == [error]
    assert loopback.connections == 0


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda manager: manager.upload(BUCKET, "key", "text"), id="text"),
        pytest.param(lambda manager: manager.upload(BUCKET, "key", None), id="no bytes"),
        pytest.param(lambda manager: manager.upload("BAD_BUCKET", "key", b""), id="bucket of an upload"),
        pytest.param(lambda manager: manager.download("BAD_BUCKET", "key"), id="bucket of a download"),
        pytest.param(lambda manager: manager.upload(BUCKET, "", b""), id="empty key of an upload"),
        pytest.param(lambda manager: manager.download(BUCKET, ""), id="empty key of a download"),
        pytest.param(lambda manager: manager.download(BUCKET, b"key"), id="key in bytes"),
        pytest.param(lambda manager: manager.upload(BUCKET, None, b""), id="no key, upload"),
        pytest.param(lambda manager: manager.download(BUCKET, None), id="no key, download"),
        pytest.param(lambda manager: manager.download(BUCKET, None, to="file"), id="no key, download to a file"),
        pytest.param(lambda manager: manager.download(BUCKET, "\ud800"), id="half a surrogate pair"),
        pytest.param(lambda manager: manager.download(BUCKET, "k/" * 512 + "k"), id="too long a key"),
        pytest.param(lambda manager: manager.download(BUCKET, "key", to=5), id="to= is no path"),
    ],
)
def test_wrong_arguments(manager, loopback, folder, errors, call):
    """An argument that cannot be is False too, with a ValueError or TypeError, no request and no trace on the disk."""
    assert call(manager) is False
    assert [isinstance(error, (ValueError, TypeError)) for error in errors] == [True]
    assert content(folder) == {}
    assert loopback.connections == 0


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, body=b"<Error><Code>NoSuchKey</Code><Message>two\nlines\x1b[31m</Message></Error>"),
        Answer(reset=True),
        Answer(301, headers={"Location": "http://other.example/?X-Amz-Signature=abc"}),
    ],
    ids=["answer of several lines", "no answer", "redirect"],
)
def test_default_print(loopback, capsys, answer):
    """By default each error is one line on stdout: which object, no secret, no signature, no control characters."""
    loopback.answer = lambda request: answer
    with CDNManager(CDNCredentials(loopback.endpoint, *FOUR)) as manager:
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


def test_output_without_the_letters(manager, monkeypatch, capsys):
    """Where the output cannot show the key's letters, the line comes all the same, in ASCII."""
    monkeypatch.setattr(manager, "_on_error", raiser(UnicodeEncodeError("ascii", "ü", 0, 1, "ordinal not in range")))
    assert manager.download(BUCKET, "ü/日本") is False
    out = capsys.readouterr().out
    assert out.isascii()
    assert "404" in out


def test_output_that_is_closed(manager, monkeypatch):
    """When nobody reads what is printed, the result is False all the same; a callback's own error passes."""
    print_to_nobody = raiser(BrokenPipeError(32, "Broken pipe"))
    monkeypatch.setattr("builtins.print", print_to_nobody)
    manager._on_error = print_to_nobody
    assert manager.upload("BAD", "key", b"") is False
    manager._on_error = raiser(LookupError("mine"))
    with pytest.raises(LookupError, match="mine"):
        manager.upload("BAD", "key", b"")


def test_on_error_gets_the_evidence(manager, errors):
    """`on_error` gets the exception itself, with status, code, bucket and key to decide by."""
    assert manager.download(BUCKET, "missing") is False
    (error,) = errors
    assert isinstance(error, NotFound)
    assert (error.status, error.code, error.bucket, error.key) == (404, "NoSuchKey", BUCKET, "missing")


def test_interrupted_upload(manager, loopback, errors):
    """Ctrl-C while the bytes are collected gets through as well, and nothing was sent."""
    with pytest.raises(KeyboardInterrupt):
        manager.upload(BUCKET, "key", failing(KeyboardInterrupt()))
    assert errors == []
    assert loopback.connections == 0


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("downloader_access_key", "", "downloader: the access key"),
        ("downloader_access_secret", "line\n", "downloader: the secret key"),
        ("uploader_access_key", None, "uploader: the access key"),
        ("uploader_access_secret", " blank", "uploader: the secret key"),
        ("host", "s3://bucket", "scheme"),
        ("host", None, "endpoint"),
        ("region", "eu west", "region"),
    ],
)
def test_wrong_credentials(name, value, reason):
    """A wrong host, key, secret or region is refused when the manager is made: which one is said, but no secret."""
    given = dict(zip(NAMES, ("https://store.example", *FOUR)))
    with pytest.raises((ValueError, TypeError), match=reason) as caught:
        CDNManager(CDNCredentials(**{**given, name: value}))
    assert READ_SECRET not in str(caught.value)
    assert WRITE_SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [{"addressing": "dns"}, {"timeout": 5}, {"verify": ""}, {"on_error": None}, {"on_error": "print"}, {"nonsense": 1}],
    ids=str,
)
def test_wrong_options(options):
    """A wrong option is a ValueError or TypeError when the manager is made, not a False later."""
    with pytest.raises((ValueError, TypeError)):
        CDNManager(CDNCredentials("https://store.example", *FOUR), **options)


def test_credentials_of_another_kind():
    """Credentials that are no CDNCredentials, say those of a client, are a TypeError."""
    with pytest.raises(TypeError, match="must be CDNCredentials"):
        CDNManager(FOUR)


@pytest.mark.parametrize("works", [True, False], ids=["with the authority's file", "without"])
def test_host_without_scheme_and_verify(store, folder, errors, works):
    """A host without `://` is spoken to over TLS; a private authority is trusted exactly where its file is given."""
    tls, authority = make_tls(folder)
    store.put(BUCKET, "key", b"data")
    with RawServer(store, tls=tls) as server:
        options = {"verify": authority} if works else {}
        with CDNManager(CDNCredentials(server.authority, *FOUR), on_error=errors.append, **options) as manager:
            assert manager.upload(BUCKET, "key", b"data") is works
            assert manager.download(BUCKET, "key") is works
    assert [type(error) for error in errors] == ([] if works else [TransportError, TransportError])


def test_region(errors):
    """The region of the credentials is the one that both clients sign for; the default is us-east-1."""
    store = MemoryStore(SECRETS, region="eu-west-1", buckets=(BUCKET,))
    with RawServer(store) as loopback:
        for region in ({"region": "eu-west-1"}, {}):
            credentials = CDNCredentials(loopback.endpoint, *FOUR, **region)
            with CDNManager(credentials, on_error=errors.append) as manager:
                assert manager.upload(BUCKET, "key", b"data") is bool(region)
                assert manager.download(BUCKET, "key") is bool(region)
        assert all(b"/us-east-1/s3/" in request.head for request in loopback.requests[2:])
    assert [type(error) for error in errors] == [AccessDenied, AccessDenied]


class Recorder(requests.Session):
    """A session that notes what it is asked to send, and sends nothing."""

    def __init__(self):
        super().__init__()
        self.sent = []

    def send(self, request, **options):
        self.sent.append((request, options))
        raise requests.ConnectionError("recorded")


def test_session_timeout_and_addressing(errors):
    """The session, the timeout, the addressing and `sign_payload` that were given are those of both clients."""
    with Recorder() as session:
        manager = CDNManager(
            CDNCredentials("https://store.example", *FOUR),
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


def test_context_manager(loopback):
    """`with` gives the manager itself, keeps one connection a client, closes both, and they can be used again."""
    made = CDNManager(CDNCredentials(loopback.endpoint, *FOUR))
    for connections in (2, 4):
        with made as manager:
            assert manager is made
            for _ in range(2):
                assert manager.upload(BUCKET, "key", b"data") is True
                assert manager.download(BUCKET, "key") is True
        assert loopback.connections == connections
