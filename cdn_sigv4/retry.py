"""What may be tried again, how often, and after how long. Pure: clock and random source come in as arguments.

Back-off with full jitter: https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/. Why a
quota: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html ("standard" mode). What the codes
mean: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html and MinIO's cmd/api-errors.go.
"""

from __future__ import annotations

from .errors import CDNError, IntegrityError, InvalidResponse, NotFound, ResponseError, TransportError
from .s3 import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

BASE = 0.25  # seconds: the ceiling of the first wait, doubled with each further one
_UNDER_WAY = 256 << 10  # bytes of a body: more than the buffers of a dead connection take
_SHARE = 1 / 3  # of an attempt: a link that breaks every 4 MiB lets three of ten parts of 5 MiB through
PROGRESS = 64 << 10  # bytes that an attempt must have brought to count as getting on: fewer could go on for ever
QUOTA = 300  # repetitions that a client has in hand: 32 threads outlive one outage with nine each

NEVER, ONCE, MORE = 0, 1, 1 << 30  # times that an operation may be tried again for one reason
# Share of the wait that is not left to chance. Where nobody listens it is half: with full jitter alone one client in
# nine would have made its ten attempts before a server that takes ten seconds to restart is back.
JITTER, STEADY = 0.0, 0.5

# What went wrong (a TransportError's cause, S3's code, a status, or a kind of error), how often it is worth another
# try, how the wait is drawn, and why. A code comes before its status; what is not in the table is never tried again.
RULES: dict[str | int, tuple[int, float, str]] = {
    "unresolved": (MORE, STEADY, "the resolver cannot be reached yet: a link that is just coming up"),
    "refused": (MORE, STEADY, "nobody listens: the server restarts"),
    "unreachable": (MORE, STEADY, "no way to the server: a link that is down for a moment"),
    "connect timeout": (MORE, STEADY, "the way to the server is cut or full"),
    "proxy": (MORE, STEADY, "the proxy restarts, or does not reach the server"),
    "proxy refuses": (NEVER, JITTER, "the proxy wants another password, or allows no such server"),
    "closed": (MORE, STEADY, "the server, or something on the way, dropped this connection; another may do"),
    "stalled": (MORE, JITTER, "this connection is dead or its server hangs; another may do"),
    "unknown host": (NEVER, JITTER, "there is no such name, says the resolver"),
    "certificate": (NEVER, JITTER, "the same certificate would come again"),
    "tls": (NEVER, JITTER, "the two do not agree on how to speak, and will not next time"),
    "not http": (ONCE, JITTER, "a damaged answer, or another kind of server"),
    "changed": (ONCE, JITTER, "another version: read from its beginning, where none of the old one was handed out"),
    "other": (NEVER, JITTER, "nothing says that it would pass"),
    IntegrityError.__name__: (ONCE, JITTER, "damage on the way happens; what is damaged twice is damaged at rest"),
    InvalidResponse.__name__: (ONCE, JITTER, "a damaged answer looks like that; so does a stranger's, twice"),
    408: (MORE, JITTER, "the server did not get the request in time"),
    429: (MORE, JITTER, "too many requests at once"),
    500: (MORE, JITTER, "S3's own advice for InternalError"),
    502: (MORE, STEADY, "a proxy before a store that restarts"),
    503: (MORE, STEADY, "busy, or starting"),
    504: (MORE, STEADY, "a proxy before a slow store"),
    "InternalError": (MORE, JITTER, "the same within a 200"),
    "SlowDown": (MORE, JITTER, "the same within a 200"),
    "ServiceUnavailable": (MORE, JITTER, "the same within a 200"),
    "RequestTimeout": (MORE, JITTER, "a 400 for a body that stalled on its way"),
    "IncompleteBody": (MORE, JITTER, "a 400 for a body that the link cut short"),
    "OperationAborted": (MORE, JITTER, "another operation on the same thing is under way; S3's own advice"),
    "ConditionalRequestConflict": (MORE, JITTER, "a conditional write met another one; AWS's own advice (PutObject)"),
    "gone": (MORE, STEADY, "bytes of it have just come: a node that was restarted does not know it yet"),
    "clock": (ONCE, JITTER, "the offset has been learnt from this answer"),
    "credentials": (ONCE, JITTER, "the caller's function has given others than those that were refused"),
    "region": (ONCE, JITTER, "the region has been learnt from this answer"),
}
_BROKEN = ("closed", "stalled")
LEARNT = ("clock", "credentials", "region")  # what makes the next attempt another one: there is nothing to wait for


