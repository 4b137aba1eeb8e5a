"""`kill -9` at random moments of downloads: what stands there afterwards, and what the next run makes of it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from cdn_sigv4 import S3Client

from .environment import ROOT
from .soak_link import Link
from .soak_store import Store

SIZES = (9 << 20, 24 << 20)  # bytes: all are worth a part
REPLACED_EVERY = 4  # kills after which the object is replaced before the next run
KEY = "models/soak"
SECONDS = 60.0


@dataclass
class Kills:
    """The figures."""

    kills: int = 0
    too_late: int = 0  # the download was over
    old_kept: int = 0
    new_whole: int = 0
    resumed: int = 0
    replaced: int = 0  # kills after which the object was replaced before the next run
    from_start: int = 0  # kills that had left no byte to go on with, or the whole new file
    wanted: int = 0  # bytes of the objects whose download was gone on with
    moved: int = 0  # bytes of answers that this took, both runs together
    wrong: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        """What to print."""
        share = self.moved / self.wanted if self.wanted else 0.0
        return [
            f"kills: {self.kills} (and {self.too_late} that came too late)",
            f"  right after: old file kept {self.old_kept}, new file whole {self.new_whole}",
            f"  next run: resumed {self.resumed}, begun again {self.from_start}, another version {self.replaced}",
            f"  bytes over the wire in both runs, where resumed: {self.moved:,} for {self.wanted:,} ({share:.3f})",
        ]


class Killer:
    """One folder with one target, which is downloaded, killed and downloaded again, as often as asked."""

    def __init__(self, store: Store, seed: int) -> None:
        self.figures = Kills()
        self._store = store
        self._random = random.Random(seed)  # noqa: S311 - no secret
        self._seconds = 0.0  # that a whole download takes
        self._serial = 0

    def run(self, count: int) -> None:
        """Kill so many downloads."""
        with Link(self._store.port) as link, tempfile.TemporaryDirectory(prefix="cdn-sigv4-soak-") as folder:
            self._link, self._target = link, Path(folder) / "model"
            with S3Client(link.endpoint, self._store.credentials, region=self._store.region) as client:
                self._client = client
                old = self._measured()
                while self.figures.kills < count and not self.figures.wrong:
                    old = self._round(old)

    def _new_version(self) -> bytes:
        self._serial += 1
        size = self._random.randrange(*SIZES)
        body = self._random.getrandbits(8 * size).to_bytes(size, "little")
        self._client.put_object(self._store.bucket, KEY, body)
        return body

    def _measured(self) -> bytes:
        """The first version, downloaded in a child that is not killed."""
        body = self._new_version()
        with self._child() as child:
            start = time.monotonic()
            _tell(child, "go")
            if _hear(child) != "done":
                raise RuntimeError("the first download did not end well")
            self._seconds = time.monotonic() - start
        self._must(self._target.read_bytes() == body, "the first download is not the object")
        return body

    def _round(self, old: bytes) -> bytes:
        new = self._new_version()
        before = self._link.down
        is_late = self._kill()
        figures, found = self.figures, self._target.read_bytes()
        self._must(found in (old, new), f"kill {figures.kills}: the target is neither old nor new")
        is_replaced = not is_late and figures.kills % REPLACED_EVERY == 0
        if is_replaced:
            new = self._new_version()
        result = self._client.download_file(self._store.bucket, KEY, self._target)
        self._must(self._target.read_bytes() == new, f"kill {figures.kills}: the next run's file is not the object")
        left = sorted(path.name for path in self._target.parent.iterdir() if path != self._target)
        self._must(not left, f"kill {figures.kills}: left beside the target: {left}")
        if not is_late:
            self._count(found == old, is_replaced, result.bytes_moved < len(new), len(new), self._link.down - before)
        return new

    def _count(self, is_old: bool, is_replaced: bool, is_resumed: bool, size: int, moved: int) -> None:
        figures = self.figures
        figures.old_kept += is_old
        figures.new_whole += not is_old
        if is_replaced:
            figures.replaced += 1
        elif is_resumed:
            figures.resumed += 1
            figures.wanted += size
            figures.moved += moved
        else:
            figures.from_start += 1

    def _kill(self) -> bool:
        """Begin a download in a child, and kill it at some moment; whether that was too late."""
        with self._child() as child:
            _tell(child, "go")
            time.sleep(self._random.uniform(0, 1.1 * self._seconds))
            child.kill()
            is_late = b"done" in (child.stdout.read() if child.stdout is not None else b"")
        self.figures.too_late += is_late
        self.figures.kills += not is_late
        return is_late

    def _child(self) -> subprocess.Popen[bytes]:
        """A child that is ready to begin."""
        child = subprocess.Popen(
            [sys.executable, "-m", "harness.soak_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=str(ROOT),
        )
        store = self._store
        order = {
            "endpoint": self._link.endpoint,
            "region": store.region,
            "bucket": store.bucket,
            "key": KEY,
            "target": str(self._target),
            "access_key": store.access_key,
            "secret_key": store.secret_key,
        }
        _tell(child, json.dumps(order))
        if _hear(child) != "ready":
            child.kill()
            child.wait(SECONDS)
            raise RuntimeError("the child did not get ready")
        return child

    def _must(self, held: bool, claim: str) -> None:
        if not held:
            self.figures.wrong.append(claim)


def _tell(child: subprocess.Popen[bytes], line: str) -> None:
    assert child.stdin is not None
    child.stdin.write(line.encode("utf-8") + b"\n")
    child.stdin.flush()


def _hear(child: subprocess.Popen[bytes]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().decode("utf-8").strip()
