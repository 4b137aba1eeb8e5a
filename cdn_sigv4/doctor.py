"""`doctor`: says why it does not work. From the ground up: programs, name, port, TLS, store, clock, region, rights.

Each check is made where those below it held; what it finds is told at once (findings.py). Nothing is left in the store,
but by `write`, which says so. Every wait is bounded: a dead host is told in some ten seconds.
"""

from __future__ import annotations

import re

from . import ground
from .endpoint import Endpoint, is_ip_address
from .errors import ResponseError
from .exchange import Exchange
from .findings import FAILED, OK, SKIPPED, WARNING, Finding, Report
from .retry import Retry
from .rights import MOST, Place, User, insight
from .s3 import MAX_KEY_BYTES, Request, check_bucket, check_key, located
from .settings import DOWNLOADER, UPLOADER, UsageError, variables_of
from .storefront import Store

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeVar

    from .body import Body
    from .credentials import Credentials
    from .errors import CDNError
    from .reply import Answer
    from .retry import Event, Patience
    from .settings import Settings

    T = TypeVar("T")

_TIMEOUT = ground.LONGEST, 10.0  # seconds to connect, and without a byte: no more than these, whatever the settings say
_RETRY = Retry(attempts=3, budget=5.0, cap=1.0)  # one to learn the clock, one the region
_COMPARED = "compare the two users"


def run(
    settings: Settings, bucket: str | None, key: str | None = None, *, write: str | None = None, as_json: bool = False
) -> int:
    """Print what is found, line by line; 1 where something has failed, else 0 (there may be warnings).

    `bucket`, `key`: where the users should read and write; `write`: a key for a real round trip, which leaves an object
    there. UsageError for what cannot be tried.
    """
    examination = Examination(settings, bucket, key, write)
    report = Report(as_json=as_json)
    try:
        for finding in examination.findings():
            report.tell(finding)
    except KeyboardInterrupt:
        for finding in examination.untold():
            report.tell(finding)
        raise
    finally:
        examination.close()
    return report.end(examination.cause)


class _Bounded(Exchange):
    """One that gives up an answer that drips: the timeouts of a client are for those that stall."""

    def begin(
        self,
        request: Request,
        parse: Callable[[Answer], T],
        body: Body | None = None,
        success: tuple[int, ...] = (200,),
        *,
        patience: Patience | None = None,
        found_out: Callable[[CDNError], T] | None = None,
    ) -> T:
        """See `Exchange`."""
        ask = super().begin
        return ground.within(
            ground.longest(0 if body is None else body.size),
            lambda: ask(request, parse, body, success, patience=patience, found_out=found_out),
        )


