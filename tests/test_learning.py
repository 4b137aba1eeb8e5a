"""A wrong clock and a wrong region are learnt from the first answer that complains, by the whole client (trap 33).

The store checks every signature, its time and its region included. What MinIO itself says is in test_minio.py.
"""

import datetime as dt
import threading

import pytest
import requests
from kit import BUCKET, KEY, SECRET, still_time
from kit_calls import xml
from rawserver import Answer, MemoryStore, RawServer, in_turn

from cdn_sigv4 import AccessDenied, Credentials, RedirectRefused, ResponseError, Retry, S3Client

NOW = dt.datetime(2026, 2, 3, 4, 5, 6, tzinfo=dt.timezone.utc)
DAY = 24 * 3600
OFFSETS = {
    "16 minutes fast": 960,
    "16 minutes slow": -960,
    "a day": -DAY,
    "a year": 365 * DAY,
    "1970": -NOW.timestamp(),
}
CALLS = {
    "put": lambda client: client.put_object(BUCKET, "key", b"data"),
    "get": lambda client: client.get_object(BUCKET, "old").read(),
    "head": lambda client: client.head_object(BUCKET, "old"),
    "list": lambda client: list(client.list_objects(BUCKET)),
    "delete": lambda client: client.delete_object(BUCKET, "old"),
}


@pytest.fixture
def punctual():
    """Return the server of a store whose clock stands at NOW."""
    store = MemoryStore({KEY: SECRET}, buckets=(BUCKET,), clock=lambda: NOW)
    store.put(BUCKET, "old", b"data")
    with RawServer(store) as server:
        yield server


def off_by(server, seconds, events=None, **options):
    """A client whose clock shows another time than the store's."""
    heard = [] if events is None else events
    made = S3Client(server.endpoint, Credentials(KEY, SECRET), on_event=heard.append, **options)
    made._exchange.clock = lambda: NOW.timestamp() + seconds
    return made


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("seconds", OFFSETS.values(), ids=OFFSETS)
def test_a_wrong_clock_works_at_the_second_attempt(punctual, call, seconds):
    """Whatever the operation and however wrong the clock: two requests the first time, one from then on."""
    events = []
    with off_by(punctual, seconds, events) as client:
        time = still_time(client)
        call(client)
        assert len(punctual.requests) == 2
        call(client)
        assert len(punctual.requests) == 3
        assert time.slept == [], "there is nothing to wait for"
    assert [(event.kind, event.attempt) for event in events] == [("clock", 2)]


def test_a_clock_that_is_right_enough_is_left_alone(punctual):
    """Within what is tolerated nothing is learnt, whatever else is refused."""
    with off_by(punctual, 890) as client:
        client.head_object(BUCKET, "old")
        assert client._exchange.offset == 0
    with S3Client(punctual.endpoint, Credentials(KEY, "wrong")) as stranger:
        stranger._exchange.clock = lambda: NOW.timestamp() + 890
        with pytest.raises(AccessDenied):
            stranger.get_object(BUCKET, "old")
        assert stranger._exchange.offset == 0
    assert len(punctual.requests) == 2


def test_a_clock_that_is_set_meanwhile(punctual):
    """When the machine's clock is set right after an offset was learnt, the next answer teaches that."""
    with off_by(punctual, DAY) as client:
        client.head_object(BUCKET, "old")
        client._exchange.clock = NOW.timestamp
        client.head_object(BUCKET, "old")
        assert len(punctual.requests) == 4
        client.head_object(BUCKET, "old")
        assert len(punctual.requests) == 5


def test_a_server_that_is_never_content_is_asked_twice():
    """A server that goes on complaining, each time with another date, ends it with its own words after two requests."""
    dates = iter(range(1, 10))

    def never(request):
        date = f"Tue, {next(dates):02d} Feb 2011 04:05:06 GMT"
        return Answer(403, headers={"Date": date}, body=xml("RequestTimeTooSkewed"))

    with RawServer(never) as server, off_by(server, 0) as client:
        with pytest.raises(AccessDenied, match="RequestTimeTooSkewed"):
            client.get_object(BUCKET, "old")
        assert len(server.requests) == 2


