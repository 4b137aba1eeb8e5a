"""The process that is killed: told on its standard input what to download, it says "ready", waits, and begins."""

from __future__ import annotations

import json
import sys

from cdn_sigv4 import Credentials, S3Client


def main() -> None:
    """Read the order, warm up, wait for a line, download, say "done"."""
    order = json.loads(sys.stdin.readline())
    credentials = Credentials(order["access_key"], order["secret_key"])
    with S3Client(order["endpoint"], credentials, region=order["region"]) as client:
        client.head_object(order["bucket"], order["key"])
        print("ready", flush=True)
        sys.stdin.readline()
        client.download_file(order["bucket"], order["key"], order["target"])
    print("done", flush=True)


if __name__ == "__main__":
    main()
