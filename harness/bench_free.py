"""The client's own cost, on a server that costs nearly nothing (bench_free_server.py): what it takes of the processor.

The server's own processor time for a request is noted as well, because on few cores it has to share them: where that
is small beside the client's, the server was not what was measured.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Iterator, Mapping

from .bench_big import OBJECT
from .bench_child_small import SMALL, SMALL_KEY
from .bench_files import Source
from .bench_jobs import OURS, Figures, Job, Kind, must_be
from .bench_peers import Client
from .bench_small import per_request
from .bench_store import Store
from .environment import ROOT
from .processes import Child, bare_environment, running
from .values import HarnessError

SERVER = "server's CPU us"
SIGNING = Kind("sign", "signing alone, warm", "us each", more_is_better=False)


class Free:
    """The running server, and what has come to it."""

    def __init__(self, child: Child, port: int, folder: Path) -> None:
        self._child, self._folder = child, folder
        self.store = Store(
            f"http://127.0.0.1:{port}", "bench", "us-east-1", "bench", "bench-secret", "the nearly free server"
        )
        self._before = self._tally()

    def serve(self, source: Source) -> None:
        """Have a file as the object that all download."""
        target = self._folder / OBJECT
        if target.exists():
            raise HarnessError("the nearly free server knows each file once")
        try:
            os.link(source.path, target)
        except OSError:  # on another file system
            shutil.copyfile(source.path, target)

    def mark(self) -> None:
        """Count from now on."""
        self._before = self._tally()

    def arrived(self, _key: str, source: Source) -> None:
        """Compare how many bytes came with the file's size: more is not known here."""
        came = self._since("bytes")
        must_be(came == source.size, f"{came:,.0f} bytes came, and the file has {source.size:,}")

    def arrived_small(self, _prefix: str, expected: Mapping[str, bytes]) -> None:
        """Compare how many uploads and bytes came."""
        came, size = (self._since("puts"), self._since("bytes")), sum(len(data) for data in expected.values())
        must_be(came == (len(expected), size), f"{came} uploads and bytes came, not {len(expected)} and {size}")

    def cost(self, count: int) -> Figures:
        """The server's own time for one of so many requests, in microseconds."""
        return {SERVER: self._since("cpu") / count * 1e6}

    def _since(self, what: str) -> float:
        return self._tally()[what] - self._before[what]

    def _tally(self) -> dict[str, float]:
        stdin, stdout = self._child.process.stdin, self._child.process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write("\n")
            stdin.flush()
            told: dict[str, float] = json.loads(stdout.readline())
        except (OSError, ValueError):
            raise HarnessError(f"the nearly free server has ended; {self._child.last_lines()}") from None
        return told


@contextlib.contextmanager
def start(folder: Path) -> Iterator[Free]:
    """Start it, with a small object in it; its files lie in that folder, which is an empty one."""
    small = folder / SMALL_KEY
    small.parent.mkdir()
    small.write_bytes(SMALL)
    command = [sys.executable, str(ROOT / "harness" / "bench_free_server.py"), str(folder)]
    with running(command, bare_environment(), talk=True) as child:
        assert child.process.stdout is not None
        line = child.process.stdout.readline()
        if not line.strip().isdigit():
            raise HarnessError(f"the nearly free server did not start; {child.last_lines()}")
        yield Free(child, int(line), folder)


def signing(clients: Mapping[str, Client], wanted: set[str]) -> list[Job]:
    """What this package's signature of one request takes, if that is wanted."""

    def signed() -> Figures:
        told = clients[OURS].do("sign")
        return {SIGNING.figure: told["seconds"] / sum(told["counts"]) * 1e6, **per_request(told)}

    return [Job(SIGNING, OURS, signed)] if SIGNING.name in wanted else []
