"""A body that breaks goes on where it broke, of the same version, or fails; two versions are never mixed (trap 24).

The first answers are cut, reset or stalled after some bytes; what the store is asked next, and what comes out, is
compared byte for byte. The same across processes is in test_parts.py and test_kills.py.
"""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import BODY, ETAG, client_of, judged, still_works
from kit_calls import md5_tag, xml
from kit_files import content
from rawserver import Answer, RawServer, in_turn

from cdn_sigv4 import InvalidResponse, NotFound, ObjectChanged, OutcomeUnknown, Retry, SourceError, TransportError

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=60)
AGAIN = Retry(attempts=4, budget=1000)
TAG = {"ETag": md5_tag(BODY)}
NEW = bytes(reversed(BODY))


def ranged(request, body=BODY, headers=TAG, **options):
    """What a healthy store says to a range."""
    first, last = (int(text) for text in request.header("range")[len("bytes=") :].split("-"))
    value = f"bytes {first}-{last}/{len(body)}"
    return Answer(206, headers={**headers, "Content-Range": value}, body=body[first : last + 1], **options)


def healthy(request):
    """A store with one object."""
    judged(request)
    return ranged(request) if request.header("range") else Answer(headers=TAG, body=BODY)


def cut(at, **options):
    return Answer(headers=TAG, body=BODY, cut_after=at, **options)


def read_all(client, folder):
    with client.get_object("bucket", "key") as reader:
        return reader.read()


def read_blocks(client, folder):
    with client.get_object("bucket", "key") as reader:
        return b"".join(iter(lambda: reader.read(700), b""))


def save(client, folder):
    client.download_file("bucket", "key", folder / "file")
    return (folder / "file").read_bytes()


WAYS = {"read": read_all, "blocks": read_blocks, "file": save}
BREAKS = {
    "cut": cut,
    "reset": lambda at: cut(at, reset=True),
    "stall": lambda at: Answer(headers=TAG, body=BODY, delay=threading.Event(), delay_after=at),
}


@pytest.mark.parametrize("at", [0, 1, 2000, len(BODY) - 1])
@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_broken_body_goes_on(way, how, at, tmp_path):
    """The second request asks for the rest, under the condition that it still is the same object; all is signed."""
    events = []
    options = {"timeout": (5, 0.2), "retry": AGAIN, "on_event": events.append}
    with RawServer(in_turn(BREAKS[how](at), healthy)) as server, client_of(server, **options) as client:
        assert way(client, tmp_path) == BODY
        first, second = server.requests
        assert first.header("range") is None
        begin = int(second.header("range")[len("bytes=") :].split("-")[0])
        assert second.header("range") == f"bytes={begin}-{len(BODY) - 1}"
        # A reset may overtake what was sent before it; a read that stalls gives up what it had so far.
        assert begin == at if how == "cut" else begin <= at
        assert second.header("if-match") == TAG["ETag"]
        assert {"range", "if-match"} <= set(judged(second).signed_headers)
        still_works(client, server)
    assert [event.kind for event in events] == ["resume"]


@same_each_run
@given(cuts=st.lists(st.integers(0, 2000), max_size=12), size=st.integers(1, 4000))
def test_any_number_of_cuts(cuts, size):
    """However often it is cut, and wherever, the object comes out whole if the attempts suffice, or not at all."""
    body = BODY[:size]
    left = list(cuts)

    def answer(request):
        options = {"cut_after": left.pop(0)} if left else {}
        if request.header("range"):
            return ranged(request, body, {"ETag": md5_tag(body)}, **options)
        return Answer(headers={"ETag": md5_tag(body)}, body=body, **options)

    with RawServer(answer) as server, client_of(server, retry=Retry(attempts=13, budget=1e6)) as client:
        assert read_all(client, None) == body
        assert len(server.requests) <= len(cuts) + 1


def test_the_budgets_bound_it(tmp_path):
    """A store that gives nothing more is asked as often as the attempts say; the old file stays, and no part."""
    (tmp_path / "file").write_bytes(b"old")
    answers = in_turn(cut(2000), lambda request: ranged(request, cut_after=0))
    with RawServer(answers) as server, client_of(server, retry=AGAIN) as client:
        for way in WAYS.values():
            server.answer = in_turn(cut(2000), lambda request: ranged(request, cut_after=0))
            before = len(server.requests)
            with pytest.raises(TransportError, match=f"2000 of {len(BODY)} bytes|closed the connection") as caught:
                way(client, tmp_path)
            assert len(server.requests) - before == 4
            assert caught.value.attempts == 4
            assert (caught.value.operation, caught.value.bucket, caught.value.key) == ("GET", "bucket", "key")
    assert content(tmp_path) == {"file": b"old"}


