"""The operations of S3 that are about one object, or about a bucket: what `S3Client` has beside whole files.

Every method raises ValueError or TypeError for arguments that cannot be sent, before anything is sent, and a
`CDNError` (errors.py) for everything that goes wrong afterwards. "Rules:" names the page of AWS's reference below
https://docs.aws.amazon.com/AmazonS3/latest/API/.
"""

from __future__ import annotations

from functools import partial

from . import answers, s3
from .crew import DEFAULT_WORKERS
from .reader import ObjectReader
from .retrieval import Retrieval, get_request
from .source import open_body
from .uploads import Upload

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from .answers import ListedObject, ObjectInfo
    from .exchange import Exchange
    from .progress import Progress
    from .source import Source


class Operations:
    """What can be asked of one store, by way of `exchange`. `checksum`, `etag_is_md5`: see `S3Client`."""

    def __init__(self, exchange: Exchange, checksum: str | None, *, etag_is_md5: bool) -> None:
        if checksum not in ("crc32", "sha256", None):
            raise ValueError(f"checksum must be 'crc32', 'sha256' or None, not {checksum!r}")
        self._exchange = exchange
        self._etag_is_md5 = etag_is_md5
        self._upload = partial(Upload, exchange, checksum=checksum, etag_is_md5=etag_is_md5)
        self._get = partial(get_request, checksum is not None)

    # -- objects

    def put_object(
        self,
        bucket: str,
        key: str,
        body: Source,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
        part_size: int | None = None,
        max_workers: int = DEFAULT_WORKERS,
        progress: Progress | None = None,
    ) -> ObjectInfo:
        """Store `body` (at most 5 TiB) under `key`, in place of what is there.

        `body`: a bytes-like object, a binary file (from its position on: rewind one that was just written), or an
        iterable of bytes. More than 5 MiB are sent in parts, at most `max_workers` (1 to 32) at a time, of `part_size`
        bytes (5 MiB to 5 GiB, else chosen by the size); of an iterable, or a file that is not on the disk (gzip's), as
        many parts are held in memory. What fails is aborted. `progress`: called with the bytes done and those in all
        (None: not known yet), one call at a time, from whichever thread sends. `metadata`: text to text, printable
        ASCII, 2 KiB in all. `headers`: any others that S3 keeps or obeys (cache-control, content-encoding, tagging,
        encryption …).
        `if_none_match="*"`: only where no such key is; `if_match`: only in place of this entity tag; else
        PreconditionFailed; in parts this is asked at the end. Where the answer to such a request is lost, success means
        that the object is there with these bytes and metadata: writers who race with equal ones put something of their
        own in.

        IntegrityError when the store says of the bytes what is not true of those sent; OutcomeUnknown when the body was
        sent and no answer came, nor could be found out; SourceError when it could not be read. Rules: API_PutObject.
        """
        upload = self._upload(
            bucket,
            key,
            content_type=content_type,
            metadata=metadata,
            headers=headers,
            if_match=if_match,
            if_none_match=if_none_match,
            part_size=part_size,
            max_workers=max_workers,
            progress=progress,
        )
        return upload.run(body)[0]

    def get_object(
        self,
        bucket: str,
        key: str,
        *,
        start: int | None = None,
        end: int | None = None,
        tail: int | None = None,
        version_id: str | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> ObjectReader:
        """A reader of the object's bytes, exactly as they are stored; use it as a context manager.

        `start`, `end`: bytes, a part of it as in slices (`end` is not in it), not negative; `tail`: so many bytes from
        its end; of a part nothing is verified. `if_none_match`: NotModified when the entity tag still is this one;
        `if_match`: PreconditionFailed when it no longer is. Raises NotFound, and ResponseError 416 for a range that
        begins behind the end. Rules: API_GetObject; RFC 9110, 13 and 14.
        """
        asked = s3.byte_range(start, end, tail)
        request = self._get(bucket, key, version_id, if_match, if_none_match, asked)
        found = Retrieval(self._exchange, request, self._exchange.patience(), etag_is_md5=self._etag_is_md5)
        found.begin()
        restart = None if found.verifier is None else found.restart
        return ObjectReader(found, found.info, found.length, found.verifier, restart)

    def head_object(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectInfo:
        """The object's description without its bytes.

        NotFound, or AccessDenied, are known by the status alone: `code` is often None. Rules: API_HeadObject.
        """
        request = s3.object_request("HEAD", bucket, key, {"versionId": version_id})
        return self._exchange.ask(request, lambda answer, _: answers.headed(request, answer.headers))

    def delete_object(self, bucket: str, key: str, *, version_id: str | None = None) -> None:
        """Delete the object; to delete what is not there is no error.

        With `version_id` that version is gone for good; without, a bucket that keeps versions hides the object behind a
        marker. Raises AccessDenied, and NotFound for no such bucket. Rules: API_DeleteObject.
        """
        request = s3.object_request("DELETE", bucket, key, {"versionId": version_id})
        self._exchange.ask(request, lambda answer, text: answers.check_done(answer.headers, text), success=(204, 200))

    def copy_object(
        self,
        source_bucket: str,
        source_key: str,
        bucket: str,
        key: str,
        *,
        source_version_id: str | None = None,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> ObjectInfo:
        """Copy an object of at most 5 GiB within the store.

        The copy keeps all that describes the source. Where `content_type`, `metadata` or a header such as
        cache-control is given, all of that is taken from here instead, and what is not given is dropped. The result's
        `size` is None: S3 does not say it. Raises NotFound without the source, AccessDenied where it may not be read or
        the target not be written. Rules: API_CopyObject.
        """
        replaced = content_type is not None or metadata is not None
        replaced = replaced or any(not name.lower().startswith("x-amz-") for name in headers or ())
        described = {
            **s3.object_headers(content_type, metadata, headers),
            "x-amz-copy-source": s3.copy_source(source_bucket, source_key, source_version_id),
            "x-amz-metadata-directive": "REPLACE" if replaced else None,
        }
        request = s3.object_request("PUT", bucket, key, headers=described)
        return self._exchange.ask(request, lambda answer, text: answers.parse_copy(request, answer.headers, text))

    def list_objects(
        self, bucket: str, prefix: str = "", *, delimiter: str | None = None, start_after: str | None = None
    ) -> Iterator[ListedObject]:
        """The objects whose keys begin with `prefix`, in the order of their keys; pages are fetched as you go on.

        With a `delimiter` ("/" most often), keys that have it after the prefix are summed up in lines with
        `is_prefix`. `start_after`: begin behind this key. Errors come while you go on, not from the call: NotFound for
        no such bucket, AccessDenied, InvalidResponse. Rules: API_ListObjectsV2.
        """
        from .listing import pages

        query = {
            "list-type": "2",
            "encoding-type": "url",
            "prefix": prefix or None,
            "delimiter": delimiter,
            "start-after": start_after,
        }
        return pages(self._exchange, s3.Request("GET", bucket, query=query))

    # -- buckets

    def create_bucket(self, bucket: str) -> None:
        """Make a bucket in the client's region; ResponseError 409 where the name is taken. Rules: API_CreateBucket."""
        request = s3.Request("PUT", bucket)
        body = open_body(s3.location_constraint(self._exchange.region))
        self._exchange.ask(request, lambda answer, text: answers.check_done(answer.headers, text), body)

    def head_bucket(self, bucket: str) -> None:
        """Return if the bucket is there and may be listed; else NotFound or AccessDenied. Rules: API_HeadBucket."""
        request = s3.Request("HEAD", bucket)
        self._exchange.ask(request, lambda answer, _: answers.check_bucket_head(answer.headers))
