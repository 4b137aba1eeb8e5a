"""An export job that uploads: bytes made in memory go into the store under the day's name.

python export_job.py cdn.yaml BUCKET DAY <ROWS: the file holds `host` and the two pairs of keys, by the names of the
arguments of CDNCredentials (YAML takes PyYAML, the extra `yaml`); ROWS are lines of JSON.
"""

import csv
import io
import json
import logging
import sys
from typing import BinaryIO

from cdn_sigv4 import CDNCredentials, CDNManager


def export(rows: BinaryIO) -> bytes:
    """Rows, each a list in JSON, as a CSV file."""
    text = io.StringIO()
    csv.writer(text).writerows(json.loads(row) for row in rows)
    return text.getvalue().encode()


def main(config: str, bucket: str, day: str) -> int:
    """Export, and say by the exit code whether the store has it: the scheduler runs what failed again."""
    log = logging.getLogger("export")
    try:
        manager = CDNManager(CDNCredentials.from_file(config), on_error=log.error, on_event=log.warning)
    except ValueError as error:  # of the settings, without a secret
        log.error("%s", error)
        return 2
    content = export(sys.stdin.buffer)
    with manager:
        return 0 if manager.upload(bucket, f"exports/{day}.csv", content) else 1


if __name__ == "__main__":
    logging.basicConfig()
    sys.exit(main(*sys.argv[1:]))
