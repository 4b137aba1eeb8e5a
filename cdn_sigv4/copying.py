"""`put` and `get` of the command line: which files become which objects, and the other way round.

All that can be known to be wrong is refused before anything is sent. Folders and lists are gone through as the
transfers go on.
"""

from __future__ import annotations

import os
import sys

from .batch import Batch, Job
from .errors import CDNError
from .files import confined_path, is_stream
from .multipart import check_part_size
from .options import mapping
from .s3 import check_bucket, check_key, object_headers, object_request
from .settings import DOWNLOADER, UPLOADER, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any

    from .batch import Stop
    from .client import S3Client
    from .progress import Progress
    from .report import Report
    from .result import TransferResult
    from .settings import Settings

PIPE = "-"  # stdin, or stdout
# Where the file systems take `A` and `a` for the same name, the second object would replace the first one.
FOLDS_CASE = os.name == "nt" or sys.platform == "darwin"


def place(word: str) -> tuple[str, str]:
    """Bucket and the rest of BUCKET/KEY or s3://BUCKET/KEY, which is never changed. ValueError for no bucket's name."""
    bucket, _, key = (word[5:] if word.startswith("s3://") else word).partition("/")
    return check_bucket(bucket), key


def an_object(word: str) -> tuple[str, str]:
    """The same, but there must be a key."""
    bucket, key = place(word)
    if not key:
        raise UsageError(f"which object? {word} is a bucket alone: BUCKET/KEY is wanted")
    return bucket, check_key(key)


def _as_folder(prefix: str) -> str:
    return prefix if not prefix or prefix.endswith("/") else f"{prefix}/"


# -- put


def put(options: argparse.Namespace, settings: Settings, report: Report, stop: Stop) -> int:
    """Store files, folders, or stdin."""
    if len(options.words) < 2:
        raise UsageError("what to store, and where? put FILE... BUCKET[/KEY | /PREFIX/]")
    *sources, target = options.words
    bucket, key = place(target)
    is_several = options.recursive or len(sources) > 1
    if PIPE in sources and (is_several or options.resume or not key or key.endswith("/")):
        raise UsageError("stdin is stored alone, without --resume, and under a key that is named: put - BUCKET/KEY")
    how = {
        "content_type": options.content_type,
        "metadata": mapping(options.metadata),
        "headers": mapping(options.header),
        "if_none_match": "*" if options.if_absent else None,
        "part_size": options.part_size,
    }
    check_part_size(options.part_size)
    described = object_headers(how["content_type"], how["metadata"], how["headers"])
    object_request("PUT", bucket, "any", headers=described)  # what no file can be sent with is told once
    batch = Batch(report, stop, "put", is_several=is_several)
    with settings.client(options.user or UPLOADER) as client:
        if is_several or not key or key.endswith("/"):
            prefix = _as_folder(key)
            pairs = _named(sources, prefix, batch, is_recursive=options.recursive)
        else:
            pairs = iter([(_no_folder(sources[0]), check_key(key))])
        jobs = (_put_job(client, path, bucket, key, how, is_resumed=options.resume) for path, key in pairs)
        return batch.run(jobs, options.workers)


def _no_folder(path: str) -> str:
    if path != PIPE and os.path.isdir(path):
        raise UsageError(f"{path} is a folder: -r stores what is in it")
    return path


def _named(sources: list[str], prefix: str, batch: Batch, *, is_recursive: bool) -> Iterator[tuple[str, str]]:
    """Each file with its key. UsageError, at once, where two have the same one."""
    if not is_recursive:
        pairs = [(_no_folder(path), check_key(prefix + os.path.basename(path))) for path in sources]
        _check_unique(pairs)
        return iter(pairs)
    found = ((path, prefix + name) for top in sources for path, name in _below(top, batch))
    if len(sources) == 1:  # whose names are different ones, however many they are
        return found
    listed = list(found)
    _check_unique(listed)
    return iter(listed)


