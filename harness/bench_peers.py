"""The clients that are compared, each in a process of its own (bench_child.py): its start, its orders, its end."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
import select
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, Iterator

from .bench_jobs import BOTO3, MINIO, OBSTORE, OURS, PEERS, REQUESTS, WrongError
from .bench_store import Store
from .environment import ROOT
from .processes import Child, bare_environment, running

MODULES = {OURS: "cdn_sigv4", BOTO3: "boto3", MINIO: "minio", OBSTORE: "obstore", REQUESTS: "requests_aws4auth"}
PACKAGES = (
    *("cdn-sigv4", "requests", "urllib3", "boto3", "botocore", "s3transfer", "awscrt", "minio", "obstore"),
    "requests-aws4auth",
)
SECONDS = 300.0  # that an operation may take: 1 GiB at 4 MB/s
TICK = 0.5  # seconds between two looks whether an operation is over, where nobody wants to look in between
Told = Dict[str, Any]


def installed() -> list[str]:
    """Those of the peers that are here: obstore has no version for every Python."""
    return [peer for peer in PEERS if importlib.util.find_spec(MODULES[peer]) is not None]


def versions() -> dict[str, str]:
    """Those of the packages that are installed; boto3 works differently where awscrt is."""
    found = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


class Client:
    """A process with one client in it, ready: it has made one small put and get."""

    def __init__(self, child: Child) -> None:
        self._child = child

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._child.process.pid

    def do(self, operation: str, *, meanwhile: Callable[[], None] | None = None, **order: object) -> Told:
        """What an operation came to; `meanwhile` is called each millisecond until it is over."""
        told = self.attempt(operation, meanwhile=meanwhile, **order)
        if "error" in told:
            raise WrongError(told["error"])
        if told.get("is_right") is False:
            raise WrongError(f"{operation} was not right")
        return told

    def attempt(self, operation: str, *, meanwhile: Callable[[], None] | None = None, **order: object) -> Told:
        """The same, errors included; what a process that killed itself said at last counts as well."""
        self.tell({"do": operation, **order})
        stdout, deadline = self._child.process.stdout, time.monotonic() + SECONDS
        assert stdout is not None
        while not select.select([stdout], [], [], TICK if meanwhile is None else 0.001)[0]:
            if time.monotonic() > deadline:
                raise WrongError(f"{operation} was not over in {SECONDS:.0f} s")
            if meanwhile is not None:
                meanwhile()
        line = stdout.readline()
        if not line:
            raise WrongError(f"the process ended: {self._child.last_lines()}")
        told: Told = json.loads(line)
        return told

    def tell(self, order: dict[str, object]) -> None:
        """Write a line to it."""
        stdin = self._child.process.stdin
        assert stdin is not None
        try:
            stdin.write(json.dumps(order) + "\n")
            stdin.flush()
        except OSError:
            raise WrongError(f"the process has ended: {self._child.last_lines()}") from None

    def wait(self) -> None:
        """Until the process that killed itself is gone."""
        self._child.process.wait(SECONDS)


@contextlib.contextmanager
def client(peer: str, store: Store, home: Path) -> Iterator[Client]:
    """A process with a client of that name, which has nothing of the user's settings; `home` is an empty folder."""
    command = [sys.executable, "-m", "harness.bench_child"]
    environ = {**bare_environment(), "HOME": str(home), "PYTHONPATH": str(ROOT)}
    with running(command, environ, talk=True) as child:
        made = Client(child)
        made.tell(
            {
                "peer": peer,
                "endpoint": store.endpoint,
                "bucket": store.bucket,
                "region": store.region,
                "access_key": store.access_key,
                "secret_key": store.secret_key,
            }
        )
        made.do("warm_up")
        yield made
