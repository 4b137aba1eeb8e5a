"""Records of unfinished uploads that were damaged, or planted by others: nothing of them is believed or written to.

Whatever stands in the folder, the upload ends well.
"""

import json
import os
import pathlib
import tempfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import BUCKET, LONG, SECRETS
from kit_parts import IS_ROOT, NOBODY, ended, forking, start_child
from kit_uploads import ALL, DATA, Site, allow_small_parts, from_the_beginning, parts_of, said_by
from rawserver import MemoryStore, RawServer

from cdn_sigv4 import parts

pytestmark = [
    pytest.mark.skipif(parts.fcntl is None, reason="uploads that are gone on with need flock"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
root_only = pytest.mark.skipif(not IS_ROOT, reason="only root gives files away")
ON = ["list", *parts_of(4, 5, 6), "complete"]


# -- damaged


TEXTS = {
    "empty": "",
    "cut": '{"source": "',
    "no JSON": "\x00\xff garbage",
    "a list": "[]",
    "null": "null",
    "deep": "[" * 100_000,
    "a number": "5",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_a_record_that_is_none(site, text):
    """What a power cut has left in a record's place is no record."""
    site.break_at("part 4")
    site.record.write_bytes(text.encode("latin-1"))
    assert from_the_beginning(site) == ALL
    assert site.left() == []


FIELDS = {
    "another source": {"source": "elsewhere"},
    "no source": {"source": None},
    "no id": {"upload_id": None},
    "an id that is a number": {"upload_id": 5},
    "an id that is a list": {"upload_id": ["x"]},
    "no part size": {"part_size": None},
    "a part size in letters": {"part_size": "100000"},
    "a part size of zero": {"part_size": 0},
    "a part size below zero": {"part_size": -1},
    "a part size of one byte": {"part_size": 1},
    "a part size of True": {"part_size": True},
    "a part size with a fraction": {"part_size": 100_000.5},
    "a part size beyond all": {"part_size": 10**30},
    "no stamp": {"stamp": None},
    "a stamp that is a list": {"stamp": []},
    "an empty id": {"upload_id": ""},
    "an id that is no text": {"upload_id": "\ud800"},
    "an id with a line's end": {"upload_id": "a\r\nb&partNumber=1"},
    "an endless id": {"upload_id": "x" * 100_000},
}


@pytest.mark.parametrize("fields", FIELDS.values(), ids=FIELDS)
def test_a_record_that_says_what_cannot_be(site, fields):
    """A record with something in it that no upload could have: nothing of it is used, and all is sent."""
    site.break_at("part 4")
    site.record.write_text(json.dumps({**said_by(site), **fields}), "ascii")
    from_the_beginning(site)
    assert site.left() == []


@settings(max_examples=60)
@given(place=st.integers(0, 400), byte=st.integers(0, 255), cut=st.booleans())
def test_a_record_with_any_byte_changed(place, byte, cut):
    """Whatever one byte of the record becomes, or wherever it is cut, the file arrives."""
    store = MemoryStore(SECRETS, buckets=(BUCKET,))
    with tempfile.TemporaryDirectory() as folder, RawServer(store) as server, pytest.MonkeyPatch.context() as patch:
        allow_small_parts(patch, store)
        site = Site(pathlib.Path(folder), server, store)
        site.break_at("part 4")
        text = bytearray(site.record.read_bytes())
        place %= len(text)
        text[place : None if cut else place + 1] = bytes([byte])
        site.record.write_bytes(text)
        site.upload()
        assert store.objects[BUCKET, b"key"].body == DATA
        assert site.left() == []


# -- planted


def test_a_link_in_the_place_of_the_record(site, victim):
    """A symbolic link there, or where it is written first, is neither followed nor read."""
    site.break_at("part 4")
    record = site.record
    record.unlink()
    for path in (record, record.with_name(record.name + "~")):
        path.symlink_to(victim)
    from_the_beginning(site)
    assert site.left() == []


def test_a_link_in_the_place_of_the_lock(site, victim):
    """One in the place of the file that is locked is left alone, and nothing is noted."""
    site.break_at("part 4")
    lock = site.record.with_name(site.record.name.replace(".json", ".0"))
    lock.unlink()
    lock.symlink_to(victim)
    from_the_beginning(site)
    assert lock.is_symlink()


@pytest.mark.parametrize("which", ["json", "0"])
def test_a_second_link_to_it(site, tmp_path, which):
    """What has another name could be changed through it meanwhile: it is not believed."""
    site.break_at("part 4")
    os.link(str(site.record.with_name(site.record.name.replace("json", which))), str(tmp_path / "link"))
    before = (tmp_path / "link").read_bytes()
    assert from_the_beginning(site) == ALL
    assert (tmp_path / "link").read_bytes() == before


@root_only
@pytest.mark.parametrize("which", ["json", "0"])
def test_one_of_somebody_elses(site, which):
    """Nor is what another user owns."""
    site.break_at("part 4")
    os.chown(str(site.record.with_name(site.record.name.replace("json", which))), NOBODY, NOBODY)
    assert from_the_beginning(site) == ALL


@pytest.mark.parametrize("which", ["json", "json~", "0"])
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo], ids=["folder", "pipe"])
@forking
def test_what_is_no_file(site, make, which):
    """Folders and pipes in the way make the upload neither fail nor hang."""
    site.break_at("part 4")
    path = site.record.with_name(site.record.name.replace("json", which))
    if path.exists():
        path.unlink()
    make(str(path))
    child = start_child(site.upload)
    child.join(LONG / 6)
    is_hanging = child.exitcode is None
    child.kill()
    assert not is_hanging
    assert ended(child) == 0
    assert site.store.objects[BUCKET, b"key"].body == DATA
