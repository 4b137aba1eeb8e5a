"""What reviews have found: each was a wrong result, a wrong word or a wait without end, and is none any more."""

import contextlib
import dataclasses
import gc
import io
import sys
import threading
import weakref

import pytest
from kit import BODY, ETAG, KEY, LONG, SECRET, client_of, good, still_works
from kit_calls import md5_tag, xml
from rawserver import Answer, RawServer, in_turn
from urllib3.util.wait import wait_for_read

from cdn_sigv4 import (
    AccessDenied,
    Credentials,
    IntegrityError,
    InvalidResponse,
    OutcomeUnknown,
    ResponseError,
    Retry,
    S3Client,
    TransportError,
    checksums,
)
from cdn_sigv4.connection import _ExactConnection

AGAIN = Retry(attempts=10, budget=1000)
BIG = bytes(range(256)) * (16 << 10)  # 4 MiB


# -- bodies that were never sent


@pytest.mark.parametrize("size", [(16 << 10) + 1, 1 << 20])  # what is smaller leaves in one piece with the head
def test_a_success_before_the_body_is_none(size, monkeypatch):
    """A 200 that is there before the last byte has left is no answer to this body: it is sent again."""
    original = _ExactConnection._is_answered
    waited = []

    def once_it_is_there(connection):
        if not waited:
            waited.append(wait_for_read(connection.sock, timeout=LONG))
        return original(connection)

    monkeypatch.setattr(_ExactConnection, "_is_answered", once_it_is_there)
    early = Answer(headers=ETAG, before_body=True, drain=0)
    with RawServer(in_turn(early, Answer(headers=ETAG))) as server, client_of(server, retry=AGAIN) as client:
        client.put_object("bucket", "key", bytes(size))
        assert [len(request.body) for request in server.requests if request.complete] == [size]
        assert waited == [True]
        still_works(client, server)


def test_a_duplicate_that_comes_late_is_no_answer():
    """The answer to the request before, once more, when the next is on its way: its body is not taken for stored."""
    stored = []

    def answer(request):
        if request.method == "GET":
            return Answer(headers=ETAG, body=b"first", extra=b"")
        stored.append(request.body)
        return Answer(headers=ETAG)

    with RawServer(answer) as server, client_of(server, retry=AGAIN) as client:
        client.get_object("bucket", "key").read()
        (sock,) = server._sockets.values()
        real = client._exchange._connected().send

        def late(request, signed, body=None):
            if body is not None and not stored:
                sock.sendall(b"HTTP/1.1 200 OK\r\nETag: x\r\nContent-Length: 0\r\n\r\n")
            return real(request, signed, body)

        client._exchange._connected().send = late
        client.put_object("bucket", "key", b"the body")
        assert stored[-1] == b"the body"


# -- links that break again and again


def broken_link(every, **how):
    """A store behind a link that breaks behind so many bytes of each answer."""

    def answer(request):
        asked = request.header("range")
        first = int(asked[len("bytes=") :].split("-")[0]) if asked else 0
        headers = {"ETag": md5_tag(BIG)}
        if asked:
            headers["Content-Range"] = f"bytes {first}-{len(BIG) - 1}/{len(BIG)}"
        body = BIG[first:]
        return Answer(206 if asked else 200, headers=headers, body=body, **(how if len(body) > every else {}))

    return answer


@pytest.mark.parametrize("how", ["cut", "reset", "stall"])
@pytest.mark.parametrize("way", ["read", "file"])
def test_a_link_that_breaks_all_the_time_is_got_over(way, how, tmp_path):
    """However the link breaks behind every 700 KB, and however much is asked for at once: each attempt gets on."""
    options = {"cut": {"cut_after": 700_000}, "reset": {"cut_after": 700_000, "reset": True}}.get(how)
    options = options or {"delay": threading.Event(), "delay_after": 700_000}
    with RawServer(broken_link(700_000, **options)) as server:
        with client_of(server, retry=AGAIN, timeout=(5, 0.15)) as client:
            if way == "read":
                assert client.get_object("bucket", "key").read() == BIG
            else:
                client.download_file("bucket", "key", tmp_path / "file")
                assert (tmp_path / "file").read_bytes() == BIG
        # A reset overtakes what was sent before it: how much each attempt brings is the system's affair.
        assert len(server.requests) <= (100 if how == "reset" else 10)


# -- what is said, and to whom