NO_KEY = Answer(404, body=xml("NoSuchKey"), headers={"x-amz-request-id": "1"})


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_a_node_that_does_not_know_the_object_yet(way, tmp_path):
    """A 404 in the middle is what a node of MinIO's says that was just restarted: it is asked again."""
    events = []
    with RawServer(in_turn(cut(2000), NO_KEY, NO_KEY, healthy)) as server:
        with client_of(server, retry=AGAIN, on_event=events.append) as client:
            assert way(client, tmp_path) == BODY
    assert [event.kind for event in events] == ["resume", "retry", "retry"]


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_an_object_deleted_meanwhile(way, tmp_path):
    """Where the object is gone the end is NotFound, when the attempts are used up; one never seen is asked for once."""
    with RawServer(in_turn(cut(2000), NO_KEY)) as server, client_of(server, retry=AGAIN) as client:
        with pytest.raises(NotFound, match=r"NoSuchKey.*after 4 attempts"):
            way(client, tmp_path)
        assert len(server.requests) == 4
        server.answer = in_turn(NO_KEY)
        with pytest.raises(NotFound):
            way(client, tmp_path)
        assert len(server.requests) == 5
    assert content(tmp_path) == {}


def test_ranges_go_on_as_well():
    """A range that breaks goes on within itself."""
    events = []
    answers = in_turn(lambda request: ranged(request, cut_after=100), healthy)
    with RawServer(answers) as server, client_of(server, retry=AGAIN, on_event=events.append) as client:
        with client.get_object("bucket", "key", start=1000, end=3000) as reader:
            assert reader.read() == BODY[1000:3000]
        assert [request.header("range") for request in server.requests] == ["bytes=1000-2999", "bytes=1100-2999"]


def test_the_end_goes_on_as_well():
    """So does the end of an object, whose place is known from the first answer."""

    def first(request):
        size = len(BODY)
        headers = {**TAG, "Content-Range": f"bytes {size - 300}-{size - 1}/{size}"}
        return Answer(206, headers=headers, body=BODY[-300:], cut_after=100)

    with RawServer(in_turn(first, healthy)) as server, client_of(server, retry=AGAIN) as client:
        with client.get_object("bucket", "key", tail=300) as reader:
            assert reader.read() == BODY[-300:]
        assert server.requests[1].header("range") == f"bytes={len(BODY) - 200}-{len(BODY) - 1}"


def test_versions_and_conditions_are_kept():
    """The second request is for the same version; the caller's own conditions were answered by the first."""
    with RawServer(in_turn(cut(10), healthy)) as server, client_of(server, retry=AGAIN) as client:
        with client.get_object("bucket", "key", version_id="v1", if_none_match='"other"') as reader:
            assert reader.read() == BODY
        second = server.requests[1]
        assert second.query == b"versionId=v1"
        assert second.header("if-none-match") is None


def test_a_store_that_ignores_ranges():
    """Who gets the whole object again skips what is there already (RFC 9110, 14.2)."""
    with RawServer(in_turn(cut(4000), Answer(headers=TAG, body=BODY))) as server, client_of(
        server, retry=AGAIN
    ) as client:
        for way in (read_all, read_blocks):
            server.answer = in_turn(cut(4000), Answer(headers=TAG, body=BODY))
            assert way(client, None) == BODY


# -- another version, another answer


def replaced_412(request):
    return Answer(412)


def replaced_416(request):
    return Answer(416)


def replaced_ignoring_if_match(request):
    return ranged(request, NEW, {"ETag": md5_tag(NEW)}) if request.header("range") else newer(request)


def replaced_ignoring_both(request):
    return newer(request)


def newer(request):
    return Answer(headers={"ETag": md5_tag(NEW)}, body=NEW)


