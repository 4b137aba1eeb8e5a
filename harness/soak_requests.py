"""Many requests of all kinds by several threads over a bad link: each result is compared with what it must be."""

from __future__ import annotations

import collections
import gc
import hashlib
import random
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

from cdn_sigv4 import CDNError, NotFound, PreconditionFailed, Retry, S3Client
from cdn_sigv4.retry import Event

from .soak_link import Chance, Link
from .soak_store import Store

THREADS = 8
MOST = 200_000  # bytes of an object
KEYS = 20  # names of a thread's objects: each is taken again and again
FEW, MANY = 3, 15  # of its objects, between which it keeps
MEAN = 400_000  # bytes of answers after which a connection breaks, on average
SETTLE = 5.0  # seconds
TIMEOUT = (5.0, 1.0)  # seconds; a stall costs the second of these
KINDS = ("put", "get", "get", "part", "head", "list", "delete", "download", "upload", "missing", "refused")


@dataclass
class Requests:
    """The figures."""

    calls: int = 0
    errors: collections.Counter[str] = field(default_factory=collections.Counter)
    events: collections.Counter[str] = field(default_factory=collections.Counter)
    broken: collections.Counter[str] = field(default_factory=collections.Counter)
    handles: tuple[int, int] = (0, 0)
    threads: tuple[int, int] = (0, 0)
    memory: tuple[int, int] = (0, 0)  # KiB resident
    wrong: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """What to print."""
        return [
            f"calls: {self.calls}, by {THREADS} threads with one client",
            f"  connections broken by the link: {_listed(self.broken)}",
            f"  attempts that failed, and were made good: {_listed(self.events)}",
            f"  errors in the end, all of them asked for: {_listed(self.errors)}",
            f"  file handles before {self.handles[0]}, after {self.handles[1]}",
            f"  threads before {self.threads[0]}, after {self.threads[1]}",
            f"  memory after a tenth {self.memory[0]:,} KiB, at the end {self.memory[1]:,} KiB",
        ]


def _listed(counter: collections.Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counter.items())) or "none"


class Requester:
    """So many calls, shared out among the threads."""

    def __init__(self, store: Store, seed: int) -> None:
        self.figures = Requests()
        self._store, self._seed = store, seed
        self._lock = threading.Lock()
        self._left = self._memory_at = 0

    def run(self, count: int) -> None:
        """Make so many calls, and count what is open before and after."""
        self._seed += 1
        gc.collect()
        handles, threads = _handles(), threading.active_count()
        with Link(self._store.port, Chance(self._seed, MEAN)) as link, tempfile.TemporaryDirectory(
            prefix="cdn-sigv4-soak-"
        ) as folder:
            self._left, self._memory_at = count, count - count // 10
            with S3Client(
                link.endpoint,
                self._store.credentials,
                region=self._store.region,
                timeout=TIMEOUT,
                retry=Retry(budget=120.0, cap=0.5),
                on_event=self._heard,
            ) as client:
                workers = [
                    threading.Thread(target=self._work, args=(client, number, Path(folder)))
                    for number in range(THREADS)
                ]
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.join()
            left = sorted(path.name for path in Path(folder).iterdir() if path.name.startswith("."))
            if left:
                self.figures.wrong.append(f"left in the folder: {left}")
        self.figures.broken.update(link.broken)
        _settle(handles, threads)
        self.figures.handles = handles, _handles()
        self.figures.threads = threads, threading.active_count()
        self.figures.memory = self.figures.memory[0], _memory()
        for name in ("handles", "threads"):
            before, after = getattr(self.figures, name)
            if after > before:
                self.figures.wrong.append(f"{name}: {before} before, {after} after")

    def _heard(self, event: Event) -> None:
        cause = getattr(event.error, "cause", None) or event.error.status
        with self._lock:
            self.figures.events[f"{event.kind} after {type(event.error).__name__} ({cause})"] += 1

    def _taken(self) -> bool:
        """Whether there is one more call to make."""
        with self._lock:
            if self._left <= 0 or self.figures.wrong:
                return False
            self._left -= 1
            self.figures.calls += 1
            if self._left == self._memory_at and not self.figures.memory[0]:
                self.figures.memory = _memory(), 0
        return True

    def _work(self, client: S3Client, number: int, folder: Path) -> None:
        worker = Worker(client, self._store.bucket, f"{self._seed}/{number}", folder / f"{number}")
        while self._taken():
            kind = worker.random.choice(KINDS)
            try:
                error = worker.call(kind)
            except (CDNError, OSError, ValueError, AssertionError) as wrong:
                with self._lock:
                    self.figures.wrong.append(f"{kind}: {type(wrong).__name__}: {wrong}")
                return
            if error is not None:
                with self._lock:
                    self.figures.errors[error] += 1


