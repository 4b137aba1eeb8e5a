"""What a review of uploads in parts has found: records that were lost, or of no use, buffers kept, uploads orphaned."""

import os
import tracemalloc

import pytest
from kit import BUCKET
from kit_calls import xml
from kit_parts import MIB, forking, made
from kit_uploads import ALL, Link, Site, allow_small_parts, client_for, parts_of, sink
from rawserver import Answer

from cdn_sigv4 import ResponseError, record

REFUSED = Answer(400, headers={"x-amz-request-id": "1"}, body=xml("InvalidRequest"))


@pytest.fixture
def site(tmp_path, loopback, store, monkeypatch):
    """A file, a folder for its record, and a store that takes small parts."""
    allow_small_parts(monkeypatch, store)
    return Site(tmp_path, loopback, store)


# -- records


def test_an_old_record_is_of_use_to_its_own_upload(site):
    """However old, or however wrong the clock was: only what is missing is sent, and no upload is left in the store."""
    site.break_at("part 4")
    os.utime(site.record, (1000, 1000))
    assert site.again() == ["list", *parts_of(4, 5, 6), "complete"]


def test_a_record_that_leads_nowhere(site):
    """An upload of before that the store refuses to complete is dropped, and begun again in the same call."""
    site.break_at("part 4")
    link = Link(site.store, "complete", REFUSED, times=1)
    site.again(link)
    assert link.seen == ["list", *parts_of(4, 5, 6), "complete", "abort", *ALL]


def test_it_is_begun_again_once(site):
    """A store that refuses every completion is not sent the file for ever; its error is seen, and nothing is left."""
    site.break_at("part 4")
    link = site.server.answer = Link(site.store, "complete", REFUSED)
    with pytest.raises(ResponseError, match="InvalidRequest"):
        site.upload()
    assert link.seen == ["list", *parts_of(4, 5, 6), "complete", "abort", *ALL, "abort"]
    assert not site.store.uploads
    assert site.left() == []


def test_interrupted_while_the_record_is_written(site, monkeypatch):
    """Ctrl-C while the disk is waited for leaves no upload in the store that nobody knows of, and no record."""

    def interrupted(number):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(record.os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            site.upload()
    assert not site.store.uploads
    assert site.left() == []
    assert site.again() == ALL


@pytest.mark.skipif(os.name == "nt", reason="records have another folder there")
def test_nobodys_home(site, folder, monkeypatch):
    """A user without a home folder is told to give state_dir, before anything is sent or written."""
    for name in ("HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(FileNotFoundError, match="give state_dir="):
        site.upload(state_dir=None)
    assert site.server.requests == []
    assert list(folder.iterdir()) == []


# -- what a caller gave, and what is held


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("error", [ValueError, OSError])
@pytest.mark.parametrize("part_size", [2 * MIB, 8 * MIB], ids=["in parts", "one request"])
def test_a_bytearray_is_the_callers_again(site, workers, error, part_size):
    """When `progress` has ended an upload its buffer can be resized at once, where the exception is caught."""
    body = bytearray(made(3, 5 * MIB))

    def progress(done, total):
        if done >= 3 * MIB:
            raise error("mine")

    found = None
    with client_for(site.server) as client:
        try:
            client.put_object(BUCKET, "key", body, part_size=part_size, progress=progress, max_workers=workers)
        except error as caught:
            body.append(1)
            found = caught.args
    assert found == ("mine",)
    body.append(2)
    assert not site.store.uploads
    assert not site.store.objects


@forking
@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_stream_holds_in_memory(workers):
    """Of a body of unknown length no more parts are held than are sent at a time, the first one as little as others."""
    size = 6 * MIB
    block = made(3, MIB)

    def blocks(count):
        for _ in range(count):
            yield bytes(block)

    with sink() as endpoint, client_for(endpoint) as client:
        client.put_object(BUCKET, "before", blocks(1))
        tracemalloc.start()
        try:
            client.put_object(BUCKET, "key", blocks(36), part_size=size, max_workers=workers)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert size < peak < (workers + 1) * size