def _check_unique(pairs: list[tuple[str, str]]) -> None:
    first: dict[str, str] = {}
    for path, key in pairs:
        if key in first:
            raise UsageError(f"{first[key]} and {path} would both become {key}: nothing was sent")
        first[key] = path


def _below(top: str, batch: Batch) -> Iterator[tuple[str, str]]:
    """All files in a folder, with their names below it; or the file itself."""
    if not os.path.isdir(top):
        yield top, os.path.basename(top)
        return
    folders = [""]
    while folders:
        inner = folders.pop()
        for entry in _entries(os.path.join(top, inner), batch):
            name, kind = f"{inner}{entry.name}", _kind(entry)
            if kind == "folder":
                folders.append(f"{name}/")
            elif kind == "file":
                yield os.path.join(top, *name.split("/")), name
            else:
                batch.skipped(entry.path, kind, source=entry.path)


def _entries(folder: str, batch: Batch) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except OSError as error:
        batch.failed(error, folder, source=folder)


def _kind(entry: os.DirEntry[str]) -> str:
    """Whether it is a "folder", a "file", or why it is left out; a link that leads nowhere is a file: let it fail."""
    try:
        if entry.is_dir(follow_symlinks=False):
            return "folder"
        if entry.is_file():
            return "file"
        if entry.is_dir():
            return "a link to a folder"
    except OSError:  # in a circle, or through a folder that is closed to us
        return "file"
    return "no regular file" if os.path.exists(entry.path) else "file"


def _put_job(client: S3Client, path: str, bucket: str, key: str, how: dict[str, Any], *, is_resumed: bool) -> Job:
    def work(progress: Progress, connections: int) -> dict[str, Any]:
        if path == PIPE:
            if sys.stdin is None:
                raise UsageError("there is no stdin to store")
            info = client.put_object(bucket, key, sys.stdin.buffer, **how, max_workers=connections, progress=progress)
            return {"size": info.size, "etag": info.etag}
        done = client.upload_file(
            bucket, key, path, **how, max_workers=connections, progress=progress, resume=is_resumed
        )
        return _fields(done)

    return Job(f"{path} -> {bucket}/{key}", {"source": path, "bucket": bucket, "key": key}, work)


def _fields(done: TransferResult) -> dict[str, Any]:
    about = {"size": done.info.size, "etag": done.info.etag}
    return {**about, "verified": done.verified, "bytes_moved": done.bytes_moved}


# -- get


def get(options: argparse.Namespace, settings: Settings, report: Report, stop: Stop) -> int:
    """Fetch objects: as files, into a folder, or to stdout."""
    words = options.words
    if not words or (options.recursive and len(words) > 2):
        raise UsageError("what to fetch? get BUCKET/KEY... [FILE | FOLDER | -], or get -r BUCKET[/PREFIX] [FOLDER]")
    *named, target = words if len(words) > 1 else [words[0], os.curdir]
    how = {
        "if_changed": options.if_changed,
        "resume": not options.no_resume,
        "durable": not options.not_durable,
        "part_size": options.part_size,
    }
    if target == PIPE and (options.recursive or len(named) > 1 or options.json or options.if_changed):
        raise UsageError("to stdout goes one object alone, without -r, --json or --if-changed")
    check_part_size(options.part_size)
    if is_stream(target):
        raise UsageError(f"{target} is a link to what a process has open, not to a file: for stdout say {PIPE}")
    batch = Batch(report, stop, "get", is_several=options.recursive or len(named) > 1)
    if options.recursive:
        bucket, prefix = place(named[0])
        if os.path.exists(target) and not os.path.isdir(target):
            raise UsageError(f"{target} is no folder: -r fetches into one")
        with settings.client(options.user or DOWNLOADER) as client:
            found = _listed(client, bucket, _as_folder(prefix), target, batch)
            jobs = (_get_job(client, bucket, key, path, how, makes_folders=True) for key, path in found)
            return batch.run(jobs, options.workers)
    objects = [an_object(word) for word in named]
    is_folder = target != PIPE and (os.path.isdir(target) or target[-1:] in (os.sep, os.altsep))
    if len(objects) > 1 and not is_folder:
        raise UsageError(f"several objects need a folder: {target} is none; a name that ends in / is made one")
    paths = [_inside(target, key) if is_folder else target for _, key in objects]
    _check_apart(paths, [f"{bucket}/{key}" for bucket, key in objects])
    with settings.client(options.user or DOWNLOADER) as client:
        pairs = zip(objects, paths)
        jobs = (_get_job(client, *each, path, how, makes_folders=is_folder) for each, path in pairs)
        return batch.run(jobs, options.workers)


