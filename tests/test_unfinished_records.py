"""The record of an unfinished upload: where it lies, what it says, what is done where there is no room, and its age."""

import errno
import os
import stat
import time

import pytest
from kit import BUCKET, SECRET
from kit_files import content, raiser
from kit_parts import IS_ROOT, as_nobody, ended, forking, start_child
from kit_uploads import (
    ALL,
    DATA,
    FORBIDDEN,
    PART,
    SIZE,
    Link,
    client_for,
    from_the_beginning,
    parts_of,
    put,
    said_by,
)
from rawserver import Answer

from cdn_sigv4 import AccessDenied, CDNError, parts, unfinished

pytestmark = [
    pytest.mark.skipif(parts.fcntl is None, reason="uploads that are gone on with need flock"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
DAY = 24 * 3600
ON = ["list", *parts_of(4, 5, 6), "complete"]


# -- what it is


def test_what_a_record_says(site):
    """It is for its owner's eyes, names neither a key nor a secret, and is gone after success."""
    secret = "c2VjcmV0IGN1c3RvbWVyIGtleQ=="
    site.break_at("part 4", headers={"x-amz-server-side-encryption-customer-key": secret}, metadata={"m": "private"})
    assert stat.S_IMODE(site.state.stat().st_mode) == 0o700
    for path in site.state.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        text = path.read_bytes()
        for word in (secret, SECRET, "private", "Signature"):
            assert word.encode() not in text
    record = said_by(site)
    assert record["source"] == f"{site.server.endpoint}/{BUCKET}/key"
    assert record["part_size"] == PART
    assert site.record.with_name(site.record.name.replace(".json", ".0")).stat().st_size == 0


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({"XDG_STATE_HOME": "{0}/xdg", "HOME": "{0}/home"}, "xdg/cdn-sigv4", id="XDG_STATE_HOME"),
        pytest.param({"XDG_STATE_HOME": "", "HOME": "{0}/home"}, "home/.local/state/cdn-sigv4", id="HOME"),
        pytest.param({"XDG_STATE_HOME": "relative", "HOME": "{0}/home"}, "home/.local/state/cdn-sigv4", id="relative"),
    ],
)
def test_the_usual_folder(site, tmp_path, monkeypatch, environment, expected):
    """Without `state_dir` records are kept where the user's programs keep such things."""
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value.format(tmp_path))
    site.break_at("part 4", state_dir=None)
    assert len(list((tmp_path / expected).glob(".cdn-*"))) == 2
    assert site.left() == []
    assert site.again(state_dir=None) == ON
    assert list((tmp_path / expected).iterdir()) == []


def test_a_folder_as_bytes_and_as_path(site):
    """`state_dir` may be anything that names a folder."""
    site.break_at("part 4", state_dir=os.fsencode(str(site.state)))
    assert site.again(state_dir=str(site.state)) == ON


@pytest.mark.parametrize("below", ["file", "file/deeper"])
def test_a_folder_that_is_none(site, below):
    """A folder that cannot be made is the system's error, before anything is sent."""
    with pytest.raises(OSError, match="file"):
        site.upload(state_dir=site.path.parent / below)
    assert site.server.requests == []


@forking
def test_a_folder_that_may_not_be_written_to(site):
    """So is one that may not be written to."""
    site.state.mkdir(0o755)
    for folder in site.state.parents:
        if folder.stat().st_uid == os.geteuid() and str(folder) not in ("/", "/tmp"):
            folder.chmod(folder.stat().st_mode | 0o055)
    if IS_ROOT:
        site.path.chmod(0o644)
    else:
        site.state.chmod(0o555)

    def run():
        with pytest.raises(PermissionError):
            site.upload()

    assert as_nobody(run) == 0
    assert site.server.requests == []


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_disk_that_is_full(site, monkeypatch, call):
    """Where the record cannot be written the upload goes on without one; one that fails is then aborted."""
    with monkeypatch.context() as patch:
        patch.setattr(os, call, raiser(OSError(errno.ENOSPC, "full")))
        assert site.again() == ALL
        site.server.answer = Link(site.store, "part 4", Answer(reset=True))
        with pytest.raises(CDNError):
            site.upload(checksum="sha256")
    assert site.store.uploads == {}
    assert site.left() == []


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOTSUP])
def test_a_folder_without_locks(site, monkeypatch, number):
    """Where a file system has no locks nothing is noted, and what fails is aborted."""
    monkeypatch.setattr(parts.fcntl, "flock", raiser(OSError(number, "no locks")))
    site.server.answer = Link(site.store, "part 4", Answer(reset=True))
    with pytest.raises(CDNError):
        site.upload()
    assert (site.store.uploads, site.left()) == ({}, [])
    site.server.answer = site.store
    site.upload()
    site.check()


