"""A training script that does both: fetches the base weights, trains, uploads the result.

python training.py BUCKET BASE RESULT: two keys, which are files of these names here; where and who is in CDN_HOST and
the other CDN_* variables. Run again after a failure it fetches nothing twice, and sends the parts that are missing.
"""

import logging
import sys
from pathlib import Path

from cdn_sigv4 import CDNCredentials, CDNError, CDNManager, ProgressBar

log = logging.getLogger("training")


def train(base: Path, result: Path) -> None:
    """Stand in for hours of work."""
    result.write_bytes(base.read_bytes()[::-1])


def main(bucket: str, base: str, result: str) -> None:
    """Fetch, train, upload. Ends with 1 where the store did not do its part: what was trained is still here then."""
    try:
        manager = CDNManager(CDNCredentials.from_environment(), on_event=log.warning)
    except ValueError as error:  # of the settings, without a secret
        sys.exit(str(error))
    try:
        with manager:
            manager.downloader.download_file(bucket, base, base, if_changed=True)
            train(Path(base), Path(result))
            with ProgressBar(result) as progress:  # needs tqdm: the extra `progress`
                manager.uploader.upload_file(bucket, result, result, resume=True, progress=progress)
    except (CDNError, OSError) as error:  # OSError: the disk is full, or may not be written
        sys.exit(f"training failed: {error}")


if __name__ == "__main__":
    logging.basicConfig()
    main(*sys.argv[1:])
