"""A conditional write whose answer was lost, and whose repetition is refused: what became of it is found out.

The store has acted on the first attempt, or another writer came first, or both; HEAD tells, where it is allowed. What
it cannot tell is OutcomeUnknown. The requests are counted at the store.
"""

import io

import pytest
from kit import BUCKET, KEY, SECRET, client_of
from kit_calls import md5_tag, xml
from rawserver import Answer, MemoryStore, RawServer, in_turn

from cdn_sigv4 import (
    Credentials,
    IntegrityError,
    OutcomeUnknown,
    PreconditionFailed,
    ResponseError,
    Retry,
    S3Client,
)

AGAIN = Retry(attempts=4, budget=1000)
DATA = b"the new bytes"
CREATE = {"if_none_match": "*"}


def replace():
    return {"if_match": md5_tag(b"old")}


@pytest.fixture
def store():
    """Return a store that knows the key of the clients here."""
    return MemoryStore({KEY: SECRET}, buckets=(BUCKET,), tokens=None)


class Lossy:
    """A store behind a link that loses the answers to the first `lost` PUTs; `acts` tells whether it has acted.

    `between` is done after the first of them, as another client might; `head` is the answer to a HEAD instead.
    """

    def __init__(self, store, *, lost=1, acts=True, between=None, head=None):
        self.store, self.lost, self.acts, self.between, self.head = store, lost, acts, between, head
        self.methods = []

    def __call__(self, request):
        self.methods.append(request.method)
        if request.method == "HEAD" and self.head is not None:
            return self.head
        if request.method != "PUT" or not self.lost:
            return self.store(request)
        self.lost -= 1
        if self.acts:
            assert self.store(request).status == 200
        if self.between is not None:
            self.between()
        assert request.body == DATA
        return Answer(reset=True)


def outcome(link, **options):
    """What a client makes of one conditional PUT over the link."""
    with RawServer(link) as server:
        with S3Client(server.endpoint, Credentials(KEY, SECRET), retry=AGAIN) as client:
            try:
                return client.put_object(BUCKET, "key", DATA, **options)
            except Exception as error:  # noqa: BLE001 - it is what is asked
                return error


CASES = [pytest.param(CREATE, None, id="create"), pytest.param(replace(), b"old", id="replace")]


@pytest.mark.parametrize(("condition", "old"), CASES)
def test_the_first_attempt_was_stored(store, condition, old):
    """Its own success made the repetition fail: the object is there with these bytes, and the call succeeds."""
    if old is not None:
        store.put(BUCKET, "key", old)
    link = Lossy(store)
    info = outcome(link, metadata={"writer": "7"}, content_type="a/b", **condition)
    assert (info.etag, info.size, info.metadata) == (md5_tag(DATA), len(DATA), {"writer": "7"})
    assert link.methods == ["PUT", "PUT", "HEAD"]
    assert store.objects[BUCKET, b"key"].body == DATA


@pytest.mark.parametrize(("condition", "old"), CASES)
def test_the_first_attempt_never_arrived(store, condition, old):
    """Nothing stands in the way of the repetition: it is the one that succeeds."""
    if old is not None:
        store.put(BUCKET, "key", old)
    link = Lossy(store, acts=False)
    assert outcome(link, **condition).etag == md5_tag(DATA)
    assert link.methods == ["PUT", "PUT"]


def test_somebody_elses_object_was_created(store):
    """Where only creating is allowed and another's object is there, that one was first: the condition did not hold."""
    link = Lossy(store, acts=False, between=lambda: store.put(BUCKET, "key", b"theirs"))
    assert type(outcome(link, **CREATE)) is PreconditionFailed
    assert link.methods == ["PUT", "PUT", "HEAD"]
    assert store.objects[BUCKET, b"key"].body == b"theirs"


@pytest.mark.parametrize("acts", [True, False])
def test_somebody_else_has_replaced_it(store, acts):
    """Another object in the place of the old one may have replaced that, or this one: nobody can tell."""
    store.put(BUCKET, "key", b"old")
    link = Lossy(store, acts=acts, between=lambda: store.put(BUCKET, "key", b"theirs"))
    error = outcome(link, **replace())
    assert type(error) is OutcomeUnknown
    assert "another object is there now" in error.message
    assert error.status == 412
    assert "Look whether the object is the one that was sent" in error.hint


def test_the_same_bytes_with_other_metadata_are_not_taken_for_ones_own(store):
    """Who puts an id into the metadata is never told that another writer's equal object is its own."""
    link = Lossy(store, acts=False, between=lambda: store.put(BUCKET, "key", DATA, {"x-amz-meta-writer": "8"}))
    assert type(outcome(link, metadata={"writer": "7"}, **CREATE)) is OutcomeUnknown


