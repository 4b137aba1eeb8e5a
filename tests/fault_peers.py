"""Runs other clients, boto3 and minio-py, through the table of faults, so that the difference can be shown honestly.

They are judged by the same words: "right", the class of their error, WRONG for what they call a success and is none,
HANG for what does not end. The table's demands are not put to them; neither is anything but the outcome looked at.
Each case has a new client in a process that is ended when it hangs.
"""

from __future__ import annotations

import collections
import concurrent.futures
import importlib.metadata
import json
import queue
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List, Sequence

from fault_operations import CALLS, Scene
from fault_peer import NAP, STALL
from fault_row import RIGHT, SMALL
from fault_runner import HANG, WRONG, Case, Result, misbehaving
from misbehaviour import HealthyStore, MeteredServer

PEERS = {"boto3": "boto3", "minio-py": "minio"}  # and the names of their packages
PROGRAM = Path(__file__).with_name("fault_peer.py")
LIMIT = 15.0  # seconds until a case counts as hanging
STARTING = 60.0  # seconds that a process may take to import its client
WORKERS = 4  # cases at a time
OPEN_AFTER = 0.02  # seconds until a port that refuses for a moment refuses no more

Outcomes = Dict[str, List[Dict[str, Any]]]


class Peer:
    """A process with one of the clients; begun again after a case that hung."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._process: subprocess.Popen[str] | None = None

    def ask(self, asked: dict[str, Any]) -> dict[str, Any] | None:
        """What it ended with; None when it did not end."""
        if self._process is None:
            command = [sys.executable, str(PROGRAM), self._name]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
            if self._told(self._process, {"operation": None}, STARTING) is None:
                raise RuntimeError(f"{self._name} did not start")
        return self._told(self._process, asked, LIMIT)

    def _told(self, process: subprocess.Popen[str], asked: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(asked) + "\n")
        process.stdin.flush()
        lines: list[str] = []
        reading = threading.Thread(target=lambda: lines.append(process.stdout.readline()), daemon=True)
        reading.start()
        reading.join(seconds)
        if reading.is_alive():
            process.kill()
            reading.join()
            self.close()
            return None
        told: dict[str, Any] = json.loads(lines[0])
        return told

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            with process:  # closes the pipes, and waits
                pass


def outcome(peer: Peer, case: Case, folder: Path) -> tuple[str, int]:
    """What came of one case, and the requests that the server saw."""
    scene = Scene(HealthyStore(), case.size, folder)
    scene.prepare(case.operation)
    answers = misbehaving(case, scene)
    with MeteredServer(answers, deaf=case.row.deaf) as server:
        opening = threading.Timer(OPEN_AFTER, server.open)
        if not case.lasting:
            opening.start()
        names = {"operation": case.operation, "size": case.size, "folder": str(folder)}
        told = peer.ask({"endpoint": server.endpoint, **names})
        opening.cancel()
        if not case.lasting:
            opening.join()
        server.errors.clear()  # what a peer sends that is no HTTP is its own affair
        return said(case, scene, told), len(server.requests)


def said(case: Case, scene: Scene, told: dict[str, Any] | None) -> str:
    """The outcome in the words of the table."""
    if told is None:
        return HANG
    if "error" in told:
        return str(told["error"])
    return RIGHT if scene.ended(case.operation, told["value"]) == scene.right(case.operation) else WRONG


def run_all(name: str, cases: Sequence[Case]) -> Iterator[dict[str, Any]]:
    """The outcomes of all cases under one client, in their order."""
    idle: queue.Queue[Peer] = queue.Queue()
    peers = [Peer(name) for _ in range(WORKERS)]
    for each in peers:
        idle.put(each)

    def run(case: Case) -> dict[str, Any]:
        peer = idle.get()
        try:
            with tempfile.TemporaryDirectory(prefix="cdn-sigv4-") as folder:
                ended, requests = outcome(peer, case, Path(folder))
        finally:
            idle.put(peer)
        named = {"fault": case.row.fault, "lasts": case.lasting, "operation": case.operation, "size": case.size_name}
        return {**named, "outcome": ended, "attempts": requests}

    try:
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            yield from pool.map(run, cases)
    finally:
        for each in peers:
            each.close()


def chosen(results: Sequence[Result]) -> list[Result]:
    """One size of each fault in each operation: 1 KiB where there is a case of it."""
    found: dict[tuple[int, str, bool], Result] = {}
    for result in results:
        case = result.case
        name = (id(case.row.spoil), case.operation, case.lasting)
        if case.operation not in CALLS:  # what is done in pieces: each client has its own
            continue
        if name not in found or case.size == SMALL:
            found[name] = result
    return list(found.values())


def run_peers(results: Sequence[Result]) -> Outcomes:
    """Run the peers through the cases of which these are our own results; print both, and the counts."""
    from fault_report import print_table

    own = chosen(results)
    cases = [result.case for result in own]
    found = {name: list(run_all(name, cases)) for name in PEERS}
    columns = [[result.outcome for result in own], *([each["outcome"] for each in found[name]] for name in PEERS)]
    rows = [
        (case.row.fault, case.how, case.operation, case.size_name, *outcomes)
        for case, *outcomes in zip(cases, *columns)
    ]
    print_table([("fault", "", "operation", "size", "cdn_sigv4", *PEERS), *rows])
    print(f"\nThe peers' own retries are what they are by default; they bear {STALL:g} s without a byte, and wait")
    print(f"{NAP:g} s at the most between two tries. Outcomes where the fault passes, and where it lasts:\n")
    names = ["cdn_sigv4", *(f"{name} {importlib.metadata.version(package)}" for name, package in PEERS.items())]
    print_table([("", "", RIGHT, "error", WRONG, HANG), *counts(names, cases, columns)])
    return found


def counts(names: Sequence[str], cases: Sequence[Case], columns: Sequence[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """How often each client ended how."""
    for name, column in zip(names, columns):
        for lasting in (False, True):
            ended = [each for case, each in zip(cases, column) if case.lasting == lasting]
            kinds = collections.Counter(each if each in (RIGHT, WRONG, HANG) else "error" for each in ended)
            how = "lasts" if lasting else "passes"
            yield (name, how, *(str(kinds[kind]) for kind in (RIGHT, "error", WRONG, HANG)))