def _inside(folder: str, key: str) -> str:
    """Where an object comes to lie in a folder: under the last part of its key."""
    try:
        return confined_path(folder, key.rpartition("/")[2])
    except ValueError:
        raise UsageError(f"the key {key} does not end in a file's name: name the file to save it as") from None


def _check_apart(paths: list[str], names: list[str]) -> None:
    first: dict[str, str] = {}
    for path, name in zip(paths, names):
        folded = path.casefold() if FOLDS_CASE else path
        if folded in first:
            raise UsageError(f"{first[folded]} and {name} would both become {path}: nothing was fetched")
        first[folded] = name


def _listed(client: S3Client, bucket: str, prefix: str, folder: str, batch: Batch) -> Iterator[tuple[str, str]]:
    """Each key below the prefix, with the path that it gets below the folder."""
    seen: set[str] = set()
    is_empty = True
    try:
        for listed in client.list_objects(bucket, prefix):
            is_empty = False
            label, fields = f"{bucket}/{listed.key}", {"bucket": bucket, "key": listed.key}
            if listed.key.endswith("/") and not listed.size:
                batch.skipped(label, "the mark of a folder", **fields)
                continue
            try:
                path = confined_path(folder, listed.key[len(prefix) :])
            except ValueError as error:
                reason = str(error).partition(": it cannot")[0]
                batch.failed(ValueError(f"{reason}: fetch it alone, to a file that you name"), label, **fields)
                continue
            if FOLDS_CASE:
                if path.casefold() in seen:
                    batch.failed(ValueError("another key differs only in upper and lower case"), label, **fields)
                    continue
                seen.add(path.casefold())
            yield listed.key, path
    except CDNError as error:
        batch.failed(error, f"{bucket}/{prefix}", bucket=bucket)
        return
    if is_empty and prefix:
        batch.failed(UsageError("there is nothing below it"), f"{bucket}/{prefix}", bucket=bucket, prefix=prefix)


def _get_job(client: S3Client, bucket: str, key: str, path: str, how: dict[str, Any], *, makes_folders: bool) -> Job:
    def work(progress: Progress, connections: int) -> dict[str, Any]:
        if path == PIPE:
            return _to_stdout(client, bucket, key, progress)
        before = _identity(path)
        done = client.download_file(
            bucket, key, path, **how, make_folders=makes_folders, max_workers=connections, progress=progress
        )
        return {**_fields(done), "changed": before != _identity(path)}

    return Job(f"{bucket}/{key} -> {path}", {"bucket": bucket, "key": key, "target": path}, work)


def _identity(path: str) -> tuple[int, int] | None:
    """Which file it is, None for none: a download puts another one in its place."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _to_stdout(client: S3Client, bucket: str, key: str, progress: Progress) -> dict[str, Any]:
    if sys.stdout is None:
        raise UsageError("there is no stdout to write to")
    with client.get_object(bucket, key) as body:
        done = 0
        for block in body:
            sys.stdout.buffer.write(block)
            done += len(block)
            progress(done, body.length)
        sys.stdout.buffer.flush()
        return {"size": body.info.size, "etag": body.info.etag, "verified": body.verified}