def test_print_never_fails_a_transfer(monkeypatch):
    """`on_event=print` is what the README says: an output that cannot show the key, or is closed, stops nothing."""
    for output in (io.TextIOWrapper(io.BytesIO(), "ascii"), io.StringIO()):
        if isinstance(output, io.StringIO):
            output.close()
        with RawServer(in_turn(Answer(503), good)) as server:
            with client_of(server, retry=AGAIN, on_event=print) as client, monkeypatch.context() as patched:
                patched.setattr(sys, "stdout", output)
                assert client.get_object("bucket", "ü").read() == BODY


def test_an_event_keeps_no_connection_and_no_secret(tmp_path):
    """The errors that events carry have no frames: these hold the signed headers, the socket and the body."""
    events = []
    flipped = dataclasses.replace(good_object(), body=b"x" + BODY[1:])
    answers = in_turn(Answer(503), flipped, dataclasses.replace(good_object(), cut_after=100), good_rest)
    with RawServer(answers) as server, client_of(server, retry=AGAIN, on_event=events.append) as client:
        client.download_file("bucket", "key", tmp_path / "file")
    assert [event.kind for event in events] == ["retry", "restart", "resume"]
    assert all(event.error.__traceback__ is None and event.error.__context__ is None for event in events)


def good_object():
    return Answer(headers={"ETag": md5_tag(BODY)}, body=BODY)


def good_rest(request):
    first = int(request.header("range")[len("bytes=") :].split("-")[0])
    value = f"bytes {first}-{len(BODY) - 1}/{len(BODY)}"
    return Answer(206, headers={"ETag": md5_tag(BODY), "Content-Range": value}, body=BODY[first:])


def test_what_came_of_an_error_is_kept_when_the_connection_breaks():
    """Go's answer to plain HTTP on a TLS port has no length, and a reset behind it: its words are told all the same."""
    text = b"Client sent an HTTP request to an HTTPS server.\n"
    raw = b"HTTP/1.0 400 Bad Request\r\n\r\n" + text
    with RawServer(lambda request: Answer(raw=raw, cut_after=len(raw), reset=True)) as server:
        with client_of(server) as client:
            with pytest.raises((ResponseError, TransportError)) as caught:
                client.get_object("bucket", "key")
    if isinstance(caught.value, ResponseError):  # else the reset has overtaken all of the answer
        assert "begin the endpoint with https://" in caught.value.hint


def test_an_errors_body_that_drips_is_cut_short():
    """The status has said the main thing: what takes longer than the stall timeout is not waited for."""
    body = xml("NoWay") + b" " * 60_000
    with RawServer(lambda request: Answer(403, body=body)) as server, client_of(server) as client:
        seconds = iter(range(0, 10_000, 3))
        client._exchange.monotonic = lambda: next(seconds)
        with pytest.raises(AccessDenied, match="403"):
            client.get_object("bucket", "key")
        assert next(seconds) < 60


# -- learning at the edges


def test_two_buckets_in_two_regions():
    """What is learnt of one bucket's region does not unlearn another's."""
    places = {b"one": b"eu-one-1", b"two": b"eu-two-2"}

    def answer(request):
        bucket = request.path.split(b"/")[1]
        if b"/%s/s3/" % places[bucket] in request.head:
            return Answer(headers=ETAG)
        return Answer(400, headers={"x-amz-bucket-region": places[bucket].decode()})

    with RawServer(answer) as server, S3Client(server.endpoint, Credentials(KEY, SECRET)) as client:
        for _ in range(3):
            client.head_object("one", "key")
            client.head_object("two", "key")
        assert len(server.requests) == 8


def test_a_clock_at_the_edge_of_what_is_tolerated_is_learnt():
    """The server complained when the request came; measured when its answer is read the difference may be smaller."""
    complaint = Answer(403, headers={"Date": "Tue, 03 Feb 2026 04:05:06 GMT"}, body=xml("RequestTimeTooSkewed"))
    with RawServer(in_turn(complaint, good)) as server, client_of(server, retry=AGAIN) as client:
        client._exchange.clock = lambda: 1770091506.0 - 895
        assert client.get_object("bucket", "key").read() == BODY


def test_a_bucket_is_made_in_the_region_that_was_given():
    """What another bucket's answer has taught is no reason to make a new one elsewhere."""

    def answer(request):
        if request.path.startswith(b"/other") and b"/eu-west-1/" not in request.head:
            return Answer(400, headers={"x-amz-bucket-region": "eu-west-1"})
        return Answer(headers={**ETAG, "x-amz-request-id": "1"})

    with RawServer(answer) as server:
        with S3Client(server.endpoint, Credentials(KEY, SECRET), region="eu-north-1") as client:
            client.head_object("other", "key")
            client.create_bucket("new")
        assert b"<LocationConstraint>eu-north-1<" in server.requests[-1].body


