"""What all clients in their processes have: many small requests in a row, by one thread or several, and what is timed.

The loop is the same for all, and as short as can be. What was saved, or stored, is compared by the parent afterwards,
outside of what is timed; what was read is compared at once, which takes nothing.
"""

from __future__ import annotations

import os
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Callable, Dict

SMALL = b"x" * 1024
SMALL_KEY = "bench/small"
BLOCK = 1 << 20  # bytes
Told = Dict[str, Any]


def payload(number: int) -> bytes:
    """1 KiB that no other request of its thread sends."""
    return b"%08d" % number + SMALL[8:]


class Peer:
    """One client; its public methods are what the parent may order. A subclass also has those for large objects."""

    loaded: bytes | bytearray = b""

    def put_small(self, key: str, data: bytes) -> object:
        """Store a small object."""
        raise NotImplementedError

    def get_small(self, key: str) -> bytes:
        """A small object's bytes."""
        raise NotImplementedError

    def save_small(self, key: str, path: str) -> None:
        """A small object as a file, which need not survive a power cut."""
        raise NotImplementedError

    def keep_small(self, key: str, path: str) -> None:
        """A small object as a file that the disk has. By hand, where the client knows nothing of it."""
        self.save_small(key, path)
        flush(path)
        flush(os.path.dirname(path))  # noqa: PTH120 - pathlib would cost as much as the client

    def warm_up(self) -> Told:
        """One small put and get."""
        self.put_small(SMALL_KEY, SMALL)
        return {"is_right": self.get_small(SMALL_KEY) == SMALL}

    def load(self, path: str) -> Told:
        """Have a file's bytes in memory."""
        self.loaded = Path(path).read_bytes()
        return {}

    def unload(self) -> Told:
        """And no longer."""
        self.loaded = b""
        return {}

    def check(self, path: str) -> Told:
        """The CRC32 of a file, as somebody makes it who downloads with a client that does not verify."""
        crc = 0
        with Path(path).open("rb") as file:
            for block in iter(lambda: file.read(BLOCK), b""):
                crc = zlib.crc32(block, crc)
        return {"crc32": crc}

    def small(self, what: str, seconds: float, threads: int, at: str) -> Told:
        """Do one thing (the name of a method above) for so long, by so many threads; `at` begins each path or key."""
        counts = [0] * threads
        begun = [0.0, 0.0]

        def begin() -> None:
            begun[:] = [time.perf_counter(), time.process_time()]

        barrier = threading.Barrier(threads, begin)

        def run(thread: int) -> None:
            work = self._work(what, f"{at}{thread}-")
            barrier.wait()
            end = begun[0] + seconds
            number = 0
            while time.perf_counter() < end:
                work(number)
                number += 1
            counts[thread] = number

        if threads == 1:
            run(0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(run, range(threads)))
        taken = time.perf_counter() - begun[0], time.process_time() - begun[1]
        return {"counts": counts, "seconds": taken[0], "cpu": taken[1]}

    def _work(self, what: str, at: str) -> Callable[[int], object]:
        operation = getattr(self, what)
        if what.startswith("put"):
            return lambda number: operation(f"{at}{number}", payload(number))
        if what == "get_small":

            def compare(_number: int) -> None:
                if operation(SMALL_KEY) != SMALL:
                    raise ValueError("other bytes than those of the object")

            return compare
        return lambda number: operation(SMALL_KEY, f"{at}{number}")


def flush(path: str) -> None:
    """Wait until the disk has a file, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
