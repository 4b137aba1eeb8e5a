"""How a child ends itself with SIGKILL: at a call of the system that changes the disk, or behind a byte of a body."""

from __future__ import annotations

import os
import signal
from typing import Any, Callable, Iterator

from cdn_sigv4 import parts
from cdn_sigv4.retrieval import Retrieval

# All that files.py and parts.py ask of the system, besides writing: the moments between two of these are the steps.
CALLS = ("open", "fsync", "chmod", "chown", "dup", "close", "replace", "unlink", "mkdir", "rmdir")


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
    """End this process when so many bytes of a body have come: the last of them are not written yet."""
    read = Retrieval.read
    left = iter_left(count)

    def counting(self: Retrieval, amount: int) -> bytes:
        block = read(self, amount)
        if left.send(len(block)) <= 0:
            die()
        return block

    Retrieval.read = counting  # type: ignore[method-assign]


def iter_left(count: int) -> Any:
    """A generator which is sent what has come, and says what is left."""

    def run() -> Iterator[int]:
        left = count
        while True:
            left -= yield left  # type: ignore[misc]

    left = run()
    next(left)
    return left