@pytest.mark.parametrize(("condition", "old"), CASES)
@pytest.mark.parametrize(
    "head",
    [
        Answer(403),
        Answer(404),
        Answer(503),
        Answer(reset=True),
        Answer(headers={"ETag": '"opaque"'}, length=len(DATA)),
        Answer(headers={"ETag": '"opaque"'}, length=5),
    ],
    ids=["not allowed", "gone", "busy", "no answer", "cannot be proved", "another length"],
)
def test_what_cannot_be_found_out(store, condition, old, head):
    """Without a HEAD that proves it, the outcome is unknown, or, where creating, another's object is in the way."""
    if old is not None:
        store.put(BUCKET, "key", old)
    error = outcome(Lossy(store, head=head), **condition)
    proves_another = condition is CREATE and head.length == 5
    assert type(error) is (PreconditionFailed if proves_another else OutcomeUnknown)
    assert (error.operation, error.bucket, error.key) == ("PUT", BUCKET, "key")


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_proxys_answer_hides_a_success_as_well(store, status):
    """A proxy's 504 tells no more of what the store did than silence: the 412 behind it is looked into too."""
    link = Lossy(store)

    def behind_a_proxy(request):
        answer = link(request)
        return Answer(status) if answer.reset else answer

    assert outcome(behind_a_proxy, **CREATE).etag == md5_tag(DATA)
    assert link.methods == ["PUT", "PUT", "HEAD"]


@pytest.mark.parametrize(
    "head",
    [
        Answer(headers={"ETag": md5_tag(DATA), "Content-Type": "text/plain; charset=utf-8"}, length=len(DATA)),
        Answer(headers={"ETag": md5_tag(DATA)}, no_length=True),
    ],
    ids=["another form of the content type", "no length"],
)
def test_what_a_store_says_in_other_words_is_not_anothers(store, head):
    """A HEAD whose content type is in another form, or without a length, is never taken for somebody else's object."""
    found = outcome(Lossy(store, head=head), content_type="text/plain", **CREATE)
    assert not isinstance(found, PreconditionFailed)


def test_a_precondition_that_failed_at_once_is_that(store):
    """Without a lost answer before it a 412 is a 412, and nothing is looked up."""
    store.put(BUCKET, "key", b"theirs")
    link = Lossy(store, lost=0)
    assert type(outcome(link, **CREATE)) is PreconditionFailed
    assert link.methods == ["PUT"]


def test_damage_that_stands_in_the_way():
    """A store that kept damaged bytes of the first attempt refuses the second: the error is the damage."""
    damaged = Answer(headers={"ETag": md5_tag(b"damaged")})
    with RawServer(in_turn(damaged, Answer(412))) as server, client_of(server, retry=AGAIN) as client:
        with pytest.raises(IntegrityError):
            client.put_object(BUCKET, "key", DATA, **CREATE)


LATERS = {
    "reset": Answer(reset=True),
    "503": Answer(503),
    "403": Answer(403),
    "400": Answer(400, body=xml("BadDigest")),
}


@pytest.mark.parametrize("later", LATERS.values(), ids=LATERS)
def test_damage_that_could_not_be_mended(later):
    """When a store has kept damaged bytes and every further attempt fails, the error is the damage, not the rest."""
    damaged = Answer(headers={"ETag": md5_tag(b"damaged")})
    with RawServer(in_turn(damaged, later)) as server, client_of(server, retry=AGAIN) as client:
        with pytest.raises(IntegrityError, match="entity tag is"):
            client.put_object(BUCKET, "key", DATA)


def test_damage_between_a_lost_answer_and_a_refusal():
    """Nor does a condition that failed hide it: what is in the way is what the store has kept."""
    damaged = Answer(headers={"ETag": md5_tag(b"damaged")})
    with RawServer(in_turn(Answer(reset=True), damaged, Answer(412))) as server:
        with client_of(server, retry=AGAIN) as client, pytest.raises(IntegrityError, match="the store has kept"):
            client.put_object(BUCKET, "key", DATA, **CREATE)


def test_a_source_that_is_gone_when_it_is_to_be_compared(store):
    """Where the body cannot be read again to be compared with what is there, it is unknown, no error of the source."""
    source = io.BytesIO(DATA)
    head = Answer(headers={"ETag": md5_tag(DATA)}, length=len(DATA))

    def answer(request):
        if request.method == "HEAD":
            source.close()
        return link(request)

    link = Lossy(store, head=head)
    with RawServer(answer) as server, S3Client(server.endpoint, Credentials(KEY, SECRET), retry=AGAIN) as client:
        with pytest.raises(OutcomeUnknown):
            client.put_object(BUCKET, "key", source, **CREATE)


@pytest.mark.parametrize("later", [409, 412])
def test_a_busy_store_has_done_nothing(later):
    """A 503 is said before anything is done: a refusal behind it is that refusal."""
    with RawServer(in_turn(Answer(503, body=xml("SlowDown")), Answer(later))) as server:
        with client_of(server, retry=AGAIN) as client, pytest.raises(ResponseError) as caught:
            client.put_object(BUCKET, "key", DATA, **CREATE)
    assert caught.value.status == later
    assert not isinstance(caught.value, OutcomeUnknown)


def test_the_bucket_that_is_there_now():
    """A bucket's creation whose answer was lost and whose repetition finds it there: by whom it was made is unknown."""
    there = Answer(409, body=xml("BucketAlreadyOwnedByYou"))
    with RawServer(in_turn(Answer(reset=True), there)) as server, client_of(server, retry=AGAIN) as client:
        with pytest.raises(OutcomeUnknown, match="an earlier answer was lost, and then"):
            client.create_bucket(BUCKET)
        server.answer = lambda request: there
        with pytest.raises(ResponseError, match="409 BucketAlreadyOwnedByYou"):
            client.create_bucket(BUCKET)
