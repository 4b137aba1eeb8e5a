"""`S3Client`: the operations of S3 under one credential. Each is tried again as `retry` says; no redirect is followed.

Every method raises ValueError or TypeError for arguments that cannot be sent, before anything is sent, and a
`CDNError` (errors.py) for everything that goes wrong afterwards. What each operation may answer is in AWS's API
reference, on the page that each method names.
"""

from __future__ import annotations

import os

from . import s3
from .crew import DEFAULT_WORKERS, check_workers
from .endpoint import Endpoint
from .exchange import DEFAULT_REGION, DEFAULT_RETRY, DEFAULT_TIMEOUT, Exchange
from .files import Replacement
from .multipart import check_part_size
from .operations import Operations
from .parts import sweep
from .progress import Meter, check_progress
from .result import TransferResult
from .transfer import Download

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn, Union

    from requests import Session

    from .credentials import Credentials
    from .progress import Progress
    from .retry import Event, Retry

    AnyPath = Union[str, "os.PathLike[str]"]


class S3Client(Operations):
    """One S3-compatible store under one credential; shared by threads, safe after fork, a context manager.

    `endpoint`: `https://host[:port][/base]`; without a scheme https is meant. `credentials`: `Credentials`, None for
    anonymous requests, or a function that gives `Credentials` which change: it is called for the first request, again
    some minutes before their `expires_at`, and once more when a store refuses them as expired or unknown, by one thread
    at a time (`Credentials.from_environment` is such a function). `region`: the one to sign for. `addressing`: "path"
    (host/bucket) or "virtual" (bucket.host). `timeout`: seconds to connect, and seconds without a byte moved. `retry`:
    how often and how long to try again (`Retry`; None: never). `checksum`: what is stored with an object, "crc32",
    "sha256", or None for a store that does not take the header; objects are then verified by their entity tags alone.
    `etag_is_md5=False`: for a store whose entity tags look like MD5s and are none. `on_event`: called with an `Event`
    when something is tried again, resumed, or learnt, by several threads at a time perhaps; `print` will do.
    `sign_payload=False` leaves the body out of the signature (https only). `verify`: False, or a CA file, instead of
    the usual authorities. `session`: a `requests.Session` whose adapters, proxies and certificates are to be used;
    nothing else of it is. Its adapters know neither the timeout while sending, nor an answer that comes early, nor one
    whose head was cut: only the default session does (connection.py).

    ValueError or TypeError for a setting that cannot work. It is not pickled: it holds a secret. Proxies and CA bundle
    of the environment count (HTTP_PROXY, HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE), as they are at the first request.

    "Rules:" in a method's description names the page below https://docs.aws.amazon.com/AmazonS3/latest/API/.
    """

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials | Callable[[], Credentials] | None,
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
        exchange = Exchange(
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
        super().__init__(exchange, checksum, etag_is_md5=etag_is_md5)

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
        part_size: int | None = None,
        max_workers: int = DEFAULT_WORKERS,
        progress: Progress | None = None,
        resume: bool = False,
        state_dir: AnyPath | None = None,
    ) -> TransferResult:
        """Store the file at `path`: `put_object` with its bytes, and its options. OSError where it cannot be opened.

        `resume`, for files of more than 5 MiB: an upload that fails, or is killed, leaves its parts in the store, and
        the next such call sends what is missing, if the file's size and time of change, the headers, `part_size` and
        the client's `checksum` are the same; else what was left is aborted. What must be known for that is kept in
        `state_dir` (by default $XDG_STATE_HOME/cdn-sigv4 or ~/.local/state/cdn-sigv4) for seven days; where the system
        has no flock (Windows) nothing is. Which parts are there the store must be allowed to say
        (s3:ListMultipartUploadParts), else all are sent again. Rules: mpuoverview.
        """
        if state_dir is not None and not resume:
            raise ValueError("state_dir is for resume=True")
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
        folder = None
        if resume:
            from .unfinished import default_folder

            folder = default_folder(os.environ) if state_dir is None else os.fsdecode(state_dir)
        with open(path, "rb") as file:
            info, verified = upload.run(file, folder)
        return TransferResult(info, verified, upload.moved)

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
        if_changed: bool = False,
        part_size: int | None = None,
        max_workers: int = DEFAULT_WORKERS,
        progress: Progress | None = None,
    ) -> TransferResult:
        """Save the object as the file `path`, whole or not at all: what is there stays until all bytes have come.

        Large ones come over `max_workers` connections (1 to 32) at most, in ranges of `part_size` bytes (else chosen by
        what is left). `progress`: called with the bytes done and those in all, one call at a time, from whichever
        thread fetches. `if_changed`: nothing is fetched where the file at `path` is the object already, as its bytes
        show (`bytes_moved` is 0 then); where the store has no checksum, nor an MD5, of it, it is fetched.

        `resume`: go on with what an earlier call, cut short or killed, has left of the same version beside `path`; a
        call that fails leaves it there, if the object has 8 MiB at least and the disk is not full. With `if_match` or
        `if_none_match` it is neither used nor made. `durable`: wait until the disk has it. `make_folders`: make those
        above it, which a failed download takes away again, unless such a part is in them.

        IntegrityError where the bytes are not those that the store has a checksum of, twice. OSError where the file
        cannot be written; a directory or a device there is refused before anything is sent.
        """
        check_part_size(part_size)
        check_workers(max_workers)
        check_progress(progress)
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
        meter = Meter(progress)
        if if_changed:
            from .comparison import unchanged

            found = unchanged(self._exchange, request, os.fsdecode(path), etag_is_md5=self._etag_is_md5)
            if found is not None:
                sweep(os.path.abspath(os.fsdecode(path)))  # what an earlier call has left is not needed any more
                meter.end(found[0].size or 0)
                return TransferResult(*found, 0)
        download = Download(
            self._exchange,
            request,
            replacement,
            etag_is_md5=self._etag_is_md5,
            workers=max_workers,
            range_size=part_size,
            meter=meter,
        )
        info = download.run()
        return TransferResult(info, download.verified, download.moved)

    def presigned_url(self, method: str, bucket: str, key: str, *, expires_in: int) -> str:
        """A URL with which anybody may GET, HEAD, PUT or DELETE this object for `expires_in` seconds (1 to 604,800).

        Nothing is sent. Who has the URL has the right: keep it out of logs. With temporary credentials it ends with
        them. A clock that is wrong is learnt from answers only. ValueError for another method or time, and for an
        anonymous client. Rules: sigv4-query-string-auth.
        """
        if method not in ("GET", "HEAD", "PUT", "DELETE"):
            raise ValueError(f"a URL can be presigned for GET, HEAD, PUT or DELETE, not {method!r}")
        return self._exchange.presigned_url(s3.object_request(method, bucket, key), expires_in)

    def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        self._exchange.close()

    def __enter__(self) -> S3Client:  # noqa: PYI034 - Self needs typing_extensions
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"S3Client({self._exchange})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an S3Client is not pickled or copied: it holds a secret and connections. Make one where it is used."
        )
