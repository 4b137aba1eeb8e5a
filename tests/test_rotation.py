"""Credentials that change: fetched before they expire and when they were refused, by one thread, and shown nowhere.

The store in memory says of a key that it does not know what MinIO says of one that has expired; MinIO itself issues
temporary credentials in the last tests (STS, AssumeRole).
"""

import os
import re
import threading
from datetime import datetime, timedelta, timezone

import pytest
import requests
from kit import BODY, BUCKET, ETAG, KEY, SECRET, StillTime
from kit_calls import xml
from rawserver import Answer, RawServer, in_turn

from cdn_sigv4 import AccessDenied, Credentials, CredentialsError, Retry, S3Client, SigV4Auth
from cdn_sigv4.rotation import Rotation

GOOD = Credentials(KEY, SECRET)
TOKEN = "t0ken-of-the-day"


class Giver:
    """A function that gives credentials, in their turn the last one for ever; an exception is raised."""

    def __init__(self, *given):
        self.given = list(given)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        found = self.given.pop(0) if len(self.given) > 1 else self.given[0]
        if isinstance(found, Exception):
            raise found
        return found


def made(giver, time, events=None):
    return Rotation(giver, time.monotonic, None if events is None else events.append)


def lasting(seconds, key=KEY):
    return Credentials(key, SECRET, TOKEN, expires_at=seconds)


# -- before they expire


@pytest.mark.parametrize(
    ("life", "asked_at"),
    [(3600, 3300), (900, 675), (40, 30), (8, 10), (0, 10), (-3600, 10)],
    ids=["an hour", "15 minutes", "40 seconds", "8 seconds", "none", "expired, says a wrong clock"],
)
def test_asked_for_in_time(life, asked_at):
    """Others are fetched five minutes ahead, or at three quarters of a short life; never twice within ten seconds."""
    time = StillTime()
    first, second = lasting(time.now + life), lasting(time.now + 9999)
    giver = Giver(first, second)
    rotation, begun = made(giver, time), time.now
    assert rotation.current() is first
    time.now = begun + asked_at - 0.001
    assert rotation.current() is first
    time.now = begun + asked_at
    assert rotation.current() is second
    assert giver.calls == 2


def test_those_that_do_not_say_are_kept():
    """Without `expires_at` the function is asked once, until a store refuses them."""
    time = StillTime()
    giver = Giver(GOOD)
    rotation = made(giver, time)
    for _ in range(3):
        assert rotation.current() is GOOD
        time.now += 1e9
    assert giver.calls == 1


def test_a_failure_ahead_of_time_changes_nothing():
    """While those at hand are good a failure is told and tried again in ten seconds; after that it is the error."""
    time, events = StillTime(), []
    first, third = lasting(time.now + 400), lasting(time.now + 9999)
    giver = Giver(first, ValueError("s3cr3t"), ValueError("s3cr3t"), ValueError("s3cr3t"), third)
    rotation = made(giver, time, events)
    rotation.current()
    time.now += 310
    assert rotation.current() is first
    assert rotation.current() is first
    assert giver.calls == 2
    time.now += 10
    assert rotation.current() is first
    assert giver.calls == 3
    assert [str(event) for event in events] == [
        "credentials: attempt 2 in 10.0 s, because the function that gives credentials raised ValueError"
    ] * 2
    time.now += 80
    with pytest.raises(CredentialsError) as caught:
        rotation.current()
    assert "s3cr3t" not in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)
    assert rotation.current() is third


@pytest.mark.parametrize("given", [None, "AK", ("AK", "secret")], ids=["None", "str", "tuple"])
def test_what_are_no_credentials(given):
    """A function that gives anything else is a clear error, which shows nothing of it."""
    with pytest.raises(CredentialsError, match=f"gave {type(given).__name__}, no Credentials") as caught:
        made(Giver(given), StillTime()).current()
    assert "secret" not in str(caught.value)


# -- threads and processes