CHANGES = [replaced_412, replaced_416, replaced_ignoring_if_match, replaced_ignoring_both]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("way", ["read", "blocks"])
def test_a_reader_never_mixes_two_versions(change, way):
    """When the object is replaced while it is read, the reader fails and says so, in no more than two requests."""
    with RawServer(in_turn(cut(2000), change)) as server, client_of(server, retry=AGAIN) as client:
        with pytest.raises(ObjectChanged, match="replaced while it was read") as caught:
            WAYS[way](client, None)
        assert len(server.requests) == 2
        assert (caught.value.operation, caught.value.key, caught.value.attempts) == ("GET", "key", 2)
        still_works(client, server)


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_starts_over(change, tmp_path):
    """A download to a file fetches the new version from its beginning: nobody has seen the old one's."""
    (tmp_path / "file").write_bytes(b"old")
    events = []
    options = {"retry": AGAIN, "on_event": events.append}
    with RawServer(in_turn(cut(2000), change, newer)) as server, client_of(server, **options) as client:
        assert save(client, tmp_path) == NEW
        assert [request.header("range") is None for request in server.requests] == [True, False, True]
    assert [event.kind for event in events] == ["resume", "restart"]
    assert content(tmp_path) == {"file": NEW}


def test_a_file_that_changes_all_the_time(tmp_path):
    """An object that is replaced during every download is an error in the end, and not a file of two halves."""
    (tmp_path / "file").write_bytes(b"old")
    answers = in_turn(cut(2000), replaced_412, cut(3000), replaced_412)
    with RawServer(answers) as server, client_of(server, retry=Retry(budget=1000)) as client:
        with pytest.raises(ObjectChanged):
            save(client, tmp_path)
        assert len(server.requests) == 4
    assert content(tmp_path) == {"file": b"old"}


WRONG_PARTS = {
    "other bytes": lambda request: Answer(
        206, headers={**TAG, "Content-Range": f"bytes 0-{len(BODY) - 2001}/{len(BODY)}"}, body=BODY[: len(BODY) - 2000]
    ),
    "fewer": lambda request: Answer(206, headers={**TAG, "Content-Range": f"bytes 2000-2000/{len(BODY)}"}, body=b"x"),
    "another size": lambda request: Answer(206, headers={**TAG, "Content-Range": "bytes 2000-2000/2001"}, body=b"x"),
    "no range named": lambda request: Answer(206, headers=TAG, body=BODY[2000:]),
    "another size, whole": lambda request: Answer(headers=TAG, body=BODY[:2500]),
    "no length": lambda request: Answer(206, headers=TAG, body=BODY[2000:], no_length=True),
    "no tag": lambda request: ranged(request, headers={"x-amz-request-id": "1"}),
}


@pytest.mark.parametrize("wrong", WRONG_PARTS)
@pytest.mark.parametrize("way", WAYS)
def test_wrong_parts_are_refused(way, wrong, tmp_path):
    """An answer that does not go on with the very bytes that are missing is an error, whatever its status says."""
    (tmp_path / "file").write_bytes(b"old")
    wrong_part = WRONG_PARTS[wrong]
    answers = in_turn(cut(2000), wrong_part, cut(2000), wrong_part)
    with RawServer(answers) as server, client_of(server, retry=AGAIN) as client:
        with pytest.raises((InvalidResponse, ObjectChanged)):
            WAYS[way](client, tmp_path)
    assert content(tmp_path) == {"file": b"old"}


@pytest.mark.parametrize(
    "headers",
    [{"ETag": 'W/"x"'}, {"Last-Modified": "Tue, 03 Feb 2026 04:05:06 GMT", "x-amz-request-id": "1"}, {"ETag": "x"}],
    ids=["weak", "none", "no quotes"],
)
def test_without_a_strong_tag_nothing_goes_on(headers, tmp_path):
    """Where two versions could not be told apart a reader fails; a file begins again from its beginning."""
    broken = Answer(headers=headers, body=BODY, cut_after=2000)
    with RawServer(in_turn(broken, Answer(headers=headers, body=BODY))) as server:
        with client_of(server, retry=AGAIN) as client:
            with pytest.raises(TransportError):
                read_all(client, tmp_path)
            assert len(server.requests) == 1
            server.answer = in_turn(broken, Answer(headers=headers, body=BODY))
            assert save(client, tmp_path) == BODY
        assert all(request.header("range") is None for request in server.requests)


def test_who_tries_once_does_not_go_on():
    """`retry=None` means one request for a body as well."""
    with RawServer(in_turn(cut(10), healthy)) as server, client_of(server, retry=None) as client:
        with pytest.raises(TransportError):
            read_all(client, None)
        assert len(server.requests) == 1


# -- requests that are made again