# -- the rest


@pytest.mark.parametrize("status", [403, 407])
def test_a_proxy_that_refuses_is_asked_once(status, monkeypatch):
    """A tunnel that is refused for want of a password is not asked for ten times, which could lock the account."""
    with RawServer(lambda request: Answer(status)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.endpoint)
        with client_of("https://store.invalid", retry=AGAIN) as client, pytest.raises(
            TransportError, match=str(status)
        ):
            client.get_object("bucket", "key")
        assert len(proxy.requests) == 1


def test_a_list_without_end_ends():
    """Empty pages with ever new tokens are an error in the end."""
    numbers = iter(range(10**9))

    def answer(request):
        inner = f"<IsTruncated>true</IsTruncated><NextContinuationToken>{next(numbers)}</NextContinuationToken>"
        return Answer(body=f"<ListBucketResult>{inner}</ListBucketResult>".encode())

    with RawServer(answer) as server, client_of(server) as client:
        with pytest.raises(InvalidResponse, match="round in a circle"):
            list(client.list_objects("bucket"))


def test_hashing_needs_no_thread(monkeypatch):
    """Where the system gives no more threads both checksums are made in one."""

    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    data = bytes(9 << 20)
    found = checksums.digests([data], ["crc32", "sha256"], len(data))
    assert {name: len(value) for name, value in found.items()} == {"crc32": 4, "sha256": 32}


def test_a_second_answer_that_says_less_proves_no_less():
    """After damage the checksum of the first answer counts for the second of the same version, which offers none."""
    crc = {"x-amz-checksum-crc32": checksums.base64(checksums.digests([BODY], ["crc32"], len(BODY))["crc32"])}
    damaged = Answer(headers={**ETAG, **crc}, body=b"x" + BODY[1:])
    silent = Answer(headers=ETAG, body=b"y" + BODY[1:])
    with RawServer(in_turn(damaged, silent)) as server, client_of(server, retry=AGAIN) as client:
        with pytest.raises(IntegrityError):
            client.get_object("bucket", "key").read()


def test_damage_that_the_store_has_kept_is_called_that(tmp_path):
    """An upload whose answer names other bytes says that the object is not to be used."""
    with RawServer(lambda request: Answer(headers={"ETag": md5_tag(b"other")})) as server:
        with client_of(server, retry=AGAIN) as client, pytest.raises(IntegrityError) as caught:
            client.put_object("bucket", "key", BODY)
    assert caught.value.message.startswith("the store has kept other bytes than those sent")
    assert "not to be used: upload it again" in caught.value.hint


def test_what_is_kept_of_a_failed_download_is_said(tmp_path):
    """The error says how much lies beside the target, and what becomes of it."""
    big = bytes(9 << 20)
    answer = Answer(headers={"ETag": md5_tag(big)}, body=big, cut_after=1 << 20)
    with RawServer(lambda request: answer) as server, client_of(server) as client:
        with pytest.raises(TransportError, match="1048576 bytes are kept beside the target"):
            client.download_file("bucket", "key", tmp_path / "file")


def test_a_body_is_let_go_of_without_the_garbage_collector():
    """After an upload, whether it went well or not, nothing holds the caller's source any more."""
    gc.collect()
    gc.disable()
    try:
        for answer in (Answer(headers=ETAG), Answer(403)):
            with RawServer(lambda request, answer=answer: answer) as server, client_of(server) as client:
                source = io.BytesIO(bytes(100_000))
                kept = weakref.ref(source)
                with contextlib.suppress(AccessDenied):
                    client.put_object("bucket", "key", source)
                del source
                assert kept() is None
    finally:
        gc.enable()


def test_a_source_that_fails_after_the_answer_is_stored_all_the_same(tmp_path):
    """When the store has answered 200, a source that cannot be read any more is no error: nothing proves it then."""
    (tmp_path / "file").write_bytes(BODY)
    with (tmp_path / "file").open("rb") as file:

        def answer(request):
            assert request.body == BODY
            file.close()
            return Answer(headers={"ETag": md5_tag(BODY)})

        with RawServer(answer) as server, client_of(server) as client:
            assert client.put_object("bucket", "key", file).etag == md5_tag(BODY)


def test_a_lost_answer_says_so_in_words():
    """Who reads the text alone learns that the write may have taken effect."""
    with RawServer(lambda request: Answer(reset=True)) as server, client_of(server) as client:
        with pytest.raises(OutcomeUnknown, match="it may have taken effect"):
            client.put_object("bucket", "key", BODY)
