"""Uploads of files that go on where an earlier run has stopped: what is sent again, what is begun anew, what is kept.

What the store says of its parts is in test_unfinished_lists.py, what is kept on this machine in
test_unfinished_records.py, what others do to that in test_unfinished_strangers.py.
"""

import os
import signal

import pytest
from kit import BUCKET
from kit_kills import count_calls, die
from kit_parts import ended, forking, in_child, start_child
from kit_uploads import (
    ALL,
    DATA,
    FORBIDDEN,
    NO_SUCH_UPLOAD,
    NUMBERS,
    PART,
    SIZE,
    Link,
    went_on,
)
from rawserver import Answer

from cdn_sigv4 import AccessDenied, CDNError, PreconditionFailed, SourceError, body, parts
from cdn_sigv4.unfinished import UploadRecord

pytestmark = [
    pytest.mark.skipif(parts.fcntl is None, reason="uploads that are gone on with need flock"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


# -- going on


@pytest.mark.parametrize("checksum", ["crc32", "sha256", None])
@pytest.mark.parametrize("at", [1, 4, 6, 7])
def test_only_what_is_missing_is_sent(site, at, checksum):
    """After a link that broke at a part, or at the completion, the next run sends the rest, and nothing is left."""
    site.break_at(f"part {at}" if at < 7 else "complete", checksum=checksum)
    assert len(site.left()) == 2
    assert site.again(checksum=checksum) == went_on(*NUMBERS[at - 1 :])


def test_it_breaks_again_and_again(site):
    """Each run goes on from the one before, whichever parts these were."""
    upload_id = site.break_at("part 2")
    for at in (3, 4, 6):
        site.server.answer = Link(site.store, f"part {at}", Answer(reset=True))
        with pytest.raises(CDNError):
            site.upload()
        assert list(site.store.uploads) == [upload_id]
        assert sorted(site.store.uploads[upload_id].parts) == NUMBERS[: at - 1]
    assert site.again() == went_on(6)


def test_parts_that_are_missing_in_the_middle(site):
    """Several threads leave gaps: these, and these alone, are sent."""
    upload_id = site.break_at("complete", max_workers=4)
    for number in (2, 5):
        del site.store.uploads[upload_id].parts[number]
    assert site.again(max_workers=4) == went_on(2, 5)


def test_the_error_says_what_is_kept(site):
    """The hint of the error tells that parts are in the store, and how to go on with them."""
    site.server.answer = Link(site.store, "part 4", FORBIDDEN)
    with pytest.raises(AccessDenied) as caught:
        site.upload()
    assert "parts that were sent are kept in the store: the same call with resume=True" in caught.value.hint


def test_progress_goes_on_too(site):
    """What is there already counts as done, but not as moved."""
    site.break_at("part 4")
    heard = []
    result = site.upload(progress=lambda done, total: heard.append((done, total)))
    assert heard[:3] == [(PART, SIZE), (2 * PART, SIZE), (3 * PART, SIZE)]
    assert heard[-1] == (SIZE, SIZE)
    assert result.bytes_moved == SIZE - 3 * PART


@forking
@pytest.mark.parametrize("at", [1, PART, 3 * PART + 1, SIZE - 1])
def test_a_run_that_is_killed(site, at):
    """`kill -9` in the middle: the next run sends what the store does not have."""

    def run():
        site.upload(progress=lambda done, total: die() if done >= at else None)

    assert in_child(run) == -signal.SIGKILL
    begun = -(-at // PART)
    assert site.again() in (went_on(*NUMBERS[begun - 1 :]), went_on(*NUMBERS[begun:])), "the last may have arrived"


@forking
def test_killed_at_any_moment(site):
    """Wherever the run is killed between two calls of the system, the next one ends well and leaves no record."""
    site.path.write_bytes(DATA[: PART + 1])
    step = 0
    while True:
        code = in_child(_killed_at, site, step)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        orphans = set(site.store.uploads)
        site.upload()
        assert site.left() == [], f"killed at step {step}"
        assert site.store.objects[BUCKET, b"key"].body == DATA[: PART + 1]
        assert len(orphans) <= 1
        assert set(site.store.uploads) <= orphans, "one that was begun, and could not be noted any more"
        site.store.uploads.clear()
        step += 1
    assert step > 10


def _killed_at(site, step):
    """Upload in this process, which ends at that call of the system from where its record is looked for."""
    enter = UploadRecord.__enter__

    def counting(self):
        count_calls(setattr, lambda number, _: die() if number == step else None)
        return enter(self)

    UploadRecord.__enter__ = counting
    site.upload()


def test_ctrl_c_leaves_it_for_the_next_run(site, monkeypatch):
    """Who stops an upload by hand goes on with it later, as after a link that broke."""
    monkeypatch.setattr(body, "BLOCK", PART // 10)  # the part that is on its way is not sent to its end

    def stop(done, total):
        if done > 2 * PART:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        site.upload(progress=stop)
    assert site.again() == went_on(3, 4, 5, 6)


# -- another upload


CHANGES = {
    "time": lambda site: os.utime(str(site.path), (1, 1)) or {},
    "size": lambda site: site.path.write_bytes(DATA[:-1]) and {},
    "content type": lambda site: {"content_type": "a/b"},
    "metadata": lambda site: {"metadata": {"a": "b"}},
    "headers": lambda site: {"headers": {"x-amz-server-side-encryption-customer-key": "a2V5"}},
    "part size": lambda site: {"part_size": PART + 1},
    "checksum": lambda site: {"checksum": "sha256"},
    "no checksum": lambda site: {"checksum": None},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_is_not_the_same_begins_anew(site, change):
    """Where the file or what describes the object is another, the old upload is aborted, and a new one begun."""
    site.break_at("part 4")
    requests = site.again(**change(site))
    assert requests[:2] == ["abort", "create"]
    assert "list" not in requests


def test_an_abort_that_is_refused(site):
    """Where the old upload cannot be aborted, the new one is made all the same."""
    old = site.break_at("part 4")
    site.server.answer = Link(site.store, "abort", FORBIDDEN)
    site.upload(content_type="a/b")
    assert list(site.store.uploads) == [old]
    assert site.left() == []


@pytest.mark.parametrize("options", [{"max_workers": 4}, {"if_none_match": "*"}], ids=["more threads", "a condition"])
def test_what_makes_no_difference(site, options):
    """Other threads, or a condition, are no other upload."""
    site.break_at("part 4")
    assert site.again(**options) == went_on(4, 5, 6)


def test_each_key_has_a_record_of_its_own(site):
    """Uploads of one file to two keys are two uploads, which go on each for itself."""
    site.break_at("part 2")
    site.break_at("part 5", key="other")
    site.upload(key="other")
    assert len(site.left()) == 2
    assert site.again() == went_on(2, 3, 4, 5, 6)


def test_without_resume_nothing_is_kept(site):
    """By default an upload that fails is aborted, leaves no record, and uses none."""
    site.server.answer = Link(site.store, "part 4", FORBIDDEN)
    with pytest.raises(AccessDenied):
        site.upload(resume=False, state_dir=None)
    assert (site.store.uploads, site.left()) == ({}, [])
    site.server.answer = site.store
    site.break_at("part 4")
    site.upload(resume=False, state_dir=None)
    assert len(site.left()) == 2
    with pytest.raises(ValueError, match="state_dir is for resume=True"):
        site.upload(resume=False)
    assert site.again() == went_on(4, 5, 6)


@pytest.mark.parametrize("at", ["list", "part 4", "complete"])
def test_an_upload_that_the_store_has_dropped(site, at):
    """Where the store has dropped the old upload, whenever that shows, all is sent in a new one."""
    old = site.break_at("part 4")

    def dropping(request, through):
        through.uploads.pop(old, None)
        return through(request)

    link = Link(site.store, at, dropping, times=1)
    requests = site.again(link)
    assert link.seen[link.seen.index("create") :] == ALL
    assert requests.count("create") == 1


@pytest.mark.parametrize("at", ["part 1", "part 6", "complete"])
def test_a_dropped_upload_whose_parts_may_not_be_listed(site, at):
    """The same where listing is refused, so that only a part, or the completion, tells."""
    old = site.break_at("part 4")

    def dropping(request, through):
        through.uploads.pop(old, None)
        return NO_SUCH_UPLOAD

    site.server.answer = inner = Link(site.store, at, dropping, times=1)
    link = Link(inner, "list", FORBIDDEN)
    site.again(link)
    assert link.seen[link.seen.index("create") :] == ALL


# -- what ends an upload for good


def test_a_source_that_changes_is_nothing_to_go_on_with(site):
    """A file that changes meanwhile ends the upload for good: it is aborted, and its record gone."""

    def change(request, through):
        os.utime(str(site.path), (1, 1))
        return through(request)

    site.server.answer = Link(site.store, "part 4", change)
    with pytest.raises(SourceError):
        site.upload()
    assert (site.store.uploads, site.left()) == ({}, [])


def test_a_condition_that_does_not_hold(site):
    """A condition that fails at the end fails for the next run too: nothing is kept."""
    site.store.put(BUCKET, "key", b"theirs")
    with pytest.raises(PreconditionFailed):
        site.upload(if_none_match="*")
    assert (site.store.uploads, site.left()) == ({}, [])


@pytest.mark.parametrize("behind", [True, False], ids=["completed", "not completed"])
def test_a_completion_whose_answer_is_lost(site, behind):
    """Where the answer was lost for good, the next run finds the upload, or no upload any more, and ends well."""
    site.server.answer = Link(site.store, "complete", Answer(reset=True), behind=behind)
    with pytest.raises(CDNError):
        site.upload()
    assert site.again() == (["list", *ALL] if behind else went_on())


# -- two at once


def test_two_threads_at_once(site):
    """Who comes while another uploads to the same key does not go on with that one's upload, and leaves it alone."""
    site.break_at("part 2")
    seen = []

    def meanwhile(request, through):
        site.upload()
        seen.extend([len(site.left()), len(through.uploads)])
        return through(request)

    site.server.answer = link = Link(site.store, "part 3", meanwhile, times=1)
    site.upload()
    site.check()
    assert link.seen == [*went_on(2, 3)[:-1], *ALL, *went_on(4, 5, 6)[1:]]
    assert seen == [2, 1]


@forking
def test_two_processes_at_once(site):
    """The same between processes; the record of one that is killed is free for the next."""
    ready, release = os.pipe(), os.pipe()

    def run():
        def hold(done, total):
            if done >= 2 * PART:
                os.write(ready[1], b".")
                os.read(release[0], 1)

        site.upload(progress=hold)

    child = start_child(run)
    os.read(ready[0], 1)
    (theirs,) = site.store.uploads
    site.upload()
    assert list(site.store.uploads) == [theirs]
    assert len(site.left()) == 2
    child.kill()
    assert ended(child) == -signal.SIGKILL
    for descriptor in (*ready, *release):
        os.close(descriptor)
    assert site.again()[0] == "list"
