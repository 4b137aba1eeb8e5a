"""`kill -9` and failures of a download over several connections: a part with holes, of which only these are fetched.

Ranges are smaller here than they are outside, so that an object of some MiB is worth four connections.
"""

import dataclasses
import os
import random
import signal
import threading

import pytest
from kit import LONG
from kit_kills import count_calls, die_at_step, die_behind
from kit_parts import MIB, OLD, in_child, made
from test_parts_record import crc_of

from cdn_sigv4 import ObjectChanged, TransportError, crew, filling, parts, ranges, transfer

pytestmark = [
    pytest.mark.skipif(parts.fcntl is None or not hasattr(os, "fork"), reason="parts that are gone on with need flock"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]
KILLED = -signal.SIGKILL
LARGE = 24 * MIB + 77  # bytes: three connections with the ranges of every day
SIZE = 6 * MIB + 77  # bytes: four with small ones
SUMS = pytest.mark.parametrize("sums", [True, False], ids=["crc32", "no checksum"])


def all_at_once(patch):
    """Let all connections join at once."""
    patch.setattr(filling, "HELP_AFTER", 0.0)
    patch.setattr(filling, "_FAST", float("inf"))


def small_ranges(patch):
    """Let ranges, notes and waits for the disk be small ones, and all connections join at once."""
    all_at_once(patch)
    patch.setattr(ranges, "_MIB", MIB // 16)  # to which ranges are aligned: less than the least of them
    patch.setattr(filling, "_LEAST", MIB // 2)
    patch.setattr(filling, "BLOCK", MIB // 8)
    patch.setattr(filling, "NOTE_EVERY", MIB // 4)
    patch.setattr(transfer, "SYNC_EVERY", 2 * MIB)
    patch.setattr(transfer, "RESUME_LEAST", MIB)


@pytest.fixture
def room(room, monkeypatch):
    """A folder with an old file, and a store with a new object."""
    small_ranges(monkeypatch)
    room.target.write_bytes(OLD)
    return room


def put(room, sums, seed=1, size=SIZE):
    """Put the object, with a CRC32 or with nothing that proves it; the options to fetch it."""
    room.put(made(seed, size), **(crc_of(made(seed, size)) if sums else {}))
    return {"etag_is_md5": False}


def killed_behind(room, count, options):
    """Run a download that is killed behind so many bytes of all connections."""

    def run():
        die_behind(count)
        room.download(**options)

    assert in_child(run) == KILLED


def helped(room, helpers, **lies):
    """The store, whose first body waits behind a MiB until one of the helpers has got its first range."""
    is_helped, asked = threading.Event(), []

    def answer(request):
        asked.append(request)
        is_first = len(asked) == 1
        if len(asked) == helpers + 3:  # the first one, the helpers, and one or two of these again
            is_helped.set()
        delay = is_helped if is_first else None
        return dataclasses.replace(room.store(request), delay=delay, delay_after=MIB, **(lies if is_first else {}))

    return answer


def goes_on(room, options, body):
    """Demand that the next run ends with the right bytes, and fetches those that were not noted, each once."""
    room.check_target(OLD, body)
    room.check_noted(body)
    here = room.trusted()
    result = room.download(**options)
    room.check(body)
    assert result.bytes_moved == len(body) - here
    return here


@SUMS
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("power", [True, False], ids=["power cut", "kill"])
def test_killed_with_several_connections(room, sums, seed, power):
    """Wherever the connections are, what each has noted is gone on with: little is lost to a kill, nothing is wrong."""
    options = put(room, sums)
    at = random.Random(seed).randrange(3 * MIB, SIZE)
    killed_behind(room, at, options)
    room.check_noted(made(1, SIZE))
    if power:  # how much was fetched while the disk was waited for nobody knows
        room.power_cut(made(1, SIZE))
    else:
        assert room.trusted() >= at - 2 * filling.NOTE_EVERY - 8 * filling.BLOCK  # what four connections have read
    goes_on(room, options, made(1, SIZE))


@SUMS
def test_killed_with_the_ranges_of_every_day(room, sums, monkeypatch):
    """The same with nothing made smaller: a kill of an object of 24 MiB leaves several ranges, and costs two MiB."""
    monkeypatch.undo()
    all_at_once(monkeypatch)
    options = put(room, sums, size=LARGE)
    room.server.answer = helped(room, 2)
    killed_behind(room, 15 * MIB, options)
    assert len(ranges.merged(map(tuple, room.noted()))) >= 2
    assert goes_on(room, options, made(1, LARGE)) >= 15 * MIB - 5 * MIB  # blocks of three connections are on their way


def test_killed_again_and_again(room):
    """Run by run, each killed behind a MiB and a half, it gets on: all of it is fetched in the end."""
    options = put(room, sums=True)
    runs, here = 0, 0
    while SIZE - here > 2 * MIB:
        killed_behind(room, 3 * MIB // 2, options)
        assert room.trusted() > here
        room.check_noted(made(1, SIZE))
        here = room.trusted()
        runs += 1
    assert runs >= 3
    assert goes_on(room, options, made(1, SIZE)) == here


def test_killed_at_steps_of_several_connections(room):
    """A kill before calls of the system, in whichever thread: between a write and its note nothing is noted wrongly."""
    options = put(room, sums=False)
    names = []
    with pytest.MonkeyPatch.context() as patch:
        count_calls(patch.setattr, lambda _, name: names.append(name))
        room.download(**options)
    went_on = []
    for step in random.Random(1).sample(range(len(names)), 30):
        room.target.write_bytes(OLD)

        def run(step=step):
            die_at_step(step)
            room.download(**options)

        assert in_child(run) in (0, KILLED)
        went_on.append(goes_on(room, options, made(1, SIZE)))
    assert len(set(went_on)) > 10


# -- failures


@SUMS
def test_broken_with_several_connections(room, sums):
    """A link that breaks ends in an error that says what is kept of all; the next run fetches the rest and no more."""
    options = put(room, sums)
    room.server.answer = helped(room, 3, cut_after=MIB + 11)
    with pytest.raises(TransportError) as caught:
        room.download(retry=None, **options)
    here = room.trusted()
    assert here > MIB + MIB // 2
    assert f"{here} bytes are kept beside the target" in str(caught.value)
    assert room.lines()[0]["synced"] == room.lines()[1]["here"]
    room.server.answer = room.store
    assert goes_on(room, options, made(1, SIZE)) == here


@SUMS
def test_replaced_between_the_runs(room, sums):
    """Of a part with holes nothing gets into another version."""
    killed_behind(room, 4 * MIB, put(room, sums))
    options = put(room, sums, seed=2)
    assert room.download(**options).bytes_moved == SIZE
    room.check(made(2, SIZE))


def test_what_comes_too_late_is_not_written(room, monkeypatch):
    """Where a connection hangs, no other version begins in a file that it may still write to.

    The first connection's body breaks, while a helper waits for the body of its range. Then the object is replaced, and
    the helper's bytes, of the old version, come when all is over: the old file stays, and the next call begins anew.
    """
    monkeypatch.setattr(crew, "GRACE", 0.1)
    put(room, sums=True)
    is_asked, late, is_over = threading.Event(), threading.Event(), threading.Event()

    def answer(request):
        found = room.store(request)
        if is_asked.is_set():
            return found
        if request.header("range") is None:
            return dataclasses.replace(found, delay=is_asked, delay_after=MIB // 2, cut_after=MIB)
        put(room, sums=True, seed=2)
        is_asked.set()
        return dataclasses.replace(found, delay=late, delay_after=0)

    room.server.answer = answer
    fetch = filling.Filling._fetch
    helpers = []

    def fetching(self, span, retrieval, **more):
        is_helper = threading.current_thread() is not threading.main_thread()
        if is_helper and not helpers:
            helpers.append(span)
        try:
            fetch(self, span, retrieval, **more)
        finally:
            if helpers[:1] == [span]:
                is_over.set()

    monkeypatch.setattr(filling.Filling, "_fetch", fetching)
    room.target.write_bytes(OLD)
    with pytest.raises(ObjectChanged):
        room.download(etag_is_md5=False, max_workers=2)
    late.set()
    assert is_over.wait(LONG)
    assert helpers[0].at == helpers[0].first
    room.check(OLD)
    assert room.download(etag_is_md5=False, max_workers=2).bytes_moved == SIZE
    room.check(made(2, SIZE))