def test_one_thread_asks_and_the_others_wait():
    """Of eight threads that come first, one asks; where those at hand are good, the others go on with them."""
    time, entered, let = StillTime(), threading.Event(), threading.Event()
    calls = []

    def give():
        calls.append(1)
        entered.set()
        assert let.wait(10)
        return lasting(time.now + 400)

    rotation = made(give, time)
    found = []
    threads = [threading.Thread(target=lambda: found.append(rotation.current())) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert entered.wait(10)
    let.set()
    for thread in threads:
        thread.join(10)
    assert len(found) == 8
    assert len(set(map(id, found))) == len(calls) == 1
    time.now += 350
    entered.clear()
    let.clear()
    asking = threading.Thread(target=rotation.current)
    asking.start()
    assert entered.wait(10)
    assert rotation.current() is found[0]  # at once, while the other thread still waits
    let.set()
    asking.join(10)
    assert rotation.current() is not found[0]
    assert len(calls) == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_a_fork_while_another_thread_asks():
    """The child does not wait for a lock whose owner it does not have."""
    time, entered, let = StillTime(), threading.Event(), threading.Event()

    def give():
        if os.getpid() == parent:
            entered.set()
            assert let.wait(10)
        return GOOD

    parent, rotation = os.getpid(), made(give, time)
    asking = threading.Thread(target=rotation.current)
    asking.start()
    assert entered.wait(10)
    child = os.fork()
    if child == 0:
        try:
            os._exit(0 if rotation.current() is GOOD else 1)
        finally:
            os._exit(2)
    let.set()
    asking.join(10)
    assert os.waitpid(child, 0)[1] == 0


# -- refused ones


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "ExpiredToken"), (400, "TokenRefreshRequired"), (403, "InvalidAccessKeyId"), (403, "InvalidTokenId")],
)
def test_refused_ones_are_replaced_once(status, code):
    """What a store says of expired credentials brings others, with which the request is made again at once."""
    old, events = lasting(9e9, "OLD"), []
    giver = Giver(old, GOOD)
    answers = in_turn(Answer(status, body=xml(code)), Answer(headers={"ETag": ETAG}, body=BODY))
    with RawServer(answers) as server:
        with S3Client(server.endpoint, giver, on_event=events.append) as client, client.get_object(
            "bucket", "key"
        ) as r:
            assert r.read() == BODY
        first, second = (request.header("authorization") for request in server.requests)
    assert "Credential=OLD/" in first
    assert f"Credential={KEY}/" in second
    assert giver.calls == 2
    assert [(event.kind, event.wait) for event in events] == [("credentials", 0.0)]


def test_new_ones_that_are_refused_as_well():
    """Once more, not for ever; and where the function gives the same again, nothing is sent again."""
    for giver, sent in ((Giver(lasting(9e9, "A"), lasting(9e9, "B"), lasting(9e9, "C")), 2), (Giver(GOOD), 1)):
        with RawServer(in_turn(Answer(403, body=xml("ExpiredToken")))) as server:
            with S3Client(server.endpoint, giver, retry=Retry(attempts=5)) as client:
                with pytest.raises(AccessDenied, match="ExpiredToken"):
                    client.get_object("bucket", "key")
            assert len(server.requests) == sent


def test_other_refusals_do_not_ask():
    """No permission, and a wrong signature, are not a matter of time."""
    giver = Giver(GOOD)
    for code in ("AccessDenied", "SignatureDoesNotMatch"):
        with RawServer(in_turn(Answer(403, body=xml(code)))) as server, S3Client(server.endpoint, giver) as client:
            with pytest.raises(AccessDenied):
                client.get_object("bucket", "key")
    assert giver.calls == 2  # one for each client


def test_a_head_that_says_nothing():
    """AWS answers a HEAD under an expired token with a bare 400."""
    giver = Giver(lasting(9e9, "OLD"), GOOD)
    with RawServer(in_turn(Answer(400), Answer(headers={"ETag": ETAG, "Content-Length": "0"}))) as server:
        with S3Client(server.endpoint, giver) as client:
            client.head_object("bucket", "key")
    assert giver.calls == 2