def test_bytes_and_streams_leave_no_record(site, monkeypatch, tmp_path):
    """Only files are gone on with, and only in parts: a small one leaves neither record nor upload."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "xdg"))
    site.path.write_bytes(DATA[:PART])
    site.server.answer = Link(site.store, "PUT", FORBIDDEN)
    with pytest.raises(AccessDenied):
        site.upload()
    assert site.left() == []
    with client_for(site.server, retry=None) as client:
        site.server.answer = Link(site.store, "part 4", FORBIDDEN)
        with pytest.raises(AccessDenied):
            put(client, DATA)
    assert not (tmp_path / "xdg").exists()
    assert site.store.uploads == {}


# -- old


def age(site, seconds):
    """Make the record so many seconds old."""
    then = time.time() - seconds
    os.utime(str(site.record), (then, then))


@pytest.mark.parametrize(("days", "is_removed"), [(6.9, False), (7.1, True), (400, True)])
def test_records_that_are_stale(site, days, is_removed):
    """A record that nobody has asked for in seven days is removed by the next upload to anywhere; a younger is kept."""
    site.break_at("part 4")
    age(site, days * DAY)
    site.upload(key="other")
    assert (site.left() == []) == is_removed
    requests = from_the_beginning(site) if is_removed else site.again()
    assert requests == (ALL if is_removed else ON)


def test_stale_by_the_clients_clock(site):
    """The clock is the client's own, so that a test, or a caller with a better one, may set it."""
    site.break_at("part 4")
    with client_for(site.server) as client:
        client._exchange.clock = lambda: time.time() + 8 * DAY
        client.upload_file(BUCKET, "other", site.path, part_size=PART, resume=True, state_dir=site.state)
    assert site.left() == []


@forking
def test_a_stale_record_of_a_run_that_lives(site):
    """One whose upload is still under way is kept, however old."""
    ready, release = os.pipe(), os.pipe()

    def run():
        def hold(done, total):
            if done == SIZE - 1:
                os.write(ready[1], b".")
                os.read(release[0], 1)

        site.upload(progress=hold)

    child = start_child(run)
    os.read(ready[0], 1)
    age(site, 30 * DAY)
    site.upload(key="other")
    assert len(site.left()) == 2
    os.write(release[1], b".")
    assert ended(child) == 0
    for descriptor in (*ready, *release):
        os.close(descriptor)
    site.check()


def test_what_else_is_in_the_folder_stays(site):
    """Other files, however old, are nobody's records."""
    site.state.mkdir()
    others = [".cdn-x", "x.json", ".cdn-.txt", "cdn-1.json", ".cdn-0123456789abcdef.json"]
    for name in others:
        (site.state / name).write_bytes(b"x")
        os.utime(str(site.state / name), (1, 1))
    site.upload()
    assert content(site.state) == dict.fromkeys(sorted(others), b"x"), "the last one has no lock beside it"


def test_the_folder_of_another_system(monkeypatch):
    """On Windows records are kept in the user's local data."""
    with monkeypatch.context() as patch:
        patch.setattr(os, "name", "nt")
        assert unfinished.default_folder({"LOCALAPPDATA": "C:/data"}) in ("C:/data/cdn-sigv4", "C:/data\\cdn-sigv4")