@pytest.mark.parametrize("date", ["Mon, 01 Jan 1900 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "soon"])
def test_a_time_that_cannot_be_is_not_learnt(date):
    """A date that no store of today shows is somebody else's: nothing is signed for it."""
    with RawServer(lambda request: Answer(403, headers={"Date": date})) as server, off_by(server, 0) as client:
        with pytest.raises(AccessDenied):
            client.get_object(BUCKET, "old")
        assert (len(server.requests), client._exchange.offset) == (1, 0)


def test_who_tries_once_learns_for_the_next_time(punctual):
    """`retry=None` makes one request, whose error says what is wrong; the next operation profits from it."""
    with off_by(punctual, DAY, retry=None) as client:
        with pytest.raises(AccessDenied, match="1440 minutes ahead"):
            client.get_object(BUCKET, "old")
        assert client.get_object(BUCKET, "old").read() == b"data"
    assert len(punctual.requests) == 2


def test_threads_learn_together(punctual):
    """Eight threads that start with a wrong clock all succeed; later requests of any of them need one attempt."""
    barrier = threading.Barrier(8)
    results = []
    with off_by(punctual, -DAY) as client:

        def work():
            barrier.wait(30)
            results.append(client.get_object(BUCKET, "old").read())

        def run():
            threads = [threading.Thread(target=work) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)

        run()
        first = len(punctual.requests)
        assert 9 <= first <= 16
        run()
    assert len(punctual.requests) == first + 8
    assert results == [b"data"] * 16


def test_presigned_urls_bear_the_servers_time():
    """A URL signed after the offset was learnt is valid by the server's clock."""
    store = MemoryStore({KEY: SECRET}, buckets=(BUCKET,), clock=lambda: NOW)
    store.put(BUCKET, "old", b"data")
    with RawServer(store) as server, off_by(server, 365 * DAY) as client:
        early = client.presigned_url("GET", BUCKET, "old", expires_in=60)
        assert requests.get(early, timeout=10).status_code == 403
        client.head_object(BUCKET, "old")
        late = client.presigned_url("GET", BUCKET, "old", expires_in=60)
        assert "X-Amz-Date=20260203T040506Z" in late
        assert requests.get(late, timeout=10).content == b"data"


def test_anonymous_requests_have_no_time():
    """A 403 to a request that bears no date is not the clock's fault, whatever the server's date is."""
    with RawServer(lambda request: Answer(403, headers={"Date": "Tue, 03 Feb 2015 04:05:06 GMT"})) as server:
        with S3Client(server.endpoint, None) as client, pytest.raises(AccessDenied):
            client.get_object(BUCKET, "old")
        assert len(server.requests) == 1


# -- the region


def elsewhere(request):
    """A store in eu-west-7 that says so to whoever signs for another region, as MinIO and AWS do."""
    if b"/eu-west-7/s3/aws4_request" in request.head:
        return Answer(headers={"ETag": '"x"'}, body=b"data" if request.method == "GET" else b"")
    headers = {"x-amz-bucket-region": "eu-west-7"}
    return Answer(400, headers=headers, body=xml("AuthorizationHeaderMalformed", Region="eu-west-7"))


@pytest.mark.parametrize("call", [CALLS["put"], CALLS["get"], CALLS["head"]], ids=["put", "get", "head"])
def test_a_wrong_region_works_at_the_second_attempt(call):
    """The region is learnt from the first answer: two requests the first time, one from then on, to the same host."""
    events = []
    with RawServer(elsewhere) as server:
        with S3Client(server.endpoint, Credentials(KEY, SECRET), on_event=events.append) as client:
            call(client)
            call(client)
            assert "eu-west-7" in client.presigned_url("GET", BUCKET, "key", expires_in=60)
            assert "region='eu-west-7'" in repr(client)
        assert len(server.requests) == 3
        assert {request.header("host") for request in server.requests} == {server.authority}
    assert [event.kind for event in events] == ["region"]


def test_a_redirect_is_no_way_to_another_host():
    """A 301 that names region and host is tried once more for the region, at the same host, and then refused."""
    answer = Answer(
        301, headers={"x-amz-bucket-region": "eu-west-7", "Location": "https://elsewhere.example/bucket/old"}
    )
    with RawServer(lambda request: answer) as server:
        with S3Client(server.endpoint, Credentials(KEY, SECRET)) as client:
            with pytest.raises(RedirectRefused, match=r"elsewhere\.example is the store, give it as the endpoint"):
                client.get_object(BUCKET, "old")
        assert len(server.requests) == 2


@pytest.mark.parametrize("status", [304, 404, 412])
def test_other_refusals_are_not_about_the_region(status):
    """What names its bucket's region in passing is not signed for it again."""
    answer = Answer(status, headers={"x-amz-bucket-region": "eu-west-7"})
    with RawServer(lambda request: answer) as server:
        with S3Client(server.endpoint, Credentials(KEY, SECRET)) as client, pytest.raises(ResponseError):
            client.get_object(BUCKET, "old")
        assert len(server.requests) == 1


def test_regions_that_go_round():
    """A server that names another region each time is asked twice, and its last word is the error."""
    answers = [Answer(400, body=xml("AuthorizationHeaderMalformed", Region=f"eu-{number}")) for number in range(5)]
    with RawServer(in_turn(*answers)) as server:
        with S3Client(server.endpoint, Credentials(KEY, SECRET), retry=Retry()) as client:
            with pytest.raises(ResponseError, match="the bucket is in 'eu-1'"):
                client.get_object(BUCKET, "old")
        assert len(server.requests) == 2
