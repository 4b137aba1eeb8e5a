"""`Credentials`: an access key with its secret, checked when it is made, and shown nowhere.

Temporary ones: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp.html. The names in the environment:
https://docs.aws.amazon.com/sdkref/latest/guide/feature-static-credentials.html.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import NoReturn

    from .errors import ResponseError


class Credentials:
    """An access key with its secret, and the session token of temporary credentials. `repr` shows no secret.

    All three are text. Raises TypeError for anything else, ValueError for an empty value, for outer blanks and
    for control characters, which come from a careless copy (a line break at the end of a file, most often).
    Access key and session token travel in headers and so are printable ASCII; a secret may hold any letters.
    `expires_at`: until when they are good, in seconds since 1970, or as a datetime that knows its zone; a client that
    was given a callable fetches others before. Alone it changes nothing: the store says when they have expired.
    """

    __slots__ = ("access_key", "expires_at", "secret_key", "session_token")

    def __init__(
        self,
        access_key: str,
        secret_key: str,
        session_token: str | None = None,
        *,
        expires_at: float | datetime | None = None,
    ) -> None:
        self.access_key = _credential("access key", access_key)
        self.secret_key = _credential("secret key", secret_key)
        self.session_token = None if session_token is None else _credential("session token", session_token)
        self.expires_at = None if expires_at is None else _moment(expires_at)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Credentials:
        """Those in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, if set, AWS_SESSION_TOKEN.

        AWS_CREDENTIAL_EXPIRATION (ISO 8601), if set, is `expires_at`. ValueError where one of the first two is missing
        or cannot be right. Nothing else is looked at: no profile, no ~/.aws, no metadata service.
        """
        if environ is None:  # as a default value, `help` would show all of it
            environ = os.environ
        names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        missing = [name for name in names if not environ.get(name)]
        if missing:
            raise ValueError(f"no credentials in the environment: set {' and '.join(missing)}")
        key, secret = (environ[name] for name in names)
        until = environ.get("AWS_CREDENTIAL_EXPIRATION")
        return cls(key, secret, environ.get("AWS_SESSION_TOKEN") or None, expires_at=_read_moment(until))

    def __repr__(self) -> str:
        return f"Credentials({self.access_key!r}, '…'{'' if self.session_token is None else ', session_token=…'})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("Credentials are not pickled or copied: they hold a secret. Make them anew from your settings.")


class Fixed:
    """What a client signs with, where that never changes. `Rotation` is the other kind."""

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials
        self.is_anonymous = credentials is None

    def __str__(self) -> str:
        return "None" if self._credentials is None else repr(self._credentials.access_key)

    def current(self) -> Credentials | None:
        """The credentials; None to be anonymous."""
        return self._credentials

    def replaced(self, refused: Credentials | None, error: ResponseError) -> bool:  # noqa: ARG002 - as Rotation's
        """Whether there are others than those that were refused."""
        return False


def _credential(name: str, value: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"the {name} must be str, not {type(value).__name__}")
    if not value:
        raise ValueError(f"the {name} is empty")
    if value != value.strip() or not value.isprintable():
        raise ValueError(
            f"the {name} has an outer blank, a line break or another control character: look how it was copied"
        )
    if name != "secret key" and not (value.isascii() and " " not in value):
        raise ValueError(
            f"the {name} has a character that cannot stand in a header: only printable ASCII without blanks can"
        )
    if name == "access key" and ("," in value or "=" in value):
        raise ValueError("the access key has a ',' or '=', which end it in the Authorization header: MinIO takes none")
    return value


def _moment(value: float | datetime) -> float:
    """Seconds since 1970."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            moment = float(value)
        except OverflowError:
            moment = float("nan")
        if not moment > float("-inf"):  # NaN, of which nothing is true, would be asked for with every request
            raise ValueError("expires_at must be a time: seconds since 1970")
        return moment
    if not callable(getattr(value, "timestamp", None)):
        raise TypeError(f"expires_at must be seconds since 1970 or a datetime, not {type(value).__name__}")
    if value.tzinfo is None or value.utcoffset() is None:
        raise ValueError("expires_at must be a datetime that knows its zone: for UTC tzinfo=datetime.timezone.utc")
    return value.timestamp()


def _read_moment(text: str | None) -> float | None:
    """The same from ISO 8601; without a zone UTC is meant."""
    if not text:
        return None
    from datetime import datetime, timezone  # 2 ms, for temporary credentials alone

    try:
        moment = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except ValueError:
        raise ValueError("AWS_CREDENTIAL_EXPIRATION is no time as in 2026-11-24T12:00:00Z") from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
