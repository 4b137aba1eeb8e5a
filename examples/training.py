"""A training script that does both: fetches the base weights, trains, uploads the result.

python training.py BUCKET BASE RESULT: two keys, which are files of these names here. CDN_HOST and the variables below
say where and who. Run again after a failure it fetches nothing twice, and sends the parts that are missing.
"""

import logging
import os
import sys
from pathlib import Path

from cdn_sigv4 import CDNCredentials, CDNError, CDNManager, ProgressBar

log = logging.getLogger("training")
USERS = [f"CDN_{user}_ACCESS_{half}" for user in ("DOWNLOADER", "UPLOADER") for half in ("KEY", "SECRET")]


def train(base: Path, result: Path) -> None:
    """Stand in for hours of work."""
    result.write_bytes(base.read_bytes()[::-1])


def main(bucket: str, base: str, result: str) -> None:
    """Fetch, train, upload. Ends with 1 where the store did not do its part: what was trained is still here then."""
    credentials = CDNCredentials(os.environ["CDN_HOST"], *(os.environ[name] for name in USERS))
    with CDNManager(credentials, on_event=log.warning) as manager:
        try:
            manager.downloader.download_file(bucket, base, base, if_changed=True)
            train(Path(base), Path(result))
            with ProgressBar(result) as progress:  # needs tqdm: the extra `progress`
                manager.uploader.upload_file(bucket, result, result, resume=True, progress=progress)
        except CDNError as error:
            log.error("%s", error)
            sys.exit(1)


if __name__ == "__main__":
    logging.basicConfig()
    main(*sys.argv[1:])
