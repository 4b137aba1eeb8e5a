"""Credentials that change: asked for of the caller's function, kept while they are good, asked for again in time.

Threads of one client share them: one asks, and the others go on with those that are still good, or wait. Rules:
https://docs.aws.amazon.com/STS/latest/APIReference/welcome.html; how MinIO says that they have expired:
cmd/auth-handler.go (checkClaimsFromToken). Imported only for a client that was given a function.
"""

from __future__ import annotations

import os
from threading import Lock, get_ident

from .credentials import Credentials
from .errors import CredentialsError
from .retry import Event, hand_over

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .errors import ResponseError

AHEAD = 300.0  # seconds before they expire at which others are fetched; a quarter of their life, if that is shorter
# What stores say of credentials that have expired or were replaced: AWS the first two, MinIO the others (a key that has
# expired is one that it does not know).
_OUTDATED = frozenset(["ExpiredToken", "TokenRefreshRequired", "InvalidAccessKeyId", "InvalidTokenId", "InvalidToken"])
PAUSE = 10.0  # seconds between two questions, where those that came have expired already, or none came


class _OwnClientError(CredentialsError):
    """That function has asked the client that waits for it."""


class Rotation:
    """The credentials of `give`, the caller's function, at a moment of `clock` (seconds since 1970, the server's).

    `on_event` hears of a failure where the credentials at hand still are good.
    """

    is_anonymous = False

    def __init__(
        self,
        give: Callable[[], Credentials],
        clock: Callable[[], float],
        on_event: Callable[[Event], object] | None,
    ) -> None:
        self._give = give
        self._clock = clock
        self._on_event = on_event
        self._now: Credentials | None = None
        self._until = 0.0  # when others are to be asked for
        self._lock = Lock()
        self._pid = os.getpid()
        self._asking = 0  # the thread that is in the caller's function
        self._failures = 0  # of that function; the last one's words
        self._trouble = ""

    def __str__(self) -> str:
        return "None yet" if self._now is None else repr(self._now.access_key)

    def current(self) -> Credentials:
        """Credentials that are good for some minutes, as far as they say. CredentialsError where there are none."""
        now, here = self._clock(), self._now
        if here is not None and now < self._until:
            return here
        is_good = here is not None and (here.expires_at is None or now < here.expires_at)
        failures, lock = self._failures, self._own_lock()
        if here is None or not is_good:
            self._check_outside()
            lock.acquire()
        elif not lock.acquire(blocking=False):
            return here  # another thread is asking
        try:
            latest = self._now
            return self._take(self._asked(failures)) if latest is here or latest is None else latest
        except CredentialsError as error:
            if here is None or not is_good:
                raise
            self._until = now + PAUSE
            if self._on_event is not None:
                hand_over(self._on_event, Event("credentials", error, PAUSE, 2))
        finally:
            lock.release()
        return here

    def replaced(self, refused: Credentials | None, error: ResponseError) -> bool:
        """Whether there now are others than these, which were refused with this error: asked for, if nobody has yet.

        CredentialsError where none are given.
        """
        is_bare = error.code is None and error.status == 400 and error.operation == "HEAD"  # what AWS says to one
        if refused is None or not (is_bare or error.code in _OUTDATED):
            return False
        failures, lock = self._failures, self._own_lock()
        self._check_outside()
        with lock:
            if self._now is refused:
                self._take(self._asked(failures))
            return self._now is not None and _values(self._now) != _values(refused)

    def _take(self, credentials: Credentials) -> Credentials:
        now, ends = self._clock(), credentials.expires_at
        # By a clock that is wrong they may have expired when they come: then the store says so, or not.
        self._until = float("inf") if ends is None else max(ends - min(AHEAD, (ends - now) / 4), now + PAUSE)
        self._now = credentials
        return credentials

    def _asked(self, failures: int) -> Credentials:
        """What the function gives. `failures`: how many there were before the wait; a later one is ours as well."""
        if failures != self._failures:
            raise CredentialsError(self._trouble)
        self._asking = get_ident()
        try:
            given = self._give()
        except _OwnClientError as error:
            raise _OwnClientError(error.message) from None
        except Exception as error:
            # Its words are not repeated: they may hold a URL with a token.
            raise self._failed(f"raised {type(error).__name__}") from error
        finally:
            self._asking = 0
        if not isinstance(given, Credentials):
            raise self._failed(f"gave {type(given).__name__}, no Credentials")
        return given

    def _failed(self, what: str) -> CredentialsError:
        self._trouble = f"the function that gives credentials {what}"
        self._failures += 1
        return CredentialsError(self._trouble)

    def _own_lock(self) -> Lock:
        """This process's: another thread may have held it when this one was forked off."""
        if self._pid != os.getpid():
            self._lock, self._pid, self._asking = Lock(), os.getpid(), 0
        return self._lock

    def _check_outside(self) -> None:
        """CredentialsError for the caller's function, where it would wait for its own end."""
        if self._asking == get_ident():
            raise _OwnClientError(
                "the function that gives credentials needs a client of its own: this one waits for it"
            )


def _values(credentials: Credentials) -> tuple[str, str, str | None]:
    return credentials.access_key, credentials.secret_key, credentials.session_token
