"""A MinIO of four nodes with a drive each on this one machine, any of which may be killed and started again.

With two of four drives for parity it reads and writes as long as three nodes are there. All listen on 127.0.0.1 alone,
with random root credentials which travel in the environment, never in arguments.
"""

from __future__ import annotations

import contextlib
import functools
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Iterator, Mapping

from .minio_server import SETTINGS, Place, ask, fetch_image, find_engine, new_keys, root_environment
from .processes import (
    STOP_SECONDS,
    Child,
    answers_ok,
    bare_environment,
    free_port,
    running,
    signals_as_interrupt,
    wait_until,
)
from .values import HarnessError, KeyPair

NODES = range(4)
# MINIO_CI_CD: a drive may be a folder of the disk that the system is on. _MINIO_SERVER_LOCAL: which node this one is.
# MinIO finds that out by itself, but not in what it takes for a container (where there is a file /.dockerenv, as
# docker makes it): there it waits for ever for 127.0.0.1 to "resolve to a valid IP". See its cmd/endpoint.go.
OWN_SETTINGS = {**SETTINGS, "MINIO_CI_CD": "1"}
WHICH_NODE = "_MINIO_SERVER_LOCAL"
# Whether the cluster could do without the node that is asked. Of four it can when that node sees the three others.
CAN_SPARE_ME = "/minio/health/cluster?maintenance=true"
ROUNDS, ROUND_SECONDS = 3, 20.0


class NoClusterHereError(HarnessError):
    """What this machine has cannot run a cluster; the text says why."""


@contextlib.contextmanager
def cluster(kind: str, image: str, environ: Mapping[str, str]) -> Iterator[Cluster]:
    """Run the four as "container" or "binary", with their data in volumes or a temporary folder; nothing is left."""
    ports = free_ports()
    with signals_as_interrupt(), contextlib.ExitStack() as stack:
        if kind == "container":
            places = stack.enter_context(in_containers(image, environ, ports))
        elif kind == "binary":
            places = stack.enter_context(as_programs(ports))
        else:
            raise NoClusterHereError(f"{kind} is no MinIO")
        made = Cluster(places, ports, new_keys("root"))
        stack.callback(made.stop)
        made.make_whole()
        yield made


class Cluster:
    """Four nodes, numbered from 0 on as their `endpoints`; port, drive and root credential stay what they were."""

    def __init__(self, places: list[Place], ports: list[int], root: KeyPair) -> None:
        self.endpoints = [f"http://{address(port)}" for port in ports]
        self.root = root
        self._places, self._ports = places, ports
        self._running: dict[int, tuple[Child, contextlib.ExitStack]] = {}

    def start(self, node: int) -> None:
        """Start a node, without waiting until it serves."""
        place = self._places[node]
        which = {WHICH_NODE: address(self._ports[node])}
        environ = {**place.environ, **OWN_SETTINGS, **which, **root_environment(self.root)}
        life = contextlib.ExitStack()
        self._running[node] = life.enter_context(running(place.command, environ)), life

    def kill(self, node: int) -> None:
        """End a node as a power cut would, and wait until it is gone."""
        child, life = self._running[node]
        self._places[node].kill(child)
        child.process.wait(STOP_SECONDS)
        life.close()
        del self._running[node]

    def make_whole(self) -> None:
        """Start what does not run, and wait until every node serves and sees the three others.

        Now and then (once in sixty times) two of them do not find each other again, for more than a minute: then all
        begin anew.
        """
        for _ in range(ROUNDS):
            for node in NODES:
                if node not in self._running:
                    self.start(node)
            if self._is_whole(time.monotonic() + ROUND_SECONDS):
                return
            for node in NODES:
                self.kill(node)
        raise HarnessError(f"the nodes of a MinIO cluster did not find each other, {ROUNDS} times")

    def _is_whole(self, deadline: float) -> bool:
        for node in NODES:
            ready = functools.partial(self._sees_others_or_is_late, node, deadline)
            wait_until(ready, self._running[node][0], f"MinIO, node {node} of a cluster")
        return time.monotonic() < deadline

    def _sees_others_or_is_late(self, node: int, deadline: float) -> bool:
        return answers_ok(self._ports[node], CAN_SPARE_ME) or time.monotonic() > deadline

    def stop(self) -> None:
        """End all that run, kindly and all at once: one that outlives the others waits for them."""
        with contextlib.ExitStack() as lives:
            for child, life in self._running.values():
                lives.push(life)
                child.process.terminate()
            self._running.clear()


