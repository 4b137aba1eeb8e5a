"""This package as a client of the benchmark's."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path
from typing import Callable

from .bench_child_small import SMALL_KEY, Peer, Told

SIGNED = 20_000  # signatures in one measurement


class Ours(Peer):
    """This package."""

    def __init__(self, order: dict[str, str]) -> None:
        from cdn_sigv4 import Credentials, S3Client

        self.credentials = Credentials(order["access_key"], order["secret_key"])
        self.client = S3Client(order["endpoint"], self.credentials, region=order["region"])
        self.bucket, self.endpoint, self.region = order["bucket"], order["endpoint"], order["region"]

    def put_small(self, key: str, data: bytes) -> object:
        """Store a small object."""
        return self.client.put_object(self.bucket, key, data)

    def get_small(self, key: str) -> bytes:
        """A small object's bytes."""
        with self.client.get_object(self.bucket, key) as reader:
            return reader.read()

    def save_small(self, key: str, path: str) -> None:
        """A small object as a file."""
        self.client.download_file(self.bucket, key, path, durable=False)

    def keep_small(self, key: str, path: str) -> None:
        """A small object as a file that the disk has."""
        self.client.download_file(self.bucket, key, path)

    def sign(self) -> Told:
        """Signatures of a plain GET, with all that is kept from one to the next."""
        from cdn_sigv4.endpoint import Endpoint
        from cdn_sigv4.s3 import object_request, signed

        request, endpoint = object_request("GET", self.bucket, SMALL_KEY), Endpoint(self.endpoint)
        credentials, region, timestamp = self.credentials, self.region, time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        start, start_cpu = time.perf_counter(), time.process_time()
        for _ in range(SIGNED):
            signed(request, endpoint, credentials, region=region, timestamp=timestamp)
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
        return {"counts": [SIGNED], "seconds": seconds, "cpu": cpu}

    def load(self, path: str) -> Told:
        """Have a file's bytes in memory, as the callers of this package do: in a bytearray."""
        self.loaded = bytearray(Path(path).stat().st_size)
        with Path(path).open("rb") as file:
            return {"is_right": file.readinto(self.loaded) == len(self.loaded)}

    def put_memory(self, key: str) -> Told:
        """What is in memory, up."""
        self.client.put_object(self.bucket, key, self.loaded)
        return {}

    def put_file(self, key: str, path: str) -> Told:
        """A file, up."""
        return {"verified": self.client.upload_file(self.bucket, key, path).verified}

    def get_file(self, key: str, path: str) -> Told:
        """A file, down; nobody else waits for the disk, so neither does it."""
        return {"verified": self.client.download_file(self.bucket, key, path, durable=False).verified}

    def put_killed(self, key: str, path: str, folder: str, part_size: int, max_workers: int, point: int | None) -> Told:
        """A file, up, going on where an earlier run was killed; killed behind `point` bytes, if given."""
        result = self.client.upload_file(
            self.bucket,
            key,
            path,
            part_size=part_size,
            max_workers=max_workers,
            progress=die_behind(point),
            resume=True,
            state_dir=folder,
        )
        return {"verified": result.verified, "moved": result.bytes_moved}

    def get_killed(self, key: str, path: str, point: int | None) -> Told:
        """A file, down, going on where an earlier run was killed; killed behind `point` bytes, if given."""
        result = self.client.download_file(self.bucket, key, path, progress=die_behind(point))
        return {"verified": result.verified, "moved": result.bytes_moved}


def die_behind(point: int | None) -> Callable[[int, int | None], None]:
    """What hears of the progress, and ends this process with SIGKILL when it has passed so many bytes of the object."""

    def progress(done: int, _total: int | None) -> None:
        if point is not None and done >= point:
            # Past Python's buffers, at once: what comes after the next line never happens.
            os.write(1, (json.dumps({"killed_at": done}) + "\n").encode("ascii"))
            os.kill(os.getpid(), signal.SIGKILL)

    return progress
