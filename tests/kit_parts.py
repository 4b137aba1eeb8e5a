"""What the tests of parts, kills and processes share: objects worth a part, the folder of a download, and children."""

from __future__ import annotations

import dataclasses
import functools
import gc
import json
import multiprocessing
import os
import pathlib
import random
import sys
import threading
from typing import TYPE_CHECKING, Any, Callable, Sequence

import pytest
from kit import BUCKET, KEY, LONG, SECRET
from kit_files import content

from cdn_sigv4 import Credentials, Retry, S3Client, TransferResult, TransportError, parts
from cdn_sigv4.transfer import RESUME_LEAST

if TYPE_CHECKING:
    from rawserver import Answer, MemoryStore, RawRequest, RawServer

MIB = 1 << 20
SIZE = RESUME_LEAST + 12_345  # bytes: a part of it is kept, and nothing fits a block by luck
OLD = b"old"
VICTIM = b"precious"
NOBODY = 65534
BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id")
BOOT = BOOT_ID.read_text("ascii").strip() if BOOT_ID.exists() else None
IS_ROOT = getattr(os, "geteuid", lambda: 1)() == 0


def forking(test: Any) -> Any:
    """Mark a test that forks, which from Python 3.12 on warns beside running threads: no child touches the server's."""
    test = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")(test)
    can_fork = "fork" in multiprocessing.get_all_start_methods()
    return pytest.mark.skipif(not can_fork, reason="this system cannot fork")(test)


@functools.lru_cache(maxsize=None)
def made(seed: int, size: int = SIZE) -> bytes:
    """An object's bytes, the same for the same seed."""
    return random.Random(seed).getrandbits(8 * size + 8).to_bytes(size + 1, "little")[:size]  # before 3.9 not of 0


