"""Uploads in parts that fail on the store's side: what is tried again, and what is raised, with nothing left behind.

The store in memory holds the open uploads; after each failure there must be none, and no object.
"""

import pytest
from kit import BUCKET
from kit_uploads import (
    ALL,
    DATA,
    FORBIDDEN,
    NO_SUCH_UPLOAD,
    PART,
    SIZE,
    Link,
    blocks,
    client_for,
    name_of,
    names,
    nothing_left,
    put,
)
from rawserver import Answer

from cdn_sigv4 import (
    AccessDenied,
    CDNError,
    IntegrityError,
    InvalidResponse,
    OutcomeUnknown,
    PreconditionFailed,
    ResponseError,
    TransportError,
)

RESET = Answer(reset=True)
BUSY = Answer(503, body=b"<Error><Code>SlowDown</Code></Error>")


pytestmark = pytest.mark.usefixtures("small_parts")


# -- the store


@pytest.mark.parametrize(
    "trouble", [RESET, BUSY, Answer(500), Answer(400, body=b"<Error><Code>RequestTimeout</Code></Error>")]
)
@pytest.mark.parametrize("at", ["part 1", "part 6", "complete"])
@pytest.mark.parametrize("how", ["file", "generator"])
def test_trouble_that_passes(client, store, loopback, tmp_path, how, at, trouble):
    """A part whose sending fails twice is sent again, alone, and counted as often as it was sent."""
    path = tmp_path / "file"
    path.write_bytes(DATA)
    loopback.answer = link = Link(store, at, trouble, times=2)
    if how == "file":
        result = client.upload_file(BUCKET, "key", path, part_size=PART)
        again = {"part 1": PART, "part 6": 123}.get(at, 0)
        assert result.bytes_moved == SIZE + 2 * again
    else:
        put(client, blocks())
    assert store.objects[BUCKET, b"key"].body == DATA
    assert store.uploads == {}
    assert sorted(link.seen) == sorted([*ALL, at, at])


def test_the_abort_comes_last(client, store, loopback):
    """A part that is refused ends the upload: the refusal is raised, the others stop, the abort is the last word."""
    loopback.answer = link = Link(store, "part 3", FORBIDDEN)
    data = bytearray(DATA)
    with pytest.raises(AccessDenied) as caught:
        put(client, data, max_workers=2)
    assert caught.value.operation == "PUT"
    assert names([each for each in loopback.requests if each.complete])[-1] == "abort"
    assert "part 6" not in link.seen
    data.append(1)
    nothing_left(store)


def test_an_abort_that_fails(client, store, loopback):
    """Where even the abort is refused, the error names the upload that is left."""
    through = Link(store, "part 3", FORBIDDEN)
    loopback.answer = Link(through, "abort", FORBIDDEN)
    with pytest.raises(AccessDenied) as caught:
        put(client)
    (upload_id,) = store.uploads
    assert f"may be left in the store, as upload {upload_id}" in caught.value.hint


@pytest.mark.parametrize("answer", [Answer(), Answer(headers={"ETag": ""})], ids=["none", "empty"])
def test_a_part_without_a_tag(client, store, loopback, answer):
    """A part that is answered without an entity tag cannot be named in the completion: no success."""
    loopback.answer = Link(store, "part 2", answer)
    with pytest.raises(InvalidResponse, match="no entity tag"):
        put(client)
    nothing_left(store)