def test_many_threads_that_are_refused_ask_once(loopback, store):
    """Eight threads under an expired key, all of which go on, and one call for new ones."""
    giver = Giver(lasting(9e9, "OLD"), GOOD)
    with S3Client(loopback.endpoint, giver) as client:
        threads = [
            threading.Thread(target=client.put_object, args=(BUCKET, f"key-{number}", BODY)) for number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert [entry.key for entry in client.list_objects(BUCKET)] == [f"key-{number}" for number in range(8)]
    assert giver.calls == 2


def test_an_upload_whose_body_cannot_be_read_again(loopback):
    """A stream is held as parts anyway: it goes out a second time under the new key."""
    giver = Giver(lasting(9e9, "OLD"), GOOD)
    with S3Client(loopback.endpoint, giver) as client:
        client.put_object(BUCKET, "key", iter([BODY]))
        with client.get_object(BUCKET, "key") as reader:
            assert reader.read() == BODY


# -- the client around it


def test_a_failing_function_is_an_error_of_the_operation(plain):
    """The error says which request it was, nothing is sent, and it is not tried again."""
    cause = RuntimeError("no way to the vault: t0ken")
    giver = Giver(cause)
    with S3Client(plain.endpoint, giver) as client:
        with pytest.raises(CredentialsError, match=r"^GET bucket/key: the function .* raised RuntimeError$") as caught:
            client.get_object("bucket", "key")
        assert caught.value.__cause__ is cause
        with pytest.raises(CredentialsError):
            client.presigned_url("GET", "bucket", "key", expires_in=60)
    assert giver.calls == 2
    assert plain.requests == []


def test_a_client_is_made_without_asking(plain):
    """The function is called for the first request; `repr` shows the access key that is used, and no secret."""
    giver = Giver(Credentials(KEY, SECRET, TOKEN))
    with S3Client(plain.endpoint, giver) as client:
        assert "access_key=None yet" in repr(client)
        assert giver.calls == 0
        url = client.presigned_url("GET", "bucket", "key", expires_in=60)
        assert "X-Amz-Security-Token=" in url
        assert f"access_key='{KEY}'" in repr(client)
        assert SECRET not in repr(client)
        assert TOKEN not in repr(client)


@pytest.mark.parametrize("wrong", ["AK", 7, ("AK", "secret"), Credentials, {"access_key": "AK"}], ids=ascii)
def test_what_is_neither_credentials_nor_a_function(wrong):
    """A TypeError when the client is made, which names the type and shows nothing of it."""
    with pytest.raises(
        TypeError, match="credentials must be Credentials, a function that gives them, or None"
    ) as caught:
        S3Client("http://127.0.0.1:1", wrong)
    assert "secret'" not in str(caught.value)


# -- what they are made of

MOMENT = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    "given", [MOMENT, MOMENT.timestamp(), int(MOMENT.timestamp()), MOMENT.astimezone(timezone(timedelta(hours=5)))]
)
def test_a_moment(given):
    """`expires_at` is seconds since 1970, or a datetime of any zone."""
    assert Credentials("AK", "secret", expires_at=given).expires_at == MOMENT.timestamp()


@pytest.mark.parametrize(
    ("given", "kind"), [(MOMENT.replace(tzinfo=None), ValueError), ("2026-11-25", TypeError), (True, TypeError)]
)
def test_no_moment(given, kind):
    """A time of no zone, a text and a truth value are refused."""
    with pytest.raises(kind, match="expires_at must be"):
        Credentials("AK", "secret", expires_at=given)


AWS = {"AWS_ACCESS_KEY_ID": "AK", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}