class Room:
    """A folder in which the target `model` stands or is to come, the store it comes from, and what lies beside it."""

    def __init__(self, folder: pathlib.Path, server: RawServer, store: MemoryStore) -> None:
        self.folder, self.server, self.store = folder, server, store
        self.target = folder / "model"
        self.part = self.numbered(0)
        self.record = pathlib.Path(parts._stem(str(self.target)) + "json")

    def numbered(self, number: int) -> pathlib.Path:
        """The part of this number."""
        return pathlib.Path(f"{parts._stem(str(self.target))}{number}")

    def put(self, body: bytes, key: str = "key", **headers: str) -> bytes:
        """Put an object into the store; its bytes."""
        self.store.put(BUCKET, key, body, headers)
        return body

    def client(self, **options: Any) -> S3Client:
        """A client that tries again, but for ever, as the clock of many threads may go on without it."""
        credentials = Credentials(KEY, SECRET)
        return S3Client(
            self.server.endpoint, credentials, **{"timeout": (5, LONG), "retry": Retry(budget=1e6), **options}
        )

    def download(
        self,
        key: str = "key",
        *,
        retry: Retry | None = Retry(budget=1e6),  # noqa: B008 - a value that nothing changes
        etag_is_md5: bool = True,
        **options: Any,
    ) -> TransferResult:
        """Save the object as the target, with a client of its own."""
        with self.client(retry=retry, etag_is_md5=etag_is_md5) as client:
            return client.download_file(BUCKET, key, self.target, **options)

    def break_at(self, count: int, key: str = "key", **options: Any) -> None:
        """Run a download whose link breaks behind `count` bytes, and which leaves its part and its record."""
        answer, self.server.answer = self.server.answer, self.cutting(count)
        with pytest.raises(TransportError):
            self.download(key, retry=None, **options)
        self.server.answer = answer
        assert set(self.left()) == {self.part.name, self.record.name}

    def cutting(self, count: int) -> Callable[[RawRequest], Answer]:
        """The store, over a link that breaks behind so many bytes of each body."""
        return lambda request: dataclasses.replace(self.store(request), cut_after=count)

    def left(self) -> list[str]:
        """What is in the folder beside the target."""
        return [name for name in content(self.folder) if name != self.target.name]

    def trusted(self) -> int:
        """The number of bytes that the next run may trust, by the rules as this test knows them: a plain count."""
        if not self.kept():
            return 0
        record, _ = self.lines()
        known = bytearray(min(self.part.stat().st_size, record["size"]))
        for first, end in self.noted():
            length = min(end, len(known)) - first
            if length > 0:
                known[first : first + length] = b"\1" * length
        return min(known.count(1), record["size"] - 1)

    def noted(self) -> list[Any]:
        """The ranges that both lines of the record speak of, the second one only where it is of this boot."""
        record, jotted = self.lines()
        return record["synced"] + (jotted["here"] if jotted["boot"] == BOOT else [])

    def check_noted(self, body: bytes) -> None:
        """Demand that the part has these bytes wherever the record speaks of it."""
        if not self.kept():
            return
        data = self.part.read_bytes()
        for first, end in self.noted():
            if data[first:end] != body[first:end]:
                raise AssertionError(f"what is noted of the part, {first} to {end}, is not in it")

    def power_cut(self, body: bytes) -> None:
        """Do to the folder what a power cut may do: another boot, and garbage where the disk was not waited for."""
        if not self.kept():
            return
        self.jot(boot="of another start")
        data = bytearray(len(self.part.read_bytes()))
        for first, end in self.noted():
            data[first:end] = body[first:end]
        self.part.write_bytes(data)

    def kept(self) -> bool:
        """Whether a part with some bytes and its record are there."""
        return self.record.exists() and self.part.exists() and self.part.stat().st_size > 0

    def check(self, *bodies: bytes) -> None:
        """Demand that the target has the bytes of one of these, and is alone."""
        if self.left():
            raise AssertionError(f"left beside the target: {self.left()}")
        self.check_target(*bodies)

    def check_target(self, *bodies: bytes) -> None:
        """Demand that the target has the bytes of one of these, whatever is beside it."""
        found = self.target.read_bytes()
        if found not in bodies:
            raise AssertionError(f"the target's {len(found)} bytes are those of nothing that it may be")

    def lines(self) -> tuple[Any, Any]:
        """The record, and what is jotted below it."""
        first, second = self.record.read_text("ascii").splitlines()[:2]
        return json.loads(first), json.loads(second)

    def edit(self, **fields: Any) -> None:
        """Change fields of the record, of its headers those that `headers` names; the line below stays."""
        record, jotted = self.lines()
        fields["headers"] = {**record["headers"], **fields.get("headers", {})}
        self.write_lines({**record, **fields}, jotted)

    def jot(self, **fields: Any) -> None:
        """Change fields of the line below the record."""
        record, jotted = self.lines()
        self.write_lines(record, {**jotted, **fields})

    def write_lines(self, *lines: Any) -> None:
        """Put these values in the place of the record's lines."""
        self.record.write_text("".join(json.dumps(line) + "\n" for line in lines), "ascii")

    def says(self, *here: tuple[int, int], synced: Sequence[tuple[int, int]] = ()) -> None:
        """Let the record say that these ranges are written, and those on the disk."""
        self.edit(synced=[list(each) for each in synced])
        self.jot(here=[list(each) for each in here])

    def ranges(self) -> list[str | None]:
        """The ranges asked for by the GETs that came, in their order."""
        return [each.header("range") for each in self.server.requests if each.method == "GET"]


def start_child(task: Callable[..., object], *args: object) -> multiprocessing.Process:
    """A forked child that runs `task`."""

    def run() -> None:
        sys.settrace(None)  # the coverage of a child is kept by nobody, and what its parent holds is no garbage
        threading.settrace(None)  # type: ignore[arg-type]
        gc.freeze()
        task(*args)

    child = multiprocessing.get_context("fork").Process(target=run)
    child.start()
    return child  # type: ignore[return-value]


def ended(child: multiprocessing.Process) -> int | None:
    """Its exit code: 0, 1 after an exception, -9 where it was killed; None, and its end, when it hangs."""
    child.join(LONG)
    code = child.exitcode
    if code is None:
        child.kill()
        child.join()
    return code


def in_child(task: Callable[..., object], *args: object) -> int | None:
    """Run `task` in a forked child; its exit code."""
    return ended(start_child(task, *args))


def as_nobody(task: Callable[[], object]) -> int | None:
    """Run `task` in a forked child which is not root; its exit code."""

    def drop_rights() -> None:
        if IS_ROOT:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        task()

    return in_child(drop_rights)
