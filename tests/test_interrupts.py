"""Ctrl-C at any line of the package: the target is whole, the client works on, and the next run clears up.

The lines are counted by a trace function in a forked child, where no coverage is measured; which of them is hit is
chosen by a seeded generator.
"""

import gc
import os
import random
import sys
from pathlib import Path

import pytest
from kit import BUCKET
from kit_parts import MIB, OLD, Room, forking, in_child, made

import cdn_sigv4
from cdn_sigv4 import transfer

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="reads /proc")
HERE = str(Path(cdn_sigv4.__file__).parent)
SIZE = 2 * MIB + 123
PUT_AWAY = ("__exit__", "__del__", "close", "release", "discard", "_discard", "forget", "unlink", "_sync_folder")


@pytest.fixture
def room(tmp_path, loopback, store, monkeypatch):
    """A folder with an old file, and an object that is worth a part although it is small."""
    monkeypatch.setattr(transfer, "SYNC_EVERY", MIB)
    monkeypatch.setattr(transfer, "RESUME_LEAST", MIB)
    (tmp_path / "room").mkdir()
    made_room = Room(tmp_path / "room", loopback, store)
    made_room.put(made(1, SIZE))
    made_room.target.write_bytes(OLD)
    return made_room


def traced(task, interrupt_at=-1, only=()):
    """Run `task`, and raise KeyboardInterrupt at this line of the package's (or of `only` these files); their number.

    What puts away is let finish: nothing protects a `finally` from signals, nor the line behind an `os.open`.
    """
    count = 0

    def trace(frame, event, argument):
        nonlocal count
        name = frame.f_code.co_filename
        if not name.startswith(HERE) or (only and Path(name).name not in only):
            return None
        if frame.f_code.co_name in PUT_AWAY:
            return None
        if event == "line":
            count += 1
            if count - 1 == interrupt_at:
                sys.settrace(None)
                raise KeyboardInterrupt(f"{Path(name).name}:{frame.f_lineno}")
        return trace

    before = sys.gettrace()  # the coverage's
    sys.settrace(trace)
    try:
        task()
    finally:
        sys.settrace(before)
    return count


def handles():
    """The number of files and sockets that are open."""
    gc.collect()
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def interrupted_everywhere(room, lines, only=()):
    """Interrupt a download at each of these lines, with one client, which then downloads without."""
    with room.client() as client:

        def download():
            client.download_file(BUCKET, "key", room.target)

        download()
        before = handles()
        wrong = []
        for line in lines:
            room.target.write_bytes(OLD)
            try:
                traced(download, line, only)
            except KeyboardInterrupt as interrupt:
                where = str(interrupt)
            else:  # a warm client passes fewer lines
                continue
            room.check_target(OLD, made(1, SIZE))
            download()
            room.check_target(made(1, SIZE))
            found = handles()
            if room.left() or found > before:
                wrong.append((where, room.left(), found - before))
            before = found
            for name in room.left():
                (room.folder / name).unlink()
        assert wrong == []


@forking
@pytest.mark.parametrize(
    ("only", "most"),
    [((), 40), (("files.py", "parts.py", "record.py"), 70), (("filling.py", "crew.py", "transfer.py"), 70)],
    ids=["anywhere", "on the local side", "while it is filled"],
)
def test_ctrl_c_at_any_line(room, only, most):
    """Lines out of all that a download passes, most of them where a moment decides what is left."""
    total = traced(room.download, only=only)
    room.target.write_bytes(OLD)
    lines = random.Random(1).sample(range(total), most)
    assert in_child(interrupted_everywhere, room, lines, only) == 0