@pytest.mark.parametrize("answer", [Answer(503), Answer(reset=True), Answer(500), Answer(429)], ids=repr)
def test_a_body_is_sent_again_from_its_beginning(answer, tmp_path):
    """Each attempt sends the whole body, whatever it came from, and signs anew."""
    (tmp_path / "file").write_bytes(BODY)
    clock = iter(range(0, 100_000, 10))
    with RawServer() as server, client_of(server, retry=AGAIN) as client:
        client._exchange.clock = lambda: 1_770_000_000 + next(clock)
        with (tmp_path / "file").open("rb") as file:
            for source in (BODY, file, iter([BODY[:10], BODY[10:]])):
                server.answer = in_turn(answer, Answer(headers=ETAG))
                before = len(server.requests)
                client.put_object("bucket", "key", source)
                first, second = server.requests[before:]
                assert first.body == second.body == BODY
                assert first.header("x-amz-date") != second.header("x-amz-date")
                assert first.header("authorization") != second.header("authorization")
                judged(second)


def test_waits_are_told(tmp_path):
    """`on_event` hears of each repetition, with the error and the wait, before it is waited for."""
    heard = []
    with RawServer(
        in_turn(Answer(503, headers={"Retry-After": "2"}), Answer(reset=True), Answer(headers=ETAG))
    ) as server:
        with client_of(server, retry=AGAIN, on_event=lambda event: heard.append((str(event), event.wait))) as client:
            client.put_object("bucket", "key", b"data")
    assert [wait for _, wait in heard] == [2.0, 0.375]
    assert heard[0][0].startswith("retry: attempt 2 in 2.0 s, because PUT bucket/key: 503")
    assert "attempt 3" in heard[1][0]


def test_an_error_says_how_often_it_was_tried():
    """The text of the last error names the number of attempts, and so what was not the reason."""
    with RawServer(lambda request: Answer(503)) as server, client_of(server, retry=AGAIN) as client:
        with pytest.raises(Exception, match=r"503.*\(after 4 attempts in \d+ s\)"):
            client.head_object("bucket", "key")


# -- writes whose answer was lost


@pytest.mark.parametrize(
    "later", [Answer(503), Answer(429), Answer(reset=True), Answer(409)], ids=["503", "429", "reset", "409"]
)
def test_a_lost_answer_is_not_forgotten(later):
    """When the first answer was lost and the others fail, it is not known whether the store has acted: it says so."""
    with RawServer(in_turn(Answer(reset=True), later)) as server, client_of(server, retry=AGAIN) as client:
        for write in (
            lambda: client.put_object("bucket", "key", b"data"),
            lambda: client.delete_object("bucket", "key"),
            lambda: client.copy_object("bucket", "a", "bucket", "key"),
        ):
            server.answer = in_turn(Answer(reset=True), later)
            with pytest.raises(OutcomeUnknown):
                write()


def test_nothing_that_comes_later_hides_a_lost_answer():
    """Whatever the repetition says, a portal's page or that the token has expired: what the first did is unknown."""
    portal = Answer(body=b"<html>sign in</html>")
    laters = [
        Answer(403),
        Answer(404),
        Answer(400, body=xml("BadDigest")),
        Answer(302, headers={"Location": "/"}),
        portal,
    ]
    with RawServer() as server, client_of(server, retry=AGAIN) as client:
        for later in laters:
            server.answer = in_turn(Answer(reset=True), later)
            with pytest.raises(OutcomeUnknown, match="an earlier answer was lost, and then") as caught:
                client.put_object("bucket", "key", b"data")
            assert caught.value.status == (None if later is portal else later.status)


@pytest.mark.parametrize("trouble", ["closed", "no seek", "shorter"])
def test_a_body_that_cannot_be_read_again_is_a_clear_error(trouble, tmp_path):
    """What cannot be sent from its beginning once more is not sent from its middle: SourceError, and nothing stored."""
    (tmp_path / "file").write_bytes(BODY)
    with (tmp_path / "file").open("rb") as file, RawServer() as server, client_of(server, retry=AGAIN) as client:

        def busy(request):
            assert request.body == BODY
            if trouble == "closed":
                file.close()
            elif trouble == "shorter":
                (tmp_path / "file").write_bytes(BODY[:100])
            else:
                monkey.seekable = False
            return Answer(503)

        class Monkey:
            """A file that can be rewound for its hash, and not for a second attempt."""

            seekable = True

            def __getattr__(self, name):
                return getattr(file, name)

            def seek(self, *args):
                if not self.seekable:
                    raise OSError("illegal seek")
                return file.seek(*args)

        monkey = Monkey()
        server.answer = busy
        with pytest.raises(SourceError, match=r"could not be read|ended \d+ bytes before"):
            client.put_object("bucket", "key", monkey)
        assert [len(request.body) for request in server.requests if request.complete] == [len(BODY)]
