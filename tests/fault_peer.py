"""One other client, as a process of its own: reads one operation a line, and writes what it ended with.

Run by fault_peers.py with the client's name. Everything is as the client has it by default but this: it bears `STALL`
seconds without a byte instead of a minute (boto3) or five (minio-py), waits no longer than `NAP` between its tries, and
sends 9 MiB in one part.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict
from urllib.parse import urlsplit

from fault_operations import CONTENTS, digest
from kit import BUCKET, KEY, SECRET
from misbehaviour import OBJECT

STALL = 0.4  # seconds
NAP = 0.05  # seconds
CONNECT = 2.0  # seconds
ONE_PART = 64 << 20  # bytes

Calls = Dict[str, Callable[[int, Path], Any]]


def boto3_calls(endpoint: str) -> Calls:
    """boto3's operations."""
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=CONNECT, read_timeout=STALL)
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
    client = boto3.client("s3", "us-east-1", endpoint_url=endpoint, config=config, **keys)
    named = {"Bucket": BUCKET, "Key": OBJECT}

    def head() -> list[Any]:
        answer = client.head_object(**named)
        return [answer.get("ContentLength"), answer.get("ETag")]

    def listed() -> list[Any]:
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        entries = [entry for page in pages for entry in page.get("Contents", [])]
        return [[entry["Key"], entry["Size"], entry["ETag"]] for entry in entries]

    return {
        "put": lambda size, folder: client.put_object(Body=CONTENTS[size], **named) and None,
        "get": lambda size, folder: digest(client.get_object(**named)["Body"].read()),
        "download": lambda size, folder: client.download_file(BUCKET, OBJECT, str(folder / "file")),
        "head": lambda size, folder: head(),
        "list": lambda size, folder: listed(),
        "delete": lambda size, folder: client.delete_object(**named) and None,
    }


def minio_calls(endpoint: str) -> Calls:
    """minio-py's operations."""
    import io

    from minio import Minio
    from urllib3 import Timeout

    client = Minio(urlsplit(endpoint).netloc, KEY, SECRET, secure=False, region="us-east-1")
    client._http.connection_pool_kw["timeout"] = Timeout(connect=CONNECT, read=STALL)

    def get() -> str:
        answer = client.get_object(BUCKET, OBJECT)
        try:
            return digest(answer.read())
        finally:
            answer.close()
            answer.release_conn()

    def head() -> list[Any]:
        found = client.stat_object(BUCKET, OBJECT)
        return [found.size, f'"{found.etag}"' if found.etag else None]

    def put(size: int) -> None:
        # In one part: the faults are at its one request.
        client.put_object(BUCKET, OBJECT, io.BytesIO(CONTENTS[size]), size, part_size=ONE_PART)

    def listed() -> list[Any]:
        found = client.list_objects(BUCKET, recursive=True)
        return [[entry.object_name, entry.size, f'"{entry.etag}"'] for entry in found]

    return {
        "put": lambda size, folder: put(size),
        "get": lambda size, folder: get(),
        "download": lambda size, folder: client.fget_object(BUCKET, OBJECT, str(folder / "file")) and None,
        "head": lambda size, folder: head(),
        "list": lambda size, folder: listed(),
        "delete": lambda size, folder: client.remove_object(BUCKET, OBJECT),
    }


CLIENTS = {"boto3": boto3_calls, "minio-py": minio_calls}


def main() -> None:
    """Do what is asked, line by line."""
    sleep = time.sleep
    time.sleep = lambda seconds: sleep(min(seconds, NAP))
    make = CLIENTS[sys.argv[1]]
    make("http://127.0.0.1:9")  # imports it, and nothing is sent
    for line in sys.stdin:
        asked = json.loads(line)
        told: dict[str, Any] = {"value": None}
        try:
            if asked["operation"] is not None:
                told = {"value": make(asked["endpoint"])[asked["operation"]](asked["size"], Path(asked["folder"]))}
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
            told = {"error": type(error).__name__, "text": str(error)[:300]}
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
