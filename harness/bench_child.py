"""A process with one of the clients, made once: reads an order a line, does it, says in a line what came of it.

Run by bench_peers.py. Every client is as its documentation recommends, with its defaults; each is a class in
bench_child_ours.py, bench_child_s3.py or bench_child_plain.py. What is timed is the operation alone, in here, by the
clock and by the processor's time of all threads.
"""

from __future__ import annotations

import gc
import json
import sys
import time
import traceback
from typing import Any

from .bench_child_ours import Ours
from .bench_child_plain import Obstore, Requests
from .bench_child_s3 import Boto3, MinioPy
from .bench_child_small import Told
from .bench_jobs import BOTO3, MINIO, OBSTORE, OURS, REQUESTS

CLASSES = {OURS: Ours, BOTO3: Boto3, MINIO: MinioPy, OBSTORE: Obstore, REQUESTS: Requests}


def obeyed(peer: Any, order: dict[str, Any]) -> Told:
    """Do one operation, and say how long it took, if it does not itself; or what went wrong."""
    operation = getattr(peer, order.pop("do"))
    try:
        start, start_cpu = time.perf_counter(), time.process_time()
        told = operation(**order)
        seconds, cpu = time.perf_counter() - start, time.process_time() - start_cpu
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the outcome
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}
    gc.collect()  # what one operation has left is not the next one's to put away
    return {"seconds": seconds, "cpu": cpu, **told}


def main() -> None:
    """Make the client that the first line describes, then do what the others say."""
    order = json.loads(sys.stdin.readline())
    peer = CLASSES[order["peer"]](order)
    for line in sys.stdin:
        print(json.dumps(obeyed(peer, json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
