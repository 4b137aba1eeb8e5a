"""An inference start-up that fetches the model if it changed, and starts with the old one where that cannot be known.

python inference_start.py BUCKET KEY PATH: CDN_HOST, CDN_DOWNLOADER_ACCESS_KEY and CDN_DOWNLOADER_ACCESS_SECRET say
where and who. PATH is a whole model at every moment, whatever is cut or killed; a fetch that was goes on the next time.
"""

import logging
import os
import sys

from cdn_sigv4 import CDNError, Credentials, Retry, S3Client

log = logging.getLogger("inference")


def fetch(bucket: str, key: str, path: str) -> bool:
    """Whether there is a model to start with."""
    patience = Retry(attempts=4, budget=20.0, cap=1.0)  # counted without bytes: a slow link that moves has all day
    try:
        keys = Credentials(os.environ["CDN_DOWNLOADER_ACCESS_KEY"], os.environ["CDN_DOWNLOADER_ACCESS_SECRET"])
        with S3Client(os.environ["CDN_HOST"], keys, retry=patience, on_event=log.warning) as store:
            result = store.download_file(bucket, key, path, if_changed=True)
    except (CDNError, OSError, ValueError, KeyError) as error:  # the store; the disk; the settings, wrong or missing
        log.error("%s: %s", type(error).__name__, error)
        return os.path.exists(path)
    log.info("%s has the store's %d bytes, %d of them new", path, result.info.size, result.bytes_moved)
    return True


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    if not fetch(*sys.argv[1:]):
        sys.exit("no model to start with")
    log.info("starting with %s", sys.argv[3])