@contextlib.contextmanager
def in_containers(image: str, environ: Mapping[str, str], ports: list[int]) -> Iterator[list[Place]]:
    """Give each node a container in this machine's network, and its drive a volume that outlives it until the end."""
    engine = find_engine(environ)
    check_network(engine, environ)
    fetch_image(engine, image, environ)
    names = [f"cdn-sigv4-{secrets.token_hex(6)}-{node}" for node in NODES]
    drives = [f"/drive{node}" for node in NODES]
    start = [engine, "run", "--rm", "--network", "host"]
    for variable in (*OWN_SETTINGS, WHICH_NODE, "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"):
        start += ["-e", variable]
    try:
        yield [
            Place(
                f"in a container ({engine}, image {image})",
                [*start, "--name", name, "--volume", f"{name}:{drive}", image, *server_arguments(port, ports, drives)],
                environ,
                functools.partial(kill_container, engine, environ, name),
            )
            for name, drive, port in zip(names, drives, ports)
        ]
    finally:
        # Ending the clients ends the containers in nearly all cases; this covers the rest.
        ask(engine, environ, "rm", "--force", "--volumes", *names)
        ask(engine, environ, "volume", "rm", "--force", *names)


def check_network(engine: str, environ: Mapping[str, str]) -> None:
    """Refuse an engine whose "host" network is another machine's, or one behind a wall: nobody would hear the nodes."""
    about = ask(engine, environ, "info") or ""
    is_elsewhere = engine == "docker" and ("Docker Desktop" in about or "rootless" in about)
    if is_elsewhere or sys.platform != "linux":
        raise NoClusterHereError(f"{engine}'s `--network host` is not this machine's network here")


def kill_container(engine: str, environ: Mapping[str, str], name: str, _client: Child) -> None:
    """Kill what runs in a container, not the engine's client which waits for it."""
    ask(engine, environ, "kill", name)


@contextlib.contextmanager
def as_programs(ports: list[int]) -> Iterator[list[Place]]:
    """Give the four a folder each, in a temporary one, and run the `minio` found on the PATH."""
    program = shutil.which("minio")
    if program is None:
        raise HarnessError("no minio binary on the PATH")
    with tempfile.TemporaryDirectory(prefix="cdn-sigv4-cluster-") as folder:
        drives = [f"{folder}/drive{node}" for node in NODES]
        for drive in drives:
            Path(drive).mkdir()
        # MinIO keeps its configuration below HOME.
        environ = {**bare_environment(), "HOME": folder}
        yield [
            Place(
                f"({program})",
                [program, *server_arguments(port, ports, drives)],
                environ,
                lambda child: child.process.kill(),
            )
            for port in ports
        ]


def server_arguments(port: int, ports: list[int], drives: list[str]) -> list[str]:
    """Return MinIO's own arguments: its address, and all drives in the one order which all nodes are told."""
    everything = [f"http://{address(each)}{drive}" for each, drive in zip(ports, drives)]
    return ["server", "--quiet", "--address", address(port), *everything]


def address(port: int) -> str:
    """Return host and port as MinIO compares them."""
    return f"127.0.0.1:{port}"


def free_ports() -> list[int]:
    """Return a port for each node."""
    ports: set[int] = set()
    while len(ports) < len(NODES):
        ports.add(free_port())
    return sorted(ports)