class Worker:
    """One thread's objects, which it alone changes: it knows what each answer must be."""

    def __init__(self, client: S3Client, bucket: str, name: str, path: Path) -> None:
        self.random = random.Random(name)  # noqa: S311 - no secret
        self._client, self._bucket, self._name, self._path = client, bucket, name, path
        self._objects: dict[str, bytes] = {}
        self._serial = 0

    def call(self, kind: str) -> str | None:
        """One call; the class of the error where one was asked for. AssertionError for what is not as it must be."""
        if not self._objects or (kind == "delete" and len(self._objects) < FEW):
            kind = "put"
        if len(self._objects) > MANY:
            kind = "delete"
        key = self._random_key()
        done: Callable[[str], str | None] = getattr(self, f"_{kind}")
        return done(key)

    def _random_key(self) -> str:
        return self.random.choice(sorted(self._objects)) if self._objects else ""

    def _new(self) -> tuple[str, bytes]:
        self._serial += 1
        size = self.random.randrange(MOST)
        key = f"{self._name}/{self._serial % KEYS}"  # some are new, some take another's place
        return key, self.random.getrandbits(8 * size + 8).to_bytes(size + 1, "little")

    def _put(self, _: str) -> None:
        key, body = self._new()
        _same(self._client.put_object(self._bucket, key, body).etag, _tag(body))
        self._objects[key] = body

    def _upload(self, _: str) -> None:
        key, body = self._new()
        self._path.write_bytes(body)
        _same(self._client.upload_file(self._bucket, key, self._path).info.etag, _tag(body))
        self._objects[key] = body

    def _get(self, key: str) -> None:
        with self._client.get_object(self._bucket, key) as reader:
            _same(reader.read(), self._objects[key])

    def _part(self, key: str) -> None:
        body = self._objects[key]
        start = self.random.randrange(len(body))
        with self._client.get_object(self._bucket, key, start=start) as reader:
            _same(b"".join(iter(lambda: reader.read(10_000), b"")), body[start:])

    def _head(self, key: str) -> None:
        _same(self._client.head_object(self._bucket, key).etag, _tag(self._objects[key]))

    def _list(self, _: str) -> None:
        listed = {entry.key: entry.size for entry in self._client.list_objects(self._bucket, f"{self._name}/")}
        _same(listed, {key: len(body) for key, body in self._objects.items()})

    def _delete(self, key: str) -> None:
        self._client.delete_object(self._bucket, key)
        del self._objects[key]

    def _download(self, key: str) -> None:
        self._client.download_file(self._bucket, key, self._path)
        _same(self._path.read_bytes(), self._objects[key])

    def _missing(self, _: str) -> str:
        try:
            self._client.download_file(self._bucket, f"{self._name}/missing", self._path)
        except NotFound:
            return "NotFound"
        raise AssertionError("what is not there was found")

    def _refused(self, key: str) -> str:
        try:
            self._client.get_object(self._bucket, key, if_match='"another"')
        except PreconditionFailed:
            return "PreconditionFailed"
        raise AssertionError("a condition that does not hold was no error")


def _tag(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'  # noqa: S324 - S3's entity tag


def _same(found: Any, expected: Any) -> None:
    if found != expected:
        raise AssertionError(f"{found!r:.200} instead of {expected!r:.200}")


def _settle(handles: int, threads: int) -> None:
    """Wait a while for what is on its way to its end: the loopback store closes after its clients."""
    deadline = time.monotonic() + SETTLE
    while (_handles() > handles or threading.active_count() > threads) and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.05)


def _handles() -> int:
    """The number of files and sockets that this process has open, 0 where the system does not say."""
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.is_dir() else 0


def _memory() -> int:
    """KiB of memory that this process has in use, 0 where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    lines = status.read_text("ascii", "replace").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS:")), 0)
