"""How a child ends itself with SIGKILL: at a call of the system that changes the disk, or behind a byte of a body."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any, Callable

from cdn_sigv4 import parts
from cdn_sigv4.retrieval import Retrieval

# All that files.py, parts.py and record.py ask of the system: the moments between two of these are the steps.
CALLS = ("open", "pwrite", "fsync", "chmod", "chown", "dup", "close", "replace", "unlink", "mkdir", "rmdir")


def die() -> None:
    """As the power, or `kill -9`, would have it: nothing more is done, not even put away."""
    os.kill(os.getpid(), signal.SIGKILL)


def count_calls(patch: Callable[[Any, str, Any], object], reached: Callable[[int, str], object]) -> None:
    """Let `patch` (object, name, new value) put in what tells `reached` of each step's number, before it is made."""
    steps = iter(range(1 << 30))

    def counted(module: Any, name: str) -> None:
        original = getattr(module, name)

        def call(*args: Any, **options: Any) -> Any:
            reached(next(steps), name)
            return original(*args, **options)

        patch(module, name, call)

    for name in CALLS:
        counted(os, name)
    counted(parts.fcntl, "flock")


def die_at_step(step: int) -> None:
    """End this process at that step."""
    count_calls(setattr, lambda number, _: die() if number == step else None)


def die_behind(count: int) -> None:
    """End this process when so many bytes of a body have come, over any connection: the last are not written yet."""
    readinto = Retrieval.readinto
    lock = threading.Lock()
    left = count

    def counting(self: Retrieval, view: memoryview) -> int:
        nonlocal left
        done = readinto(self, view)
        with lock:
            left -= done
            if left <= 0:
                die()
        return done

    Retrieval.readinto = counting  # type: ignore[method-assign]