class Retry(Value):
    """When to stop trying: after so many requests, or so many seconds.

    `attempts`: requests for one operation at the most, at least 1; counted anew when a broken download has got on.
    `budget`: no attempt begins later than so many seconds after the first failure; bytes that move start them anew.
    `cap`: seconds, the longest wait between two attempts, whatever the server asks for. ValueError outside these.
    A wait is drawn below a ceiling, 0.25 s at first and doubled each time: between nothing and all of it, or where
    nobody answers between half and all.
    """

    def __init__(self, attempts: int = 10, budget: float = 30.0, cap: float = 5.0) -> None:
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise ValueError(f"attempts must be a whole number from 1 on, not {attempts!r}: 1 tries nothing again")
        for name, seconds in (("budget", budget), ("cap", cap)):
            is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
            if not is_number or not 0 <= seconds < 1e9:
                raise ValueError(f"{name} must be a number of seconds from 0 on, not {seconds!r}")
        self.attempts = attempts
        self.budget = float(budget)
        self.cap = float(cap)


class Quota:
    """Repetitions that all requests of one client share, so that an outage is not multiplied by their number.

    Each repetition takes one, each operation that ends well gives one back. Without a lock: a lost count is one too
    many or too few.
    """

    def __init__(self, most: int = QUOTA) -> None:
        self._most = most
        self.left = most

    def take(self) -> bool:
        """Whether there was one left."""
        if self.left <= 0:
            return False
        self.left -= 1
        return True

    def give(self, amount: int = 1) -> None:
        """Give so many back."""
        self.left = min(self.left + amount, self._most)