class Examination:
    """One run: the settings, checked, and what was found so far that later checks ask for."""

    def __init__(self, settings: Settings, bucket: str | None, key: str | None, write: str | None) -> None:
        if bucket is None and (key is not None or write is not None):
            raise UsageError("an object to read or write is in a bucket: name it")
        self._settings = settings
        self._bucket = bucket
        self._write = write
        self._open: list[Exchange] = []
        try:
            self._addressing = "path" if bucket is None else settings.addressing  # no bucket, no host of its own
            self._endpoint = Endpoint(settings.host, settings.addressing)
            self._place = _place(bucket, key)
            check_key("key" if write is None else write)
            self._host = _host(self._endpoint)
            keys = settings.keys(UPLOADER) or settings.keys(DOWNLOADER)
            self._store = Store(self._exchange(keys, self._addressing), self._place.bucket, self._place.probe)
            authority, _ = located(Endpoint(settings.host, self._addressing), Request("GET", self._place.bucket))
        except (TypeError, ValueError) as error:
            raise UsageError(str(error)) from None
        self._url = f"{self._endpoint.scheme}://{authority}"
        self._regions: list[str] = []  # learnt
        self._asking: list[User] = []
        self.cause: Finding | None = None  # of all that is wrong, where that is known

    def _exchange(self, keys: Credentials | None, addressing: str) -> Exchange:
        settings = self._settings
        made = _Bounded(
            Endpoint(settings.host, addressing),
            keys,
            region=settings.region,
            timeout=(min(settings.timeout[0], _TIMEOUT[0]), min(settings.timeout[1], _TIMEOUT[1])),
            retry=_RETRY,
            sign_payload=True,
            verify=settings.verify,
            session=None,
            on_event=self._hear,
        )
        self._open.append(made)
        return made

    def close(self) -> None:
        """Close the connections."""
        for exchange in self._open:
            exchange.close()

    def _hear(self, event: Event) -> None:
        if event.kind == "region" and isinstance(event.error, ResponseError) and event.error.region:
            self._regions.append(event.error.region)

    def untold(self) -> list[Finding]:
        """What an interrupted run has to say of uploads that it may leave."""
        return [user.untold for user in self._asking if user.untold is not None]

    def findings(self) -> Iterator[Finding]:
        """All of them, in the order in which they are found."""
        programs = ground.programs()
        yield programs
        if programs.level == FAILED:
            return
        file = None if self._settings.file is None else ground.settings_file(self._settings.file)
        if file is not None:
            yield file
        try:
            way = ground.Way(self._url, str(self._endpoint), self._settings.timeout[0], self._settings.verify)
        except (OSError, ValueError) as error:
            yield Finding(FAILED, "proxy", "look into the environment", str(error), ground.PROXY_ADVICE)
            return
        checks: tuple[Callable[[], Finding | None], ...] = (
            way.through,
            way.named,
            way.connected,
            way.secured,
            lambda: self._store.answered(way),
        )
        for check in checks:
            finding = check()
            if finding is None:
                continue
            if finding.level == FAILED and self._addressing == "virtual":
                finding.advice = f"{finding.advice} Or say --addressing path: the bucket is then no part of the name."
            yield finding
            if finding.level == FAILED:
                yield Finding(SKIPPED, "the rest", "clock, region, addressing, keys", "nothing of them can be told")
                return
        yield self._store.timed()
        yield from self._asked(way)

    def _asked(self, way: ground.Way) -> Iterator[Finding]:
        """What needs a key."""
        users = self._asking
        for found in self._users():
            if isinstance(found, Finding):
                yield found
            else:
                users.append(found)
                found.knock(self._place)
        yield self._region(users)
        yield self._addressed(way, users)
        for user in users:
            if self._bucket is None:
                yield user.accepted()
            else:
                yield from user.examined(self._place, users[0] if user is not users[0] else None)
        for finding in _exchanged(users):
            self.cause = finding if finding.level == FAILED else None
            yield finding
        if self._bucket is None:
            yield Finding(SKIPPED, "rights", "read, list and write", "no bucket was named", "Type: doctor BUCKET/KEY.")
            return
        writers = [user for user in users if user.writes and user.can_write]
        tidy = [user for user in writers if not user.leaves]
        if tidy:
            yield from tidy[0].stored_checksums(self._place, self._settings.checksum)
        else:
            reason = "another one would stay, too" if writers else "nobody here may write"
            yield Finding(SKIPPED, "checksums", "begin uploads with a checksum", reason)
        yield from self._round_trip(writers, [user for user in users if user.reads and user.is_accepted])

    def _users(self) -> Iterator[User | Finding]:
        """Those whose keys are known; a finding for who is missing, or is the other one as well."""
        settings = self._settings
        up, down = settings.keys(UPLOADER), settings.keys(DOWNLOADER)
        if settings.anonymous:
            yield self._user("anonymous", None, reads=True, writes=False)
            return
        if up is not None and down is not None and up.access_key == down.access_key:
            advice = "Make a key of its own for each: whoever finds the downloader's can write, too."
            yield Finding(WARNING, "keys", _COMPARED, "they have the same key", advice)
            if up.secret_key == down.secret_key:
                yield self._user("both", up, reads=True, writes=True)
                return
        for name, keys in ((UPLOADER, up), (DOWNLOADER, down)):
            if keys is not None:
                yield self._user(name, keys, reads=name == DOWNLOADER, writes=name == UPLOADER)
            else:
                advice = f"Set {variables_of(name)}, or give --config."
                yield Finding(SKIPPED, name, "look for its keys", "there are none", advice)

    def _user(self, name: str, keys: Credentials | None, *, reads: bool, writes: bool) -> User:
        return User(
            name,
            None if keys is None else keys.access_key,
            lambda addressing: self._exchange(keys, addressing or self._addressing),
            reads=reads,
            writes=writes,
            is_minio="minio" in self._store.headers.get("server", "").lower(),
            checksum=self._settings.checksum,
            etag_is_md5=self._settings.etag_is_md5,
        )

    def _region(self, users: list[User]) -> Finding:
        ours = self._settings.region
        tried, theirs = f"sign for the region {ours}", _region_of(self._store.headers.get("x-amz-bucket-region", ours))
        if theirs in (ours, None):
            theirs = (self._regions or [ours])[0]
        if theirs != ours:
            advice = f"Set --region {theirs}: each client learns it by itself, but with one request more."
            return Finding(WARNING, "region", tried, f"the store wants {theirs}", advice)
        if not any(user.is_accepted and user.access_key for user in users):
            return Finding(SKIPPED, "region", tried, "no signed request was accepted")
        return Finding(OK, "region", tried, "the store takes it")

    def _addressed(self, way: ground.Way, users: list[User]) -> Finding:
        """Whether the bucket may stand in the path, or in the host's name."""
        where = {"path": "path", "virtual": "host's name"}
        mine, other = (self._addressing, "path" if self._addressing == "virtual" else "virtual")
        tried = f"name the bucket in the {where[mine]}"
        way_there = f"the other way (in the {where[other]})"
        reason = self._no_other_way(way, other)
        if reason is not None:
            return Finding(OK, "addressing", tried, f"{way_there} cannot be: {reason}")
        if not users:
            return Finding(SKIPPED, "addressing", tried, "needs a key")
        pairs = [(insight(user.error), insight(user.knocked(self._place, other))) for user in users]
        if any(theirs > ours for ours, theirs in pairs):
            text = f"{way_there} is understood, and this one is not"
            return Finding(FAILED, "addressing", tried, text, f"Set --addressing {other}.")
        if (MOST, MOST) in pairs:
            text = f"works; {way_there} does as well"
        elif any(ours > theirs for ours, theirs in pairs):
            text = f"works; {way_there} does not"
        else:
            return Finding(SKIPPED, "addressing", tried, f"no answer tells whether this is right, or {way_there}")
        return Finding(OK, "addressing", tried, text)

    def _no_other_way(self, way: ground.Way, other: str) -> str | None:
        """Why the bucket cannot be named there."""
        if is_ip_address(self._host):
            return "an IP address has no subdomains"
        if way.proxy:
            return "not tried through a proxy"
        if other == "path":
            return None
        if self._bucket is None:
            return "no bucket was named"
        if "." in self._bucket and self._endpoint.scheme == "https":
            return "no certificate covers a bucket with a dot"
        name = f"{self._bucket}.{self._host}"
        return None if ground.resolves(name, way.port) else f"there is no {name}"

    def _round_trip(self, writers: list[User], readers: list[User]) -> Iterator[Finding]:
        if self._write is None or self._bucket is None:
            return
        if not writers or not readers:
            yield Finding(SKIPPED, "round trip", f"write {self._write}", "needs one who writes and one who reads")
            return
        from .roundtrip import round_trip

        yield from round_trip(writers[0], readers[-1], self._bucket, self._write)


