"""`S3Client`: the operations of S3 under one credential. Each is tried again as `retry` says; no redirect is followed.

Every method raises ValueError or TypeError for arguments that cannot be sent, before anything is sent, and a
`CDNError` (errors.py) for everything that goes wrong afterwards. What each operation may answer is in AWS's API
reference, on the page that each method names.
"""

from __future__ import annotations

import os
from functools import partial

from . import answers, s3
from .body import open_body
from .endpoint import Endpoint
from .exchange import DEFAULT_REGION, DEFAULT_RETRY, DEFAULT_TIMEOUT, Exchange
from .files import Replacement
from .listing import pages
from .reader import ObjectReader
from .retrieval import Retrieval, get_request
from .transfer import Download, TransferResult
from .uploads import put

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import TracebackType
    from typing import NoReturn, Union

    from requests import Session

    from .answers import ListedObject, ObjectInfo
    from .body import Source
    from .retry import Event, Retry
    from .sigv4 import Credentials

    AnyPath = Union[str, "os.PathLike[str]"]


class S3Client:
    """One S3-compatible store under one credential; shared by threads, safe after fork, a context manager.

    `endpoint`: `https://host[:port][/base]`; without a scheme https is meant. `credentials`: `Credentials`, or None for
    anonymous requests. `region`: the one to sign for. `addressing`: "path" (host/bucket) or "virtual" (bucket.host).
    `timeout`: seconds to connect, and seconds without a byte moved. `retry`: how often and how long to try again
    (`Retry`; None: never). `checksum`: what is stored with an object, "crc32", "sha256", or None for a store that does
    not take the header; objects are then verified by their entity tags alone. `etag_is_md5=False`: for a store whose
    entity tags look like MD5s and are none. `on_event`: called with an `Event` when something is tried again, resumed,
    or learnt; `print` will do. `sign_payload=False` leaves the body out of the
    signature (https only). `verify`: False, or a CA file, instead of the usual authorities. `session`: a
    `requests.Session` whose adapters, proxies and certificates are to be used; nothing else of it is. Its adapters
    know neither the timeout while sending, nor an answer that comes early, nor one whose head was cut: only the
    default session does (adapter.py).

    ValueError or TypeError for a setting that cannot work. It is not pickled: it holds a secret. Proxies and CA bundle
    of the environment count (HTTP_PROXY, HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE), as they are at the first request.

    "Rules:" in a method's description names the page below https://docs.aws.amazon.com/AmazonS3/latest/API/.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials | None,
        *,
        region: str = DEFAULT_REGION,
        addressing: str = "path",
        timeout: tuple[float, float] = DEFAULT_TIMEOUT,
        retry: Retry | None = DEFAULT_RETRY,
        checksum: str | None = "crc32",
        etag_is_md5: bool = True,
        sign_payload: bool = True,
        verify: bool | AnyPath | None = None,
        session: Session | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        if checksum not in ("crc32", "sha256", None):
            raise ValueError(f"checksum must be 'crc32', 'sha256' or None, not {checksum!r}")
        self._etag_is_md5 = etag_is_md5
        self._exchange = Exchange(
            Endpoint(endpoint, addressing),
            credentials,
            region=region,
            timeout=timeout,
            retry=retry,
            sign_payload=sign_payload,
            verify=verify,
            session=session,
            on_event=on_event,
        )
        self._put = partial(put, self._exchange, checksum=checksum, etag_is_md5=etag_is_md5)
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
    ) -> ObjectInfo:
        """Store `body` (at most 5 GiB) under `key`, in place of what is there.

        `body`: a bytes-like object, a binary file (from its position on: rewind one that was just written), or an
        iterable of bytes, which is copied first. `metadata`: text to text, printable ASCII, 2 KiB in all. `headers`:
        any others that S3 keeps or obeys (cache-control, content-encoding, tagging, encryption …).
        `if_none_match="*"`: only where no such key is; `if_match`: only in place of this entity tag; else
        PreconditionFailed. Where the answer to such a request is lost, success means that the object is there with
        these bytes and metadata: writers who race with equal ones put something of their own in.

        IntegrityError when the store says of the bytes what is not true of those sent; OutcomeUnknown when the body was
        sent and no answer came, nor could be found out; SourceError when it could not be read. Rules: API_PutObject.
        """
        info, _ = self._put(
            bucket,
            key,
            body,
            content_type=content_type,
            metadata=metadata,
            headers=headers,
            if_match=if_match,
            if_none_match=if_none_match,
        )
        return info

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

        `start`, `end`: a part of it, as in slices, not negative; `tail`: its last bytes. `if_none_match`: NotModified
        when the entity tag still is this one; `if_match`: PreconditionFailed when it no longer is. Raises NotFound, and
        ResponseError 416 for a range that begins behind the end. Rules: API_GetObject; RFC 9110, 13 and 14.
        """
        asked = s3.byte_range(start, end, tail)
        request = self._get(bucket, key, version_id, if_match, if_none_match, asked)
        found = Retrieval(self._exchange, request, self._exchange.patience(), etag_is_md5=self._etag_is_md5)
        found.begin()
        restart = None if found.verifier is None else found.restart
        return ObjectReader(found, found.info, found.length, found.verifier, restart)

    def head_object(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectInfo:
        """The object's description without its bytes. A HEAD's errors say little. Rules: API_HeadObject."""
        request = s3.object_request("HEAD", bucket, key, {"versionId": version_id})
        return self._exchange.ask(request, lambda answer, _: answers.headed(request, answer.headers))

    def delete_object(self, bucket: str, key: str, *, version_id: str | None = None) -> None:
        """Delete the object, or one version; to delete what is not there is no error. Rules: API_DeleteObject."""
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
        `size` is None: S3 does not say it. Raises NotFound without the source. Rules: API_CopyObject.
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
        `is_prefix`. `start_after`: begin behind this key. Raises NotFound when the first page is
        fetched and there is no such bucket. Rules: API_ListObjectsV2.
        """
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
        """Make a bucket in the client's region; ResponseError 409 where it is already. Rules: API_CreateBucket."""
        request = s3.Request("PUT", bucket)
        body = open_body(s3.location_constraint(self._exchange.region))
        self._exchange.ask(request, lambda answer, text: answers.check_done(answer.headers, text), body)

    def head_bucket(self, bucket: str) -> None:
        """Return if the bucket is there and may be listed; else NotFound or AccessDenied. Rules: API_HeadBucket."""
        request = s3.Request("HEAD", bucket)
        self._exchange.ask(request, lambda answer, _: answers.check_bucket_head(answer.headers))

    # -- files, and URLs for others

    def upload_file(
        self,
        bucket: str,
        key: str,
        path: AnyPath,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> TransferResult:
        """Store the file at `path`: `put_object` with its bytes. OSError where it cannot be opened."""
        with open(path, "rb") as file:
            info, verified = self._put(
                bucket,
                key,
                file,
                content_type=content_type,
                metadata=metadata,
                headers=headers,
                if_match=if_match,
                if_none_match=if_none_match,
            )
        return TransferResult(info, verified, info.size or 0)

    def download_file(
        self,
        bucket: str,
        key: str,
        path: AnyPath,
        *,
        resume: bool = True,
        durable: bool = True,
        make_folders: bool = False,
        version_id: str | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> TransferResult:
        """Save the object as the file `path`, whole or not at all: what is there stays until all bytes have come.

        `resume`: go on with what an earlier call, cut short or killed, has left of the same version beside `path`; a
        call that fails leaves it there, if the object has 8 MiB at least. With `if_match` or `if_none_match` it is
        neither used nor made. `durable`: wait until the disk has it.
        `make_folders`: make those above it, which a failed download takes away again, unless such a part is in them.
        IntegrityError where the bytes are not those that the store has a checksum of, twice. OSError where the file
        cannot be written; a directory or a device there is refused before anything is sent.
        """
        request = self._get(bucket, key, version_id, if_match, if_none_match)
        is_plain = if_match is None and if_none_match is None
        source = f"{self._exchange.endpoint}/{bucket}/{key}?{version_id or ''}" if resume and is_plain else None
        replacement = Replacement(
            os.fsdecode(path),
            make_folders=make_folders,
            durable=durable,
            source=source,
            first=0 if is_plain else 1,  # a 304 is no reason to throw away what is here
        )
        download = Download(self._exchange, request, replacement, etag_is_md5=self._etag_is_md5)
        info = download.run()
        return TransferResult(info, download.verified, download.moved)

    def presigned_url(self, method: str, bucket: str, key: str, *, expires_in: int) -> str:
        """A URL with which anybody may GET, HEAD, PUT or DELETE this object for `expires_in` seconds (1 to 604,800).

        Nothing is sent. Who has the URL has the right: keep it out of logs. Rules: sigv4-query-string-auth.
        """
        if method not in ("GET", "HEAD", "PUT", "DELETE"):
            raise ValueError(f"a URL can be presigned for GET, HEAD, PUT or DELETE, not {method!r}")
        return self._exchange.presigned_url(s3.object_request(method, bucket, key), expires_in)

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._exchange.close()

    def __enter__(self) -> S3Client:  # noqa: PYI034 - Self needs typing_extensions
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"S3Client({self._exchange})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an S3Client is not pickled or copied: it holds a secret and connections. Make one where it is used."
        )
