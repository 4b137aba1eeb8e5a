"""A process with one of the clients, made once: reads an order a line, does it, says in a line what came of it.

Run by bench_peers.py. Every client is as its documentation recommends, with its defaults. What is timed is the call
alone, in here, by the clock and by the processor's time of all threads.
"""

from __future__ import annotations

import gc
import io
import json
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, Callable, Dict

from .bench_jobs import OURS

SMALL = b"x" * 1024
SMALL_KEY = "bench/small"
Told = Dict[str, object]


class Ours:
    """This package."""

    def __init__(self, order: dict[str, str]) -> None:
        from cdn_sigv4 import Credentials, S3Client

        credentials = Credentials(order["access_key"], order["secret_key"])
        self.client = S3Client(order["endpoint"], credentials, region=order["region"])
        self.bucket = order["bucket"]

    def warm_up(self) -> Told:
        """One small put and get."""
        self.client.put_object(self.bucket, SMALL_KEY, SMALL)
        with self.client.get_object(self.bucket, SMALL_KEY) as reader:
            return {"is_right": reader.read() == SMALL}

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


class Boto3:
    """boto3 with its default TransferConfig."""

    def __init__(self, order: dict[str, str]) -> None:
        import boto3

        self.client: Any = boto3.client(
            "s3",
            order["region"],
            endpoint_url=order["endpoint"],
            aws_access_key_id=order["access_key"],
            aws_secret_access_key=order["secret_key"],
        )
        self.bucket = order["bucket"]

    def warm_up(self) -> Told:
        """One small put and get."""
        self.client.put_object(Bucket=self.bucket, Key=SMALL_KEY, Body=SMALL)
        return {"is_right": self.client.get_object(Bucket=self.bucket, Key=SMALL_KEY)["Body"].read() == SMALL}

    def load(self, path: str) -> Told:
        """Have a file's bytes in memory: as bytes, because BytesIO takes these, and no others, without a copy."""
        self.loaded = Path(path).read_bytes()
        return {}

    def put_memory(self, key: str) -> Told:
        """What is in memory, up."""
        self.client.upload_fileobj(io.BytesIO(self.loaded), self.bucket, key)
        return {}

    def put_file(self, key: str, path: str) -> Told:
        """A file, up."""
        with Path(path).open("rb") as file:
            self.client.upload_fileobj(file, self.bucket, key)
        return {}

    def get_file(self, key: str, path: str) -> Told:
        """A file, down."""
        self.client.download_file(self.bucket, key, path)
        return {}


class MinioPy:
    """minio-py."""

    def __init__(self, order: dict[str, str]) -> None:
        from minio import Minio

        host = order["endpoint"].partition("://")[2]
        keys = order["access_key"], order["secret_key"]
        # By position the names of these differ between its versions.
        self.client: Any = Minio(host, access_key=keys[0], secret_key=keys[1], secure=False, region=order["region"])
        self.bucket = order["bucket"]

    def warm_up(self) -> Told:
        """One small put and get."""
        self.client.put_object(self.bucket, SMALL_KEY, io.BytesIO(SMALL), len(SMALL))
        answer = self.client.get_object(self.bucket, SMALL_KEY)
        try:
            return {"is_right": answer.read() == SMALL}
        finally:
            answer.close()
            answer.release_conn()

    def load(self, path: str) -> Told:
        """Have a file's bytes in memory: as bytes, because BytesIO takes these, and no others, without a copy."""
        self.loaded = Path(path).read_bytes()
        return {}

    def put_memory(self, key: str) -> Told:
        """What is in memory, up."""
        self.client.put_object(self.bucket, key, io.BytesIO(self.loaded), len(self.loaded))
        return {}

    def put_file(self, key: str, path: str) -> Told:
        """A file, up."""
        self.client.fput_object(self.bucket, key, path)
        return {}

    def get_file(self, key: str, path: str) -> Told:
        """A file, down."""
        self.client.fget_object(self.bucket, key, path)
        return {}


PEERS: dict[str, Any] = {OURS: Ours, "boto3": Boto3, "minio-py": MinioPy}


def die_behind(point: int | None) -> Callable[[int, int | None], None]:
    """What hears of the progress, and ends this process with SIGKILL when it has passed so many bytes of the object."""

    def progress(done: int, _total: int | None) -> None:
        if point is not None and done >= point:
            # Past Python's buffers, at once: what comes after the next line never happens.
            os.write(1, (json.dumps({"killed_at": done}) + "\n").encode("ascii"))
            os.kill(os.getpid(), signal.SIGKILL)

    return progress


def obeyed(peer: Any, order: dict[str, Any]) -> Told:
    """Do one operation, and say how long it took; or what went wrong."""
    operation = getattr(peer, order.pop("do"))
    try:
        start, start_cpu = time.perf_counter(), time.process_time()
        told = operation(**order)
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}
    gc.collect()  # what one operation has left is not the next one's to put away
    return {**told, "seconds": seconds, "cpu": cpu}


def main() -> None:
    """Make the client that the first line describes, then do what the others say."""
    order = json.loads(sys.stdin.readline())
    peer = PEERS[order["peer"]](order)
    for line in sys.stdin:
        print(json.dumps(obeyed(peer, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
