"""The short way to the server: a connection of urllib3's pool is asked directly, past `requests` and most of urllib3.

What these do with a request of this package is to look at it and leave it as it is; that takes four times as long as
all the rest of a small one. wire.py says when this way is taken.
"""

from __future__ import annotations

from os import stat
from os.path import exists, isdir
from ssl import CERT_NONE, CERT_REQUIRED

from urllib3.exceptions import ClosedPoolError
from urllib3.util import Timeout, parse_url
from urllib3.util.ssl_ import create_urllib3_context

from .connection import KEPT, Sending, WholeHead, head_of, pool_classes
from .reply import Answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .body import Body
    from .reply import Failed
    from .s3 import SignedRequest


class Direct:
    """Pools of connections by the server's authority. Shared by threads, but not by processes.

    `timeout` is (seconds to connect, seconds without a byte moved); `verify` True, False, or the authorities' file or
    folder.
    """

    def __init__(self, scheme: str, timeout: tuple[float, float], verify: bool | str) -> None:
        self._class = pool_classes(timeout[1])[scheme]
        self._settings: dict[str, Any] = {"maxsize": KEPT, "timeout": Timeout(connect=timeout[0], read=timeout[1])}
        if scheme == "https":
            self._settings["cert_reqs"] = CERT_REQUIRED if verify else CERT_NONE
        self._is_tls = scheme == "https"
        self._verify = verify
        self._context: Any = None
        self._stamp: Any = None  # of the file or folder that the context was made of
        self._pools: dict[str, Any] = {}

    def trusted(self) -> Any:
        """The TLS context: made once, as to read the authorities takes ten times as long as a handshake.

        Made anew where they are others by now.
        """
        verify = self._verify
        if isinstance(verify, str) and not exists(verify):
            raise OSError(f"there is no {verify} with certificate authorities: see verify=, REQUESTS_CA_BUNDLE")
        found = stat(verify) if isinstance(verify, str) else None
        stamp = found and (found.st_ino, found.st_size, found.st_mtime_ns)
        if self._context is None or stamp != self._stamp:
            context = create_urllib3_context(cert_reqs=CERT_REQUIRED if verify else CERT_NONE)
            if isinstance(verify, str):
                context.load_verify_locations(**{"capath" if isdir(verify) else "cafile": verify})
            self._context, self._stamp = context, stamp
        return self._context

    def _pool(self, signed: SignedRequest) -> Any:
        pool = self._pools.get(signed.authority)
        if pool is None:
            if len(self._pools) >= KEPT:  # of buckets with hosts of their own there may be any number
                self.close()
            where = parse_url(f"{signed.scheme}://{signed.authority}")
            made = self._class(where.host, where.port, **self._settings)
            pool = self._pools.setdefault(signed.authority, made)  # another thread may have been faster
        return pool

    def send(self, signed: SignedRequest, body: Body | None, sending: Sending, failed: Failed) -> DirectAnswer:
        """The answer, whatever it is; without one what urllib3, http.client or the socket raises."""
        while True:
            pool = self._pool(signed)
            try:
                connection = pool._get_conn()  # noqa: SLF001 - `urlopen` does the same, and then much more
                break
            except ClosedPoolError:  # by another thread, since it was found
                continue
        try:
            if connection.sock is None:
                if self._is_tls:
                    connection.ssl_context = self.trusted()
                pool._validate_conn(connection)  # noqa: SLF001 - connects where there is TLS, and warns without `verify`
                if connection.sock is None:
                    connection.connect()
            response = connection.ask(sending, signed.method, head_of(signed, body), body)
        except BaseException:
            connection.close()
            raise
        is_whole = not sending.cut_short and (body is None or not body.remaining)
        return DirectAnswer(response, signed.method, failed, connection, pool if is_whole else None)

    def close(self) -> None:
        """Close the connections that nobody uses; the others are closed when they come back."""
        pools, self._pools = self._pools, {}
        for pool in pools.values():
            pool.close()


class DirectAnswer(Answer):
    """An answer, of which the body is still to be read from the `connection`.

    That goes back to its `pool` afterwards; None where half a request is on it: it ends with its answer.
    """

    def __init__(self, response: WholeHead, method: str, failed: Failed, connection: Any, pool: Any) -> None:
        super().__init__(response.status, response.fields, method, failed)
        self._response = response
        self._connection = connection
        self._pool = pool

    def _read(self, amount: int) -> bytes:
        try:
            block = self._response.read(amount)
        except BaseException:
            self._pool = None  # http.client closes an answer with a broken chunk, as if it had been read
            raise
        if self._response.fp is None:
            self.close()
        return block

    def _readinto(self, view: memoryview) -> int:
        try:
            count = self._response.readinto(view)
        except BaseException:
            self._pool = None
            raise
        if self._response.fp is None:
            self.close()
        return count

    def close(self) -> None:
        """Give the connection back, where the next answer on it will be the next request's; else close it."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        response = self._response
        is_over = response.isclosed() and not response.length and not response.will_close
        if is_over and self._pool is not None:
            self._pool._put_conn(connection)  # noqa: SLF001 - as urllib3's answers do
        else:
            response.close()
            connection.close()
