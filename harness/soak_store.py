"""The store of the soak test: a real MinIO where there is one, else the tests' loopback store with its judge."""

from __future__ import annotations

import contextlib
import importlib
import os
import secrets
import sys
from dataclasses import dataclass, field
from typing import Callable, Iterator

from cdn_sigv4 import Credentials, S3Client

from . import servers
from .choice import DEFAULT_REGION
from .environment import ROOT
from .values import HarnessError


@dataclass(frozen=True)
class Store:
    """Where to send what, under which credential."""

    port: int
    bucket: str
    region: str
    access_key: str
    secret_key: str = field(repr=False)

    @property
    def credentials(self) -> Credentials:
        """The key that may do everything."""
        return Credentials(self.access_key, self.secret_key)


@contextlib.contextmanager
def start(say: Callable[[str], None], *, loopback: bool) -> Iterator[Store]:
    """Start the store, with a fresh bucket in it."""
    with contextlib.ExitStack() as stack:
        store = None if loopback else _real(stack, say)
        if store is None:
            store = stack.enter_context(_loopback())
            say(f"server: the tests' loopback store, port {store.port}")
        with S3Client(f"http://127.0.0.1:{store.port}", store.credentials, region=store.region) as client:
            client.create_bucket(store.bucket)
        yield store


def _real(stack: contextlib.ExitStack, say: Callable[[str], None]) -> Store | None:
    """What harness/servers.py starts, if it is a MinIO, or what CDN_TEST_SERVER demands."""
    forced = os.environ.get("CDN_TEST_SERVER")
    for kind in [forced] if forced else ["container", "binary"]:
        try:
            server = stack.enter_context(servers.start({**os.environ, "CDN_TEST_SERVER": kind}, say=say))
        except HarnessError as error:
            if forced:
                raise
            say(f"server: not {kind}: {error}")
            continue
        port = int(server.endpoint.rpartition(":")[2])
        return Store(port, _bucket(), server.region, server.root_access_key, server.root_secret_key)
    return None


@contextlib.contextmanager
def _loopback() -> Iterator[Store]:
    if str(ROOT / "tests") not in sys.path:
        sys.path.insert(0, str(ROOT / "tests"))
    rawserver = importlib.import_module("rawserver")
    keys = {"SOAKKEY": secrets.token_hex(20)}
    with rawserver.RawServer(rawserver.MemoryStore(keys), timeout=60.0) as server:
        server._record = lambda _request: None  # noqa: SLF001 - it would keep every request, with its body
        yield Store(server.port, _bucket(), DEFAULT_REGION, "SOAKKEY", keys["SOAKKEY"])


def _bucket() -> str:
    return f"cdn-soak-{secrets.token_hex(4)}"