@pytest.mark.parametrize(
    ("more", "token", "until"),
    [
        ({}, None, None),
        ({"AWS_SESSION_TOKEN": "", "AWS_CREDENTIAL_EXPIRATION": ""}, None, None),
        ({"AWS_SESSION_TOKEN": "T"}, "T", None),
        ({"AWS_CREDENTIAL_EXPIRATION": "2026-11-25T12:00:00Z"}, None, MOMENT.timestamp()),
        ({"AWS_CREDENTIAL_EXPIRATION": "2026-11-25T17:00:00+05:00"}, None, MOMENT.timestamp()),
        ({"AWS_CREDENTIAL_EXPIRATION": "2026-11-25T12:00:00"}, None, MOMENT.timestamp()),
    ],
)
def test_from_environment(more, token, until, monkeypatch):
    """The names that AWS's tools use, from the process's environment or another mapping."""
    found = Credentials.from_environment({**AWS, **more})
    assert (found.access_key, found.secret_key, found.session_token) == ("AK", "s3cr3t", token)
    assert found.expires_at == until
    for name, value in {**AWS, **more}.items():
        monkeypatch.setenv(name, value)
    assert Credentials.from_environment().session_token == token


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
        ({"AWS_ACCESS_KEY_ID": "AK"}, "set AWS_SECRET_ACCESS_KEY"),
        ({**AWS, "AWS_ACCESS_KEY_ID": ""}, "set AWS_ACCESS_KEY_ID"),
        ({**AWS, "AWS_SECRET_ACCESS_KEY": "s3cr3t\n"}, "the secret key has an outer blank"),
        ({**AWS, "AWS_CREDENTIAL_EXPIRATION": "soon"}, "AWS_CREDENTIAL_EXPIRATION is no time"),
    ],
)
def test_an_environment_that_is_not_enough(environ, words):
    """The error says which variable to set, and shows none."""
    with pytest.raises(ValueError, match=re.escape(words)) as caught:
        Credentials.from_environment(environ)
    assert "s3cr3t" not in str(caught.value)


def test_the_environment_as_a_function(plain, monkeypatch):
    """`Credentials.from_environment` itself is such a function: what another process puts there is taken up."""
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    with S3Client(plain.endpoint, Credentials.from_environment) as client:
        client.delete_object("bucket", "key")
    assert "Credential=AK/" in plain.requests[0].header("authorization")


# -- MinIO's own


def assume_role(server, keys, seconds=900):
    """What MinIO's STS gives (AssumeRole): credentials of a session that act as these keys do."""
    answer = requests.post(
        server.endpoint,
        data={"Action": "AssumeRole", "Version": "2011-06-15", "DurationSeconds": seconds},
        auth=SigV4Auth(keys, "us-east-1", "sts"),
        timeout=(5, 30),
    )
    answer.raise_for_status()
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration")
    key, secret, token, until = (re.search(f"<{name}>(.*?)</{name}>", answer.text)[1] for name in names)
    expires_at = datetime.strptime(until, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    return Credentials(key, secret, token, expires_at=expires_at)


@pytest.mark.minio
def test_temporary_credentials_of_minio(server, users, bucket, root_client):
    """An upload under credentials of MinIO's STS; one that MinIO no longer knows is replaced in the middle."""
    calls = []

    def give():
        calls.append(assume_role(server, users.uploader))
        return calls[-1] if len(calls) > 1 else Credentials("EXPIREDKEY0000000000", SECRET, TOKEN)

    with S3Client(server.endpoint, give) as client:
        client.put_object(bucket, "by-a-session", b"x" * (6 << 20))
    assert len(calls) == 2
    assert root_client.head_object(bucket, "by-a-session").size == 6 << 20
    root_client.delete_object(bucket, "by-a-session")


@pytest.mark.minio
def test_a_session_that_was_damaged(server, users, bucket):
    """A token that is not the key's is asked for anew, and what then is refused too is AccessDenied."""

    def give():
        session = assume_role(server, users.downloader)
        return Credentials(session.access_key, session.secret_key, "eyJ" + session.session_token)

    with S3Client(server.endpoint, give) as client, pytest.raises(AccessDenied, match=r"InvalidTokenId|AccessDenied"):
        client.get_object(bucket, "key")