class Patience:
    """The attempts of one operation: how many were made, and how long to wait before the next one.

    `others` counts what else has been done of the same transfer: where that gets on, this one's attempts count anew.
    One of its parts that was on its way when the link broke counts a third: such a link lets the part through in time.
    """

    def __init__(
        self,
        retry: Retry,
        quota: Quota,
        monotonic: Callable[[], float],
        random: Callable[[], float],
        others: Callable[[], int] = int,
    ) -> None:
        self.attempts = 1
        self._others = others
        self._seen = others()
        self._taken = 0  # of the quota, since it last got on
        self._retry = retry
        self._quota = quota
        self._monotonic = monotonic
        self._random = random
        self._spent: dict[str | int, int] = {}
        self._begun = monotonic()
        self._failures = 0.0  # since it last got on
        self._since = 0.0  # when the first of them was, or bytes last moved
        self._moved = 0  # bytes since then
        self._is_there = False  # what is asked for: some of it has come
        self._touched = 0.0  # when bytes of a body last moved
        self._is_under_way = False  # so many of them that the link is no dead one

    def moved(self, amount: int) -> None:
        """Say that so many bytes more of what is wanted have come."""
        self._moved += amount
        self._is_there = self._is_there or amount > 0
        if self._failures and self._moved >= PROGRESS:
            self._get_on()

    def _get_on(self) -> None:
        self._failures = 0
        self._spent.pop("credentials", None)  # in hours they may expire more than once
        self._quota.give(self._taken)  # it is for outages: a link that breaks again and again, and moves, is none
        self._taken = 0

    def heard(self, amount: int) -> None:
        """Say that so many bytes of a body are on their way: the seconds count anew, the attempts do not."""
        if amount >= PROGRESS:
            self._touched = self._monotonic()
            self._is_under_way = self._is_under_way or amount >= _UNDER_WAY

    def wait(self, error: CDNError) -> float | None:
        """Seconds until the next attempt after this failure, which is then counted; None when there is to be none."""
        reason = "gone" if self._is_there and isinstance(error, NotFound) else reason_for(error)
        times, steady, _ = RULES.get(reason, RULES["other"])
        if times == NEVER:
            return None
        now = self._monotonic()
        done = self._others()
        if done != self._seen:
            self._seen = done
            self._get_on()
        self._since = max(self._since, self._touched) if self._failures else now
        is_thin = self._others is not int and reason in _BROKEN and self._is_under_way and self._retry.attempts > 1
        self._failures += _SHARE if is_thin else 1
        self._moved, self._is_under_way = 0, False
        if self._failures >= self._retry.attempts or self._spent.get(reason, 0) >= times:
            return None
        seconds = self._seconds(steady, error) if reason not in LEARNT else 0.0
        if now - self._since + seconds > self._retry.budget or not self._quota.take():
            return None
        self._spent[reason] = self._spent.get(reason, 0) + 1
        self._taken += 1
        self.attempts += 1
        return seconds

    def mark(self, error: CDNError) -> None:
        """Note on an error how often, and for how long, it has been tried."""
        error.attempts = self.attempts
        error.seconds = self._monotonic() - self._begun

    def done(self) -> None:
        """Say that the operation ended well."""
        self._quota.give(max(1, self._taken if self._touched else 0))  # all, where a body moved each time

    def _seconds(self, steady: float, error: CDNError) -> float:
        ceiling: float = min(self._retry.cap, BASE * 2.0 ** min(max(self._failures - 1, 0), 30))
        asked = (error.retry_after if isinstance(error, ResponseError) else None) or 0.0
        if asked > self._retry.cap:  # not obeyed, so at least not by all at the same moment
            ceiling, steady, asked = self._retry.cap, STEADY, 0.0
        seconds = ceiling * (steady + (1 - steady) * self._random())
        return max(seconds, asked)


def reason_for(error: CDNError) -> str | int:
    """The row of `RULES` that an error falls under; "other" for what has none."""
    if isinstance(error, TransportError):
        return error.cause
    if isinstance(error, ResponseError):
        learnt = (error.server_time is not None, error.is_outdated, error.region is not None)
        if any(learnt):
            return LEARNT[learnt.index(True)]
        if error.code in RULES and error.code[:1].isupper():  # in small letters are causes, which no server can name
            return error.code
        return error.status if error.status in RULES else "other"
    name = type(error).__name__
    return name if name in RULES else "other"


class Event(Value):
    """What `on_event` hears of. `str` of it is a line for a log.

    `kind`: "retry" (the request is made again), "resume" (a broken body goes on from where it broke), "restart" (a
    damaged or changed object is fetched from its beginning), "clock" or "region" (learnt from an answer), "credentials"
    (others were given; or were not, and those at hand are used on). `operation`, `bucket`, `key`: of which request;
    `error`: the `CDNError` that led to it; `wait`: seconds until the next attempt; `attempt`: its number.
    """

    def __init__(self, kind: str, error: CDNError, wait: float, attempt: int) -> None:
        self.kind = kind
        self.operation = error.operation
        self.bucket = error.bucket
        self.key = error.key
        self.error = error
        self.wait = wait
        self.attempt = attempt

    def __str__(self) -> str:
        return f"{self.kind}: attempt {self.attempt} in {self.wait:.1f} s, because {self.error}"


def hand_over(listener: Callable[[Any], object], subject: object) -> None:
    """Call a listener of the caller's. `print` never fails a transfer; what another one raises passes."""
    try:
        listener(subject)
    except UnicodeEncodeError:  # the output cannot show the key's letters
        print(ascii(str(subject)))  # noqa: T201
    except (OSError, ValueError):  # nobody reads it, or it is closed
        if listener is not print:
            raise
