"""What the tests of the short way's connections share: those that a client keeps, and waiting for a server's thread."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Callable

if TYPE_CHECKING:
    from cdn_sigv4 import S3Client


def idle(client: S3Client) -> list[Any]:
    """The connections that the client keeps, open ones and those that are not yet opened."""
    pools = client._exchange._connected()._means().direct._pools.values()
    return [each for pool in pools for each in pool.pool.queue if each is not None]


def until(condition: Callable[[], object]) -> None:
    """Wait for what another thread is about to do."""
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)
