"""What a process costs that begins from nothing: import, and the whole of a job that is one put and one get.

Each is a program of a few lines, as its documentation begins, run by a fresh Python whose byte code is there already.
Of imports the same Python with nothing to import is taken off: the time of its whole life, and its peak of memory.
"""

from __future__ import annotations

import contextlib
import functools
import subprocess
import sys
import time
from pathlib import Path
from typing import Sequence

from .bench_jobs import BOTO3, MINIO, OBSTORE, OURS, REQUESTS, Figures, Job, Kind, WrongError, must_be
from .bench_store import Judge, Store
from .processes import bare_environment

MS, MEMORY = "ms", "MiB"
COLD = Kind("cold", "cold process: import, one put, one get", MS, more_is_better=False)
IMPORT = Kind("import", "import (bare Python: without any)", MS, more_is_better=False)
KINDS = (COLD, IMPORT)
BARE = "bare Python"
SECONDS = 60.0  # that any of them may take

KEYS = """
import os
endpoint, bucket, region, access_key, secret_key = os.environ["BENCH_STORE"].split()
data = b"x" * 1024
"""
PROGRAMS = {
    OURS: """
from cdn_sigv4 import Credentials, S3Client
client = S3Client(endpoint, Credentials(access_key, secret_key), region=region)
client.put_object(bucket, "bench/cold", data)
with client.get_object(bucket, "bench/cold") as body:
    found = body.read()
""",
    BOTO3: """
import boto3
client = boto3.client("s3", region, endpoint_url=endpoint, aws_access_key_id=access_key,
                      aws_secret_access_key=secret_key)
client.put_object(Bucket=bucket, Key="bench/cold", Body=data)
found = client.get_object(Bucket=bucket, Key="bench/cold")["Body"].read()
""",
    MINIO: """
import io
from minio import Minio
client = Minio(endpoint.partition("://")[2], access_key=access_key, secret_key=secret_key, secure=False, region=region)
client.put_object(bucket, "bench/cold", io.BytesIO(data), len(data))
answer = client.get_object(bucket, "bench/cold")
found = answer.read()
answer.close()
answer.release_conn()
""",
    OBSTORE: """
import obstore
from obstore.store import S3Store
store = S3Store(bucket, endpoint=endpoint, region=region, access_key_id=access_key, secret_access_key=secret_key,
                virtual_hosted_style_request=False, client_options={"allow_http": True})
obstore.put(store, "bench/cold", data)
found = obstore.get(store, "bench/cold").bytes()
""",
    REQUESTS: """
import requests
from requests_aws4auth import AWS4Auth
session = requests.Session()
session.auth = AWS4Auth(access_key, secret_key, region, "s3")
session.put(f"{endpoint}/{bucket}/bench/cold", data=data).raise_for_status()
answer = session.get(f"{endpoint}/{bucket}/bench/cold")
answer.raise_for_status()
found = answer.content
""",
}
CHECK = """
assert bytes(found) == data
"""
# requests alone, without the signature's maker: what this package is built on.
IMPORTS = {
    BARE: "",
    OURS: "import cdn_sigv4",
    "requests": "import requests",
    BOTO3: "import boto3; boto3.client('s3', 'us-east-1', aws_access_key_id='a', aws_secret_access_key='b')",
    MINIO: "import minio",
    OBSTORE: "import obstore, obstore.store",
}
# The peak of its own memory map: what getrusage says has its parent's in it.
PEAK = """
try:
    print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
except (OSError, StopIteration):
    print(0)
"""


def cold_jobs(store: Store, judge: Judge, peers: Sequence[str], home: Path) -> list[Job]:
    """The whole job, for each of the peers; once before it counts, which compiles what has to be compiled."""
    settings = f"{store.endpoint} {store.bucket} {store.region} {store.access_key} {store.secret_key}"
    environ = {**bare_environment(), "HOME": str(home), "BENCH_STORE": settings}

    def run(peer: str) -> Figures:
        judge.delete("bench/cold")
        return {MS: lived(KEYS + PROGRAMS[peer] + CHECK, environ)[0]}

    for peer in peers:
        with contextlib.suppress(WrongError):  # which the first round will say
            lived(KEYS + PROGRAMS[peer] + CHECK, environ)
    return [Job(COLD, peer, functools.partial(run, peer)) for peer in peers]


def import_jobs(peers: Sequence[str], home: Path) -> list[Job]:
    """The imports of those of the peers that there are, of requests, and of nothing."""
    environ = {**bare_environment(), "HOME": str(home)}

    def run(name: str) -> Figures:
        milliseconds, said = lived(IMPORTS[name] + PEAK, environ)
        return {MS: milliseconds, MEMORY: int(said) / 1024}

    names = [name for name in IMPORTS if name in peers or name in (BARE, "requests")]
    for name in names:
        with contextlib.suppress(WrongError):
            run(name)
    return [Job(IMPORT, name, functools.partial(run, name)) for name in names]


def lived(program: str, environ: dict[str, str]) -> tuple[float, str]:
    """How many milliseconds a Python lives that runs this program, and what it prints."""
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=SECONDS,
    )
    milliseconds = (time.perf_counter() - start) * 1e3
    must_be(done.returncode == 0, f"it ended with {done.returncode}: {done.stderr.strip()[-300:]}")
    return milliseconds, done.stdout.strip()