WRONG = {
    "crc32": {"ETag": '"x"', "x-amz-checksum-crc32": "AAAAAA=="},
    "md5": {"ETag": '"00000000000000000000000000000000"'},
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("times", [1, 9])
def test_a_part_that_is_damaged_in_the_store(client, store, loopback, headers, times):
    """The answer to each part is compared: damage is sent again once, and then an error."""
    loopback.answer = link = Link(store, "part 2", Answer(headers=headers), times=times)
    if times == 1:
        put(client)
        assert store.objects[BUCKET, b"key"].body == DATA
    else:
        with pytest.raises(IntegrityError):
            put(client)
        nothing_left(store)
    assert link.seen.count("part 2") == 2


COMPLETED = b"<CompleteMultipartUploadResult>%s</CompleteMultipartUploadResult>"
ODD = {
    "an error in a 200": (b"<Error><Code>EntityTooSmall</Code></Error>", ResponseError),
    "no entity tag": (COMPLETED % b"", InvalidResponse),
    "a portal's page": (b"<html></html>", InvalidResponse),
    "nothing": (b"", InvalidResponse),
    "another CRC32": (COMPLETED % b"<ETag>x</ETag><ChecksumCRC32>AAAAAA==</ChecksumCRC32>", IntegrityError),
}


@pytest.mark.parametrize(("body", "kind"), ODD.values(), ids=ODD)
def test_completions_that_are_none(client, store, loopback, body, kind):
    """S3 sends the status of a completion before it knows the outcome: only the right document is a success."""
    loopback.answer = Link(store, "complete", Answer(body=body))
    with pytest.raises(CDNError) as caught:
        put(client)
    assert isinstance(caught.value, kind)
    nothing_left(store)


def test_an_internal_error_in_a_200(client, store, loopback):
    """One that S3 advises to repeat is repeated, and the object is there."""
    loopback.answer = Link(store, "complete", Answer(body=b"\n<Error><Code>InternalError</Code></Error>"), times=1)
    put(client)
    assert store.objects[BUCKET, b"key"].body == DATA


# -- lost answers and conditions


@pytest.mark.parametrize("how", ["memory", "generator"])
def test_a_completion_whose_answer_is_lost(client, store, loopback, how):
    """The repetition finds no upload any more; a look at the object tells that it is this one."""
    loopback.answer = link = Link(store, "complete", RESET, times=1, behind=True)
    info = put(client, DATA if how == "memory" else blocks())
    assert info.etag == store.objects[BUCKET, b"key"].etag
    assert link.seen[-3:] == ["complete", "complete", "HEAD"]


class Blind(Link):
    """The same where this key may not look at objects."""

    def __call__(self, request):
        if request.method == "HEAD":
            self.seen.append("HEAD")
            return Answer(403)
        return super().__call__(request)


def test_a_lost_answer_that_nobody_may_look_into(client, store, loopback):
    """Where this key may not look, all is sent once more: to an unconditional write that adds nothing."""
    loopback.answer = link = Blind(store, "complete", RESET, times=1, behind=True)
    put(client)
    assert store.objects[BUCKET, b"key"].body == DATA
    assert store.uploads == {}
    assert link.seen.count("create") == 2
    assert link.seen.count("part 4") == 2


@pytest.mark.parametrize("how", ["generator", "condition", "each time"])
def test_a_lost_answer_that_stays_unknown(client, store, loopback, how):
    """What comes only once, or is conditional, is not done again: the outcome is unknown, and is called so."""
    lost = set()

    def losing(request, through):
        answer, before = through(request), len(lost)
        lost.add(request.query if how == "each time" else b"once")
        return RESET if len(lost) > before else answer

    loopback.answer = link = Blind(store, "complete", losing)
    body = blocks() if how == "generator" else DATA
    with pytest.raises(OutcomeUnknown):
        put(client, body, if_none_match="*" if how == "condition" else None)
    assert link.seen.count("create") == (2 if how == "each time" else 1)
    assert store.uploads == {}


def test_conditions_are_asked_at_the_end(client, store, loopback):
    """`if_none_match` and `if_match` go with the completion alone; what they forbid is aborted."""
    first = put(client, if_none_match="*")
    sent = {name_of(each): each for each in loopback.requests}
    assert [name for name, each in sent.items() if each.header("if-none-match")] == ["complete"]
    with pytest.raises(PreconditionFailed):
        put(client, DATA[::-1], if_none_match="*")
    with pytest.raises(PreconditionFailed):
        put(client, DATA[::-1], if_match='"0"')
    assert store.objects[BUCKET, b"key"].etag == first.etag
    assert store.uploads == {}
    put(client, DATA[::-1], if_match=first.etag)
    assert store.objects[BUCKET, b"key"].body == DATA[::-1]


def test_a_condition_whose_answer_is_lost(client, store, loopback):
    """Its own success stands in the way of the repetition: a look tells that the object is this one."""
    loopback.answer = Link(store, "complete", RESET, times=1, behind=True)
    info = put(client, if_none_match="*", metadata={"writer": "7"})
    assert info.etag == store.objects[BUCKET, b"key"].etag
    assert info.metadata == {"writer": "7"}


def test_somebody_elses_object_came_first(client, store, loopback):
    """Where the look shows another's object, the condition did not hold."""

    def overtaken(request, through):
        store.put(BUCKET, "key", b"theirs")
        return RESET

    loopback.answer = Link(store, "complete", overtaken, times=1)
    with pytest.raises(PreconditionFailed):
        put(client, if_none_match="*")
    assert store.objects[BUCKET, b"key"].body == b"theirs"
    assert store.uploads == {}


@pytest.mark.parametrize("at", ["part 2", "complete"])
def test_an_upload_that_the_store_has_dropped(client, store, loopback, at):
    """An upload of this run that is not there any more is an error: nothing says that a second one would last."""
    loopback.answer = link = Link(store, at, NO_SUCH_UPLOAD)
    with pytest.raises(CDNError) as caught:
        put(client)
    assert caught.value.code == "NoSuchUpload"
    assert link.seen.count("create") == 1
    nothing_left(store)


def test_a_link_that_stays_broken(store, loopback):
    """Each part is tried as often as allowed; the error says how often, and the upload is aborted where that works."""
    loopback.answer = link = Link(store, "part 2", RESET)
    with client_for(loopback) as client, pytest.raises(TransportError) as caught:
        put(client, max_workers=1)
    assert caught.value.attempts == link.seen.count("part 2") == 4
    assert names([each for each in loopback.requests if each.complete])[-1] == "abort"
    assert "part 3" not in link.seen
    nothing_left(store)
