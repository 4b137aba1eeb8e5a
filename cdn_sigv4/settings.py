"""Where store and keys are found: in the command line's options (never a secret), the environment, or a file.

The file (`--config cdn.yaml`) holds what `CDNCredentials` does: `host`, the four keys, perhaps `region`; as JSON, or as
YAML where PyYAML is installed. In the environment the same names stand in capitals behind `CDN_`; `CDN_ENDPOINT` is
another name of `CDN_HOST`. Whoever only reads, or only writes, gives one pair of keys.
"""

from __future__ import annotations

import os

from .client import S3Client
from .credentials import Credentials
from .exchange import DEFAULT_REGION, DEFAULT_RETRY, DEFAULT_TIMEOUT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .retry import Event, Retry

UPLOADER, DOWNLOADER = "uploader", "downloader"
_KEYS = tuple(f"{user}_access_{half}" for user in (DOWNLOADER, UPLOADER) for half in ("key", "secret"))
MUST = ("host", *_KEYS)  # of CDNCredentials
NAMES = (*MUST, "region")
# Of settings' names, here and elsewhere.
_WORDS = ("access", "bucket", "endpoint", "host", "key", "load", "region", "secret", "url", "user")
MOST = 1 << 20  # bytes of a file with settings; more is another file


class UsageError(ValueError):
    """The command was not used rightly; the text says what to do. Never shows what may be a secret."""


class Settings:
    """A store, and the keys for one or both directions. `repr` shows no secret.

    `values`: those of `NAMES` that are known. `verify`: as `S3Client` takes it. `anonymous`: ask without any key.
    `file`: where secrets were read from, if that was one.
    """

    def __init__(
        self,
        values: Mapping[str, str],
        *,
        addressing: str = "path",
        verify: bool | str | None = None,
        timeout: tuple[float, float] = DEFAULT_TIMEOUT,
        retry: Retry | None = DEFAULT_RETRY,
        checksum: str | None = "crc32",
        etag_is_md5: bool = True,
        anonymous: bool = False,
        file: str | None = None,
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        if not values.get("host"):
            raise UsageError("which server? Give --host, or set CDN_HOST, or name a file with --config")
        self.host = values["host"]
        self.file = file
        self.region = values.get("region") or DEFAULT_REGION
        self.addressing = addressing
        self.verify = verify
        self.timeout = timeout
        self.retry = retry
        self.checksum = checksum
        self.etag_is_md5 = etag_is_md5
        self.anonymous = anonymous
        self.on_event = on_event
        self._keys = {user: _pair(values, user) for user in (UPLOADER, DOWNLOADER)}

    def __repr__(self) -> str:
        return f"Settings({self.host!r}, {self._keys!r}, region={self.region!r})"

    def keys(self, user: str) -> Credentials | None:
        """The credentials of "uploader" or "downloader"; None where they are not known, or not to be used."""
        return None if self.anonymous else self._keys[user]

    def client(self, user: str) -> S3Client:
        """A client in that user's name. UsageError without keys, or for settings that cannot work."""
        keys = self.keys(user)
        if keys is None and not self.anonymous:
            raise UsageError(
                f"no keys of the {user}: set {variables_of(user)}, or name a file with --config;"
                " --anonymous asks without any"
            )
        try:
            return S3Client(
                self.host,
                keys,
                region=self.region,
                addressing=self.addressing,
                timeout=self.timeout,
                retry=self.retry,
                checksum=self.checksum,
                etag_is_md5=self.etag_is_md5,
                verify=self.verify,
                on_event=self.on_event,
            )
        except (TypeError, ValueError) as error:
            raise UsageError(str(error)) from None


def _pair(values: Mapping[str, str], user: str) -> Credentials | None:
    key, secret = (values.get(f"{user}_access_{half}") for half in ("key", "secret"))
    if not key and not secret:
        return None
    if not key or not secret:
        given, missing = ("key", "secret") if key else ("secret", "key")
        raise UsageError(f"the {user} has an access {given}, but no access {missing}")
    try:
        return Credentials(key, secret)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{user}: {error}") from None


def variable(name: str) -> str:
    """The name of one of `NAMES` in the environment."""
    return f"CDN_{name.upper()}"


def variables_of(user: str) -> str:
    """The names of a user's keys in the environment, in words."""
    return " and ".join(variable(f"{user}_access_{half}") for half in ("key", "secret"))


def found(given: Mapping[str, str | None], environ: Mapping[str, str], file: Mapping[str, str]) -> dict[str, str]:
    """The values of `NAMES`, each from the first that has it: options, environment, file."""
    values = dict(file)
    for name in NAMES:
        said = environ.get(variable(name)) or (environ.get("CDN_ENDPOINT") if name == "host" else None)
        values.update({name: said} if said else {})
        option = given.get(name)
        values.update({name: option} if option else {})
    return values


def read(path: str | os.PathLike[str]) -> dict[str, str]:
    """What the file at `path` says. UsageError where it cannot be read, or does not say what it should."""
    path = os.fspath(path)
    try:
        with open(path, "rb") as file:
            data = file.read(MOST + 1)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror or error}") from None
    if len(data) > MOST:
        raise UsageError(f"{path}: more than {MOST >> 20} MiB is no file with settings")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not text in UTF-8") from None
    settings = _parsed(path, text)
    if not isinstance(settings, dict):
        raise UsageError(f"{path}: must hold names and values: {', '.join(NAMES)}")
    for name, value in settings.items():
        if name not in NAMES:
            # Not shown: NAME:SECRET without the blank, or a secret in the place of its name.
            shown = repr(name) if isinstance(name, str) and _is_a_name(name) else "a name in it"
            raise UsageError(f"{path}: {shown} is none of those known here: {', '.join(NAMES)}")
        if value is not None and not isinstance(value, str):
            raise UsageError(f"{path}: {name} must be text, not {type(value).__name__}: put it in quotes")
    return {name: value for name, value in settings.items() if value}


def _is_a_name(text: str) -> bool:
    return text.replace("_", "").isalpha() and len(text) < 27 and any(word in text.lower() for word in _WORDS)


def _parsed(path: str, text: str) -> object:
    """JSON, else YAML. No error's own text goes on: it may show the line with the secret."""
    if text.lstrip()[:1] == "{" or path.endswith(".json"):
        import json

        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            if path.endswith(".json"):
                raise UsageError(f"{path}: no JSON, from line {getattr(error, 'lineno', 1)} on") from None
    try:
        import yaml  # type: ignore[import-untyped,unused-ignore]
    except ImportError:
        raise UsageError(
            f"{path}: YAML needs PyYAML (pip install 'cdn-sigv4[yaml]'); or write the same as JSON"
        ) from None
    try:
        return yaml.safe_load(text)
    except Exception as error:  # noqa: BLE001 - also what it lets pass: ValueError for a date that is none, shown whole
        mark = getattr(error, "problem_mark", None)
        raise UsageError(f"{path}: no YAML{f', from line {mark.line + 1} on' if mark else ''}") from None
