"""The one place that sends: a signed request goes out exactly as it was signed, its answer comes back as raw bytes.

There are two ways. The short one asks a pooled connection of urllib3's directly (direct.py). The other leads through
`requests` (ordinary.py): where a proxy stands before the server, where the caller gave a session, or where somebody
has put something of their own in the place of what `requests` and urllib3 send with. On both
- the target is the signed string, not what `requests` and urllib3 make of a URL with `..`, `//` or `%41`;
- headers are built by hand: no `~/.netrc`, no parameters, headers, auth or cookies of a session (psf/requests#3929);
- no redirect is followed, no body decoded, nothing retried (urllib3 would send a half-read body again);
- proxies and CA bundle are resolved once, as `requests` does, and an explicit `verify` wins (psf/requests#3829);
- what the socket's timeout limits is a stall, never a transfer that moves;
- a process that was forked opens connections of its own.

This module imports urllib3; it is itself imported when the first request goes out. `requests` is imported where it is
needed: for what it knows of the environment, and for the other way.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPException

try:
    import urllib3

    if tuple(map(int, urllib3.__version__.split(".")[:2])) < (1, 26):  # type: ignore[attr-defined]
        raise ImportError(  # noqa: TRY301
            f"urllib3 {urllib3.__version__} is too old, in {os.path.dirname(urllib3.__file__)}"  # type: ignore[attr-defined]
        )
except ImportError as error:  # also of 1.26.0 to 1.26.4, on Python 3.12 and later
    raise ImportError(f"{error}; type: pip install 'requests>=2.25' 'urllib3>=1.26.5'") from None

from .connection import BLOCK_SIZE, Sending
from .direct import Direct
from .reply import BROKEN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import Session

    from .body import Body
    from .errors import TransportError
    from .ordinary import Ordinary
    from .reply import Answer
    from .s3 import Request, SignedRequest


def _may_have_proxies() -> bool:
    """Whether the environment may name one; on these two systems it is also set elsewhere."""
    names = (name.lower() for name, value in os.environ.items() if value)
    return sys.platform in ("darwin", "win32") or any(name.endswith("_proxy") for name in names)


def _is_replaced() -> bool:
    """Whether somebody has put something of their own in the place of what sends."""
    if "requests" not in sys.modules:  # who would have, has imported it
        return False
    from .ordinary import is_replaced

    return is_replaced()


class _Means:
    """What one process sends with: the short way, and the other one, where it was needed."""

    def __init__(self, wire: Wire, given: Session | None) -> None:
        self._wire = wire
        self._given = given
        self._ordinary: Ordinary | None = None
        self.direct: Direct | None = None
        self.proxy = ""
        scheme = wire.url.partition(":")[0]
        if given is None and scheme == "http" and not _may_have_proxies():
            self.direct = Direct(scheme, wire.timeout, verify=False)
            return
        self.proxy = self.ordinary.proxy
        if given is None and not self.proxy:
            self.direct = Direct(scheme, wire.timeout, self.ordinary.authorities)

    @property
    def ordinary(self) -> Ordinary:
        """The way through `requests`."""
        if self._ordinary is None:
            from .ordinary import Ordinary

            self._ordinary = Ordinary(self._wire.url, self._wire.timeout, self._wire.verify, self._given)
        return self._ordinary

    def close(self) -> None:
        """Close the connections."""
        for way in (self._ordinary, self.direct):
            if way is not None:
                way.close()


class Wire:
    """Sends signed requests over one pool of connections, shared by threads.

    `timeout` is (seconds to connect, seconds without a byte moved). `verify` is True, False, a CA file, or None for
    what the session says. A `session` of the caller's gives its adapters, proxies, `verify` and `cert`, no more.
    `born` is the process in which the client was made, `clock` its time, which a certificate's dates are compared with.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: tuple[float, float],
        verify: bool | str | None,
        session: Session | None,
        born: int,
        clock: Callable[[], float],
    ) -> None:
        self.url = url
        self.timeout = timeout
        self.verify = verify
        self._given = session
        self._born = born
        self._clock = clock
        self._ready: dict[int, _Means] = {}  # by process

    def _means(self) -> _Means:
        """Made once in each process: of threads that come first at once, one's are everybody's."""
        pid = os.getpid()
        means = self._ready.get(pid)
        if means is None:
            if self._given is not None and self._born != pid:
                self._given.close()  # the parent's connections: both processes would read each other's answers
            made = _Means(self, self._given)
            for other in set(self._ready) - {pid}:
                self._ready.pop(other, None)
            means = self._ready.setdefault(pid, made)
        return means

    def send(self, request: Request, signed: SignedRequest, body: Body | None = None) -> Answer:
        """The answer, whatever its status; TransportError without one. `body` must stand at its beginning.

        ValueError, before anything is sent, where the way to the server would change the signed target.
        """
        means, sending = self._means(), Sending()

        def failed(error: Exception) -> TransportError:
            from .failures import transport_error

            return transport_error(error, request, signed, sending, body, self.timeout, means.proxy, self._clock)

        direct = None if _is_replaced() else means.direct
        if direct is None:
            through_session = means.ordinary.prepared(signed, body, sending)
        try:
            if direct is not None:
                answer: Answer = direct.send(signed, body, sending, failed)
            else:
                answer = through_session(failed)
        except BROKEN as error:
            failure = failed(error)
        else:
            while body is not None and not answer.is_real and body.read(BLOCK_SIZE):
                pass  # a stand-in need not have read it
            is_unsent = sending.cut_short or (body is not None and body.remaining)
            if answer.status >= (300 if is_unsent else 200):
                sending.is_answered = True
                return answer
            # What comes next on this connection belongs to this request: it must not answer another one.
            answer.close()
            interim = f"answered {answer.status} before it had the whole request, or in place of the final answer"
            failure = failed(HTTPException(f"{signed.authority} {interim}"))
        raise failure from None  # the cause carries the prepared request, and so the signature and the token

    def close(self) -> None:
        """Close the connections, unless they are those of the caller's session or of the parent process."""
        for pid in set(self._ready):
            means = self._ready.pop(pid, None)
            if means is not None and self._given is None and pid == os.getpid():
                means.close()
