"""Proves that no secret is said aloud: not by an exception, its chain or traceback, nor by any log or print: trap 35.

Secret key, session token and every signature that went over the wire are looked for in all that a program could show,
with every logger at DEBUG, over success and one failure of each kind.
"""

import io
import logging
import pickle
import re
import threading
import traceback
from urllib.parse import quote

import pytest
import requests
from kit import BODY, ETAG, KEY, SECRET, TOKEN, client_of, deaf
from kit_calls import copy, delete, get, head, listed, put, xml
from rawserver import Answer, RawServer, make_tls

from cdn_sigv4 import CDNError

REFUSED = {
    "success": Answer(headers=ETAG, body=BODY),
    "403": Answer(403, body=xml("AccessDenied")),
    "404": Answer(404, body=xml("NoSuchKey")),
    "500": Answer(500),
    "503": Answer(503, headers={"Retry-After": "0"}),
    "103": Answer(raw=b"HTTP/1.1 103 Early Hints\r\n\r\n", close=True),
    "redirect": Answer(307, headers={"Location": "http://other.test/x?X-Amz-Signature=0&token=0"}),
    "redirect-to-nonsense": Answer(307, headers={"Location": "http://["}),
    "nothing": Answer(raw=b"", cut_after=0),
    "reset": Answer(reset=True),
    "early-reset": Answer(reset=True, before_body=True),
    "cut": Answer(headers=ETAG, body=BODY, cut_after=9),
    "cut-error": Answer(403, body=xml("AccessDenied"), cut_after=9),
    "no-http": Answer(raw=b"SSH-2.0-OpenSSH\r\n", cut_after=99),
    "many-headers": Answer(headers=[(f"X-{number}", "y") for number in range(300)]),
    "no-length": Answer(headers=ETAG, body=BODY, no_length=True),
    "bad-length": Answer(headers={**ETAG, "Content-Length": "x"}, close=True),
    "two-lengths": Answer(headers=[("Content-Length", "1"), ("Content-Length", "2")], close=True),
    "bad-chunks": Answer(headers={**ETAG, "Transfer-Encoding": "chunked"}, body=b"zz\r\n", close=True),
    "bad-header": Answer(raw=b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n", cut_after=99),
    "stall": Answer(delay=threading.Event()),
    "stall-in-body": Answer(headers=ETAG, body=BODY, delay=threading.Event(), delay_after=9),
}
CALLS = [get, head, put, delete, copy, listed]


@pytest.fixture(autouse=True)
def _every_logger_speaks(caplog):
    """All loggers at DEBUG, those of urllib3 and requests by name."""
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "urllib3.connectionpool", "requests", "cdn_sigv4"):
        caplog.set_level(logging.DEBUG, logger=name)


def chain(error):
    """The exception and all that hang on it, by whichever link."""
    found = []
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and all(each is not other for other in found):
            found.append(each)
            waiting += [each.__cause__, each.__context__, *(arg for arg in each.args if isinstance(arg, BaseException))]
    return found


def modules_of(error):
    """The packages that the exceptions of a chain come from."""
    return {type(each).__module__.partition(".")[0] for each in chain(error)}


def said(error):
    """Everything that an exception can be made to say."""
    pieces = traceback.format_exception(type(error), error, error.__traceback__)
    for each in chain(error):
        pieces += [str(each), repr(each), repr(each.args), repr(vars(each))]
        pieces += traceback.format_exception(type(each), each, each.__traceback__, chain=False)
    pieces.append(repr(pickle.dumps(error)))
    return "\n".join(pieces)


def secrets_of(server):
    """What must not be said: the keys, and each signature that arrived."""
    heads = b"".join(each.head for each in server.requests).decode("latin-1")
    signatures = set(re.findall("Signature=([0-9a-f]{64})", heads))
    assert signatures or not server.requests
    return {SECRET, TOKEN, quote(SECRET, safe=""), quote(TOKEN, safe=""), "Signature=", *signatures}


def check(texts, secrets):
    """Find no secret in any text; the finding names the text and not the secret's surroundings."""
    leaks = {(place, secret) for place, text in texts.items() for secret in secrets if secret in text}
    assert leaks == set()


