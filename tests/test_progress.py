"""How far a transfer is: a number that never goes back, is never beyond the end, and is the end at the end.

The bar is tqdm's own where that is installed.
"""

import builtins
import io
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import BUCKET
from kit_parts import MIB, made

from cdn_sigv4 import ProgressBar
from cdn_sigv4.progress import Meter, Raised


class Heard:
    """What `progress` is called with; the rules hold at each call."""

    def __init__(self):
        self.calls = []
        self.busy = threading.Lock()

    def __call__(self, done, total):
        assert self.busy.acquire(blocking=False), "one call at a time"
        assert done >= 0
        assert total is None or done <= total
        if self.calls and self.calls[-1][1] == total:
            assert done > self.calls[-1][0]
        self.calls.append((done, total))
        self.busy.release()


@given(
    sizes=st.lists(st.integers(0, 50), max_size=6),
    steps=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 60)), max_size=60),
    known=st.booleans(),
)
def test_never_back_and_never_beyond(sizes, steps, known):
    """Whatever parts do, in any order, again from their beginning, the number rises, and its end is told in the end."""
    heard, total = Heard(), sum(sizes)
    meter = Meter(heard, total if known else None)
    parts = [meter.part() for _ in sizes]
    sent = 0
    last = [0] * len(sizes)
    for which, done in steps:
        if which < len(sizes):
            now = min(done, sizes[which])
            parts[which](now)
            sent += now - last[which] if now > last[which] else now
            last[which] = now
    if known:
        assert all(done < total for done, _ in heard.calls), "the last byte is told when all is well"
    for part, size in zip(parts, sizes):
        part(size)
    meter.end(total)
    assert heard.calls[-1] == (total, total)
    assert meter.moved >= sent


def test_what_is_sent_twice_moves_twice():
    """A part that begins again is not further than it was, but its bytes have moved."""
    heard = Heard()
    meter = Meter(heard, 100)
    at = meter.part()
    for done in (10, 20, 30, 10, 20, 30, 40):
        at(done)
    assert [done for done, _ in heard.calls] == [10, 20, 30, 40]
    assert meter.moved == 70


def test_parts_that_were_here_before():
    """They are done, and have not moved."""
    heard = Heard()
    meter = Meter(heard, 100)
    meter.add(60)
    meter.part()(30)
    meter.end(100)
    assert heard.calls == [(60, 100), (90, 100), (100, 100)]
    assert meter.moved == 30


def test_another_size():
    """When another object is fetched from its beginning, the number begins again with the new size, and only then."""
    heard = Heard()
    meter = Meter(heard, 100)
    meter.add(60, 60)
    meter.again(100)
    meter.add(50, 50)
    assert heard.calls == [(60, 100)], "the same size: what was told stays told"
    meter.again(70)
    meter.add(10, 10)
    meter.end(70)
    assert heard.calls == [(60, 100), (10, 70), (70, 70)]
    assert meter.moved == 120


@pytest.mark.parametrize("size", [0, 5])
def test_a_size_that_is_not_known(size):
    """Without a size None stands for it, until the end, which is told with it."""
    heard = Heard()
    meter = Meter(heard)
    if size:
        meter.part()(size)
    meter.end(size)
    assert heard.calls == [*([(5, None)] if size else []), (size, size)]


def test_many_threads():
    """Calls come one at a time, and none is lost, however many threads move bytes."""
    heard, count, size = Heard(), 8, 500
    meter = Meter(heard, count * size)
    start = threading.Barrier(count)

    def run(at):
        start.wait(10)
        for done in range(1, size + 1):
            at(done)

    threads = [threading.Thread(target=run, args=(meter.part(),)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    meter.end(count * size)
    assert [done for done, _ in heard.calls] == list(range(1, count * size + 1))
    assert meter.moved == count * size


def test_nobody_listens():
    """Without a `progress` bytes are counted all the same."""
    meter = Meter(None, 10)
    meter.part()(10)
    meter.end(10)
    assert meter.moved == 10


def test_what_it_raises():
    """An error of `progress` leaves the meter usable by others, and comes from a part in a form nobody catches."""

    def fail(done, total):
        raise OSError("mine")

    meter = Meter(fail, 10)
    with pytest.raises(Raised) as caught:
        meter.part()(5)
    assert not isinstance(caught.value, Exception)
    assert isinstance(caught.value.error, OSError)
    with pytest.raises(OSError, match="mine"):
        meter.end(10)


@pytest.mark.parametrize("wanted", ["print", 5, True, []])
def test_what_cannot_be_called(client, loopback, tmp_path, wanted):
    """A `progress` that is no function is a TypeError before anything is sent."""
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(TypeError, match="progress"):
        client.put_object(BUCKET, "key", b"x", progress=wanted)
    with pytest.raises(TypeError, match="progress"):
        client.upload_file(BUCKET, "key", tmp_path / "file", progress=wanted)
    with pytest.raises(TypeError, match="progress"):
        client.download_file(BUCKET, "key", tmp_path / "target", progress=wanted)
    assert loopback.requests == []


# -- the bar


@pytest.mark.parametrize("size", [0, 1000, 12 * MIB])
def test_a_bar(client, store, tmp_path, size):
    """A bar of tqdm's shows the whole transfer in both directions, and is closed at its end."""
    pytest.importorskip("tqdm")
    (tmp_path / "file").write_bytes(made(1, size))
    for transfer in (client.upload_file, client.download_file):
        shown = io.StringIO()
        with ProgressBar("model.bin", file=shown, mininterval=0) as bar:
            transfer(BUCKET, "key", tmp_path / "file", progress=bar)
            assert (bar._bar.n, bar._bar.total) == (size, size)
        assert bar._bar.disable or shown.getvalue().endswith("\n")
        assert "model.bin" in shown.getvalue()
    assert store.objects[BUCKET, b"key"].body == made(1, size)


def test_a_bar_that_begins_again(tmp_path):
    """Another object, of another size, takes the bar back."""
    pytest.importorskip("tqdm")
    with ProgressBar(file=io.StringIO()) as bar:
        for done, total in ((5, None), (5, 100), (60, 100), (10, 70), (70, 70)):
            bar(done, total)
            assert (bar._bar.n, bar._bar.total) == (done, total)


def test_options_are_tqdms(tmp_path):
    """What tqdm can, may be said."""
    pytest.importorskip("tqdm")
    with ProgressBar("x", disable=True, unit="bytes") as bar:
        bar(1, 2)
    assert bar._bar.disable


def test_without_tqdm(monkeypatch):
    """Where tqdm is not installed the error says what to install; the package itself does not need it."""
    real = builtins.__import__

    def without(name, *args, **more):
        if name.partition(".")[0] == "tqdm":
            raise ImportError("No module named 'tqdm'")
        return real(name, *args, **more)

    monkeypatch.delitem(sys.modules, "tqdm", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'cdn-sigv4.progress.'"):
        ProgressBar()
