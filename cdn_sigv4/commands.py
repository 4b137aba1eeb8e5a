"""The commands of one request, or of one list: ls, rm, stat, presign; and doctor, which is a module of its own."""

from __future__ import annotations

from .batch import Batch, Job
from .copying import an_object, place
from .report import DONE
from .settings import DOWNLOADER, UPLOADER, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from .batch import Stop
    from .client import S3Client
    from .report import Report
    from .settings import Settings

_TIME = "%Y-%m-%d %H:%M:%S"  # in UTC, as S3 says it
_DESCRIBED = ("cache-control", "content-encoding", "content-disposition", "content-language", "expires")


def ls(options: argparse.Namespace, settings: Settings, report: Report, _: Stop) -> int:
    """List a bucket: time in UTC, size in bytes, key."""
    bucket, prefix = place(_one(options.words, "which bucket? ls BUCKET[/PREFIX]"))
    is_empty = True
    with settings.client(options.user or DOWNLOADER) as client:
        for each in client.list_objects(bucket, prefix, delimiter=None if options.recursive else "/"):
            is_empty = False
            if each.is_prefix:
                report.json(ok=True, command="ls", bucket=bucket, prefix=each.key)
                line = f"{'PRE':>32} {each.key}"
            else:
                time = "" if each.last_modified is None else each.last_modified.strftime(_TIME)
                iso = None if each.last_modified is None else each.last_modified.isoformat()
                about = {"size": each.size, "etag": each.etag, "last_modified": iso}
                report.json(ok=True, command="ls", bucket=bucket, key=each.key, **about)
                line = f"{time:19} {each.size:>12} {each.key}"
            if not report.as_json:
                report.out(line)
    if is_empty and prefix:
        raise FileNotFoundError(f"no key of {bucket} begins with {prefix}")
    return DONE


def rm(options: argparse.Namespace, settings: Settings, report: Report, stop: Stop) -> int:
    """Delete objects."""
    if not options.words:
        raise UsageError("what to delete? rm BUCKET/KEY...")
    objects = [an_object(word) for word in options.words]
    batch = Batch(report, stop, "rm", is_several=len(objects) > 1)
    with settings.client(options.user or UPLOADER) as client:
        return batch.run((_rm_job(client, *each) for each in objects), min(4, len(objects)))


def _rm_job(client: S3Client, bucket: str, key: str) -> Job:
    def work(*_: object) -> dict[str, Any]:
        client.delete_object(bucket, key)
        return {}

    return Job(f"{bucket}/{key}", {"bucket": bucket, "key": key}, work)


def stat(options: argparse.Namespace, settings: Settings, report: Report, _: Stop) -> int:
    """Say what the store knows of an object."""
    bucket, key = an_object(_one(options.words, "which object? stat BUCKET/KEY"))
    with settings.client(options.user or DOWNLOADER) as client:
        info = client.head_object(bucket, key)
    about = {
        "size": info.size,
        "etag": info.etag,
        "content_type": info.content_type,
        "last_modified": None if info.last_modified is None else info.last_modified.isoformat(),
        "version_id": info.version_id,
    }
    headers = {name: info.headers[name] for name in _DESCRIBED if name in info.headers}
    if report.as_json:
        report.json(ok=True, command="stat", bucket=bucket, key=key, **about, headers=headers, metadata=info.metadata)
        return DONE
    kept = {f"metadata {name}": value for name, value in info.metadata.items()}
    for name, value in {"bucket": bucket, "key": key, **about, **headers, **kept}.items():
        if value is not None:
            report.out(f"{name.replace('_', ' ')}: {value}")
    return DONE


def presign(options: argparse.Namespace, settings: Settings, report: Report, _: Stop) -> int:
    """Print a URL; nothing is sent."""
    bucket, key = an_object(_one(options.words, "a URL of which object? presign BUCKET/KEY"))
    user = options.user or (DOWNLOADER if options.method in ("GET", "HEAD") else UPLOADER)
    with settings.client(user) as client:
        url = client.presigned_url(options.method, bucket, key, expires_in=options.expires_in)
    about = {"method": options.method, "expires_in": options.expires_in}
    report.json(ok=True, command="presign", bucket=bucket, key=key, **about, url=url)
    if not report.as_json:
        report.out(url)
    return DONE


def doctor(options: argparse.Namespace, settings: Settings, report: Report, _: Stop) -> int:
    """Say why it does not work."""
    from .doctor import run

    bucket, key = place(_one(options.words, "doctor [BUCKET[/KEY]] takes one word")) if options.words else (None, None)
    return run(settings, bucket, key or None, write=options.write, as_json=report.as_json)


def _one(words: list[str], question: str) -> str:
    if len(words) != 1:
        raise UsageError(question)
    return words[0]
