"""An export job that uploads: bytes made in memory go into the store under the day's name.

python export_job.py cdn.yaml BUCKET DAY <ROWS: the file holds `host` and the two pairs of keys, by the names of the
arguments of CDNCredentials; ROWS are lines of JSON.
"""

import csv
import io
import json
import logging
import sys
from pathlib import Path
from typing import BinaryIO

import yaml  # PyYAML: the extra `yaml`

from cdn_sigv4 import CDNCredentials, CDNManager


def export(rows: BinaryIO) -> bytes:
    """Rows, each a list in JSON, as a CSV file."""
    text = io.StringIO()
    csv.writer(text).writerows(json.loads(row) for row in rows)
    return text.getvalue().encode()


def main(config: str, bucket: str, day: str) -> int:
    """Export, and say by the exit code whether the store has it: the scheduler runs what failed again."""
    log = logging.getLogger("export")
    credentials = CDNCredentials(**yaml.safe_load(Path(config).read_text(encoding="utf-8")))
    content = export(sys.stdin.buffer)
    with CDNManager(credentials, on_error=log.error, on_event=log.warning) as manager:
        return 0 if manager.upload(bucket, f"exports/{day}.csv", content) else 1


if __name__ == "__main__":
    logging.basicConfig()
    sys.exit(main(*sys.argv[1:]))