def _exchanged(users: list[User]) -> Iterator[Finding]:
    """A finding where each of the two may what the other one should."""
    if len(users) == 2 and users[1].can_write and users[0].may_not_write:
        text = "the downloader may write, and the uploader may not"
        level = FAILED if users[0].can_read else WARNING
        yield Finding(level, "keys", _COMPARED, text, "Have their keys been exchanged in the settings?")


def _region_of(name: str) -> str | None:
    """What a server says, where it is one: it is told as a word to type."""
    return name if re.fullmatch(r"[\w.-]{1,60}", name, re.ASCII) else None


def _host(endpoint: Endpoint) -> str:
    """The host without its port and brackets."""
    host, colon, _ = endpoint.authority.rpartition(":")
    return (host if colon and not endpoint.authority.endswith("]") else endpoint.authority).strip("[]")


def _place(bucket: str | None, key: str | None) -> Place:
    """Where to try: beside the given object, since a policy may allow one folder alone."""
    from secrets import token_hex

    name = f"cdn-doctor-{token_hex(8)}"
    if bucket is None:
        return Place(name, None, name)
    folder = "" if key is None else "".join(check_key(key).rpartition("/")[:2])
    probe = folder + name
    return Place(check_bucket(bucket), key, probe if len(probe.encode()) <= MAX_KEY_BYTES else name)