@pytest.mark.parametrize("own_session", [False, True], ids=["", "session"])
@pytest.mark.parametrize("name", list(REFUSED))
def test_nothing_is_said(name, own_session, caplog, capfd):
    """Six operations meet the same answer, and neither errors nor logs nor prints hold a secret."""
    texts = {}
    answer = REFUSED[name]
    with RawServer(lambda request: answer) as server, requests.Session() as session:
        for call in CALLS:
            with client_of(server, timeout=(5, 0.1), session=session if own_session else None) as client:
                try:
                    texts[f"result of {call.__name__}"] = repr(call(client))
                except CDNError as error:
                    texts[f"error of {call.__name__}"] = said(error)
                    assert not modules_of(error) & {"requests", "urllib3"}  # noqa: PT017
                texts[f"client after {call.__name__}"] = repr(client) + repr(vars(client)) + str(client)
            session.close()
        out, err = capfd.readouterr()
        texts.update(log=caplog.text, out=out, err=err)
        assert len(server.requests) == len(CALLS)
        check(texts, secrets_of(server))


@pytest.mark.parametrize(
    "where", ["dead", "unresolvable", "untrusted", "wrong-scheme", "dead-proxy", "dotted-at-proxy"]
)
def test_nothing_is_said_before_it_is_sent(
    where, tmp_path, monkeypatch,
    caplog, capfd,
):  # fmt: skip
    """The same where no request comes through at all."""
    context, _ = make_tls(tmp_path)
    with RawServer(tls=context) as server, deaf() as dead:
        endpoint = {
            "dead": f"http://{dead}",
            "untrusted": server.endpoint,
            "wrong-scheme": f"http://{server.authority}",
        }.get(where, "http://store.invalid")
        if "proxy" in where:
            monkeypatch.setenv("HTTP_PROXY", f"http://user:{SECRET[5:11]}@{dead}")
        with client_of(endpoint) as client, pytest.raises((CDNError, ValueError)) as caught:
            client.put_object("bucket", ".." if where.startswith("dotted") else "key", BODY)
        out, err = capfd.readouterr()
        texts = {"error": said(caught.value), "log": caplog.text, "out": out, "err": err}
        check(texts, {*secrets_of(server), SECRET[5:11]})


def test_what_a_server_gives_away_itself():
    """The signature that AWS sends back in its own error is not passed on."""
    fields = {
        "Code": "SignatureDoesNotMatch",
        "Message": "no",
        "SignatureProvided": "0123456789abcdef",
        "StringToSign": "0123456789abcdef",
        "CanonicalRequest": f"x-amz-security-token:{TOKEN}",
    }
    inner = "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())
    body = f"<Error>{inner}</Error>".encode("ascii")
    with RawServer(lambda request: Answer(403, body=body)) as server, client_of(server) as client:
        with pytest.raises(CDNError, match="SignatureDoesNotMatch") as caught:
            put(client)
        check({"error": said(caught.value)}, {"0123456789abcdef", TOKEN})


def test_presigned_urls_are_not_logged(caplog, capfd):
    """Making a URL for others says nothing anywhere, and a refusal to make one does not show it."""
    with client_of("http://store.test") as client:
        url = client.presigned_url("GET", "bucket", "key", expires_in=60)
        with pytest.raises(ValueError, match="expires_in") as caught:
            client.presigned_url("GET", "bucket", "key", expires_in=0)
    signature = url.partition("X-Amz-Signature=")[2]
    assert len(signature) == 64
    out, err = capfd.readouterr()
    check({"error": said(caught.value), "log": caplog.text, "out": out, "err": err}, {signature, SECRET, TOKEN})


def test_source_errors_keep_silent(caplog):
    """An error of the source while sending has the source's error as its cause, and nothing of the request."""

    class Odd(io.BytesIO):
        def read(self, amount=-1):
            if server.requests or armed.is_set():
                raise OSError("odd")
            return super().read(amount)

    def arm(request):
        armed.set()
        return Answer(headers=ETAG)

    armed = threading.Event()
    with RawServer(arm) as server, client_of(server) as client:
        with pytest.raises(CDNError) as caught:
            client.put_object("bucket", "key", Odd(bytes(20 << 20)))
        server.wait_for(1)
        # Crash reporters show the variables of each frame: those of urllib3 hold the signed headers.
        frames = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
        assert not [name for name in frames if "urllib3" in name or "wire.py" in name]
        check({"error": said(caught.value), "log": caplog.text}, secrets_of(server))


def test_this_search_finds_something(caplog):
    """The same search finds the signature in what plain requests and urllib3 say of a presigned URL."""
    with deaf() as dead, client_of(f"http://{dead}") as client:
        url = client.presigned_url("GET", "bucket", "key", expires_in=60)
        with pytest.raises(requests.ConnectionError) as caught:
            requests.get(url, timeout=1)
    signature = url.partition("X-Amz-Signature=")[2]
    assert signature in str(caught.value)
    assert {"requests", "urllib3"} <= modules_of(caught.value)
    assert KEY in url
