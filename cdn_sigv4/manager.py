"""The façade: two clients under separate credentials, so that who may read may not write, and the other way round."""

from __future__ import annotations

import os

from .client import S3Client
from .credentials import Credentials
from .exchange import DEFAULT_REGION, DEFAULT_RETRY, DEFAULT_TIMEOUT
from .files import confined_path
from .retry import hand_over
from .s3 import check_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from requests import Session

    from .client import AnyPath
    from .progress import Progress
    from .retry import Event, Retry
    from .source import Source


class CDNCredentials:
    """What a `cdn.yaml` holds: the host, and one pair of keys for each direction. `repr` shows no secret.

    `host` is a URL; without `://` it means https. `region` is the one to sign for. All are text, and nothing is checked
    here: `CDNManager` raises ValueError or TypeError for what cannot work.
    """

    def __init__(
        self,
        host: str,
        downloader_access_key: str,
        downloader_access_secret: str,
        uploader_access_key: str,
        uploader_access_secret: str,
        *,
        region: str = DEFAULT_REGION,
    ) -> None:
        self.host = host
        self.downloader_access_key = downloader_access_key
        self.downloader_access_secret = downloader_access_secret
        self.uploader_access_key = uploader_access_key
        self.uploader_access_secret = uploader_access_secret
        self.region = region

    @classmethod
    def from_environment(cls) -> CDNCredentials:
        """From CDN_HOST, CDN_DOWNLOADER_ACCESS_KEY and the other names above in capitals; CDN_REGION may be missing.

        ValueError names those that are.
        """
        from .settings import MUST, found, variable

        values = found({}, os.environ, {})
        missing = [variable(name) for name in MUST if name not in values]
        if missing:
            raise ValueError(f"set {', '.join(missing)}")
        return cls(**values)

    @classmethod
    def from_file(cls, path: AnyPath) -> CDNCredentials:
        """From a `cdn.yaml` with the names and values above; YAML where PyYAML is installed, JSON always.

        ValueError where it cannot be read, holds anything else, or lacks something; none of its values is shown.
        """
        from .settings import MUST, read

        values = read(path)
        missing = [name for name in MUST if name not in values]
        if missing:
            raise ValueError(f"{os.fspath(path)}: lacks {', '.join(missing)}")
        return cls(**values)

    def __repr__(self) -> str:
        return (
            f"CDNCredentials({self.host!r}, {self.downloader_access_key!r}, '…', {self.uploader_access_key!r}, '…',"
            f" region={self.region!r})"
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "CDNCredentials are not pickled or copied: they hold secrets. Make them anew from your settings."
        )


class CDNManager:
    """Uploads with one credential, downloads with the other; True or False, never an exception.

    `uploader` and `downloader` are the two `S3Client`s. Both methods hand what went wrong to `on_error` (a `CDNError`,
    ValueError, TypeError or OSError; printed by default) and return False; what `on_error` itself raises passes.
    `durable=False`: downloads do not wait until the disk has them. The other options are the client's (`S3Client`).
    ValueError or TypeError, here and not later, for a setting that cannot work.
    """

    def __init__(
        self,
        credentials: CDNCredentials,
        *,
        on_error: Callable[[Exception], object] = print,
        addressing: str = "path",
        timeout: tuple[float, float] = DEFAULT_TIMEOUT,
        retry: Retry | None = DEFAULT_RETRY,
        checksum: str | None = "crc32",
        etag_is_md5: bool = True,
        sign_payload: bool = True,
        verify: bool | AnyPath | None = None,
        session: Session | None = None,
        on_event: Callable[[Event], object] | None = None,
        durable: bool = True,
    ) -> None:
        if not isinstance(credentials, CDNCredentials):
            raise TypeError(f"credentials must be CDNCredentials, not {type(credentials).__name__}")
        if not callable(on_error):
            raise TypeError("on_error must be callable with the exception; to ignore errors give a function that does")

        def client(user: str, access_key: str, secret: str) -> S3Client:
            try:
                keys = Credentials(access_key, secret)
            except (TypeError, ValueError) as error:
                raise type(error)(f"{user}: {error}") from None
            return S3Client(
                credentials.host,
                keys,
                region=credentials.region,
                addressing=addressing,
                timeout=timeout,
                retry=retry,
                checksum=checksum,
                etag_is_md5=etag_is_md5,
                sign_payload=sign_payload,
                verify=verify,
                session=session,
                on_event=on_event,
            )

        self.uploader = client("uploader", credentials.uploader_access_key, credentials.uploader_access_secret)
        self.downloader = client("downloader", credentials.downloader_access_key, credentials.downloader_access_secret)
        self._on_error = on_error
        self._durable = durable

    def upload(self, bucket: str, filename: str, file_bytes: Source, *, progress: Progress | None = None) -> bool:
        """Store `file_bytes` (any bytes-like object) under the key `filename`; True once the server has all of it.

        At most 5 TiB; more than 5 MiB go in parts, several at a time, without being copied. `progress`: called with the
        bytes done and those in all (None: not known yet). See `S3Client.put_object`.
        """
        try:
            self.uploader.put_object(bucket, filename, file_bytes, progress=progress)
        except Exception as error:  # noqa: BLE001 - the façade's promise
            return self._failed(error)
        return True

    def download(
        self,
        bucket: str,
        filename: str,
        *,
        to: AnyPath | None = None,
        if_changed: bool = False,
        progress: Progress | None = None,
    ) -> bool:
        """Save the object under its own name below the current directory, or as the file `to`; True once it is there.

        A `/` in the name makes folders, and so does one in `to` (that a disk is not mounted shows by nothing). The name
        never leaves the current directory: `..`, absolute paths, drive letters and symbolic links on the way are
        refused. The file appears whole or not at all.
        `if_changed`: nothing is fetched where it is the object already, as its bytes show. `progress`: as in `upload`.
        See `S3Client.download_file`.
        """
        try:
            path = confined_path(os.curdir, check_key(filename)) if to is None else to
            self.downloader.download_file(
                bucket,
                filename,
                path,
                make_folders=True,
                durable=self._durable,
                if_changed=if_changed,
                progress=progress,
            )
        except Exception as error:  # noqa: BLE001 - the façade's promise
            return self._failed(error)
        return True

    def _failed(self, error: Exception) -> bool:
        hand_over(self._on_error, error)
        return False

    def close(self) -> None:
        """Close the connections of both clients; a later call opens new ones."""
        self.uploader.close()
        self.downloader.close()

    def __enter__(self) -> CDNManager:  # noqa: PYI034 - Self needs typing_extensions
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a CDNManager is not pickled or copied: it holds secrets. Make one where it is used.")

    def __exit__(self, *_: object) -> None:
        self.close()
