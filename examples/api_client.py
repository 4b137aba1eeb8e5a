"""An API client that fetches: a service asks the store, and answers its own caller with what comes.

python api_client.py BUCKET KEY >FILE: as the service's handler would; the exit code is 0 only for an answer of 200.
CDN_HOST, CDN_DOWNLOADER_ACCESS_KEY and CDN_DOWNLOADER_ACCESS_SECRET say where and who.
"""

from __future__ import annotations

import logging
import os
import sys

from cdn_sigv4 import CDNError, Credentials, NotFound, Retry, S3Client

log = logging.getLogger("api")
KEYS = Credentials(os.environ["CDN_DOWNLOADER_ACCESS_KEY"], os.environ["CDN_DOWNLOADER_ACCESS_SECRET"])
# One client for all threads. Somebody waits for the answer, so it is not patient.
STORE = S3Client(os.environ["CDN_HOST"], KEYS, timeout=(2.0, 10.0), retry=Retry(attempts=3, budget=5.0, cap=0.5))


def answer(bucket: str, key: str) -> tuple[int, bytes]:
    """Status and body for the caller: 404 is known to be missing, 502 is not known."""
    try:
        with STORE.get_object(bucket, key) as body:
            return 200, body.read()  # verified, or an error; `for block in body` hands out what is not verified yet
    except CDNError as error:
        if isinstance(error, NotFound) and error.code == "NoSuchKey":  # not: no such bucket, or a page from elsewhere
            return 404, b""
        log.error("%s", error)
        return 502, b""


if __name__ == "__main__":
    logging.basicConfig()
    status, content = answer(sys.argv[1], sys.argv[2])
    sys.stdout.buffer.write(content)
    sys.exit(0 if status == 200 else f"answered {status}")
