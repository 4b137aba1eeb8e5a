"""The command line's words: what may be typed, and what it means. Syntax: https://docs.python.org/3/library/argparse.html.

No option takes a secret, since every user of a machine sees the words of its commands; and no word of a command that
is wrong is shown again, as it may be one.
"""

from __future__ import annotations

import argparse
import sys

from .crew import DEFAULT_WORKERS
from .exchange import DEFAULT_RETRY, DEFAULT_TIMEOUT
from .retry import Retry
from .settings import DOWNLOADER, UPLOADER, Settings, UsageError, found, read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, NoReturn

    from .retry import Event

_SECRET = ("secret", "password", "token", "access-key", "access_key")
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
_END = """\
Where:    an object is BUCKET/KEY or s3://BUCKET/KEY; no key is changed on its way (., .. and // stay).
Settings: options, else CDN_HOST, CDN_REGION, CDN_UPLOADER_ACCESS_KEY, CDN_UPLOADER_ACCESS_SECRET,
          CDN_DOWNLOADER_ACCESS_KEY, CDN_DOWNLOADER_ACCESS_SECRET, else the same names without CDN_, in lower case,
          in the file of --config or CDN_CONFIG (YAML or JSON). Secrets are never options.
Exit:     0 done, 1 refused or failed, 2 wrong use, 130 Ctrl-C, 143 SIGTERM, 141 nobody reads the output.
"""
# What each command is for, how it is used, and what else there is to know.
_COMMANDS = {
    "put": (
        "store files",
        "FILE... BUCKET[/KEY | /PREFIX/]",
        """
Like cp: the target is a key; or a prefix for the files' names, where it is a bucket alone, ends in /, or there are
several files. FILE - is stdin. With -r: all that is in a folder, below the prefix; links to files are followed, links
to folders are left out.""",
    ),
    "get": (
        "fetch objects, each whole or not at all",
        "BUCKET/KEY... [FILE | FOLDER | -]",
        """
The last of several words says where to: a file, a folder (one that is there, or a name that ends in /), or - for
stdout. Alone, an object comes into this folder. With -r: all that is below BUCKET[/PREFIX/], into a folder.""",
    ),
    "ls": (
        "list what is in a bucket",
        "BUCKET[/PREFIX]",
        """
Time (UTC), bytes, key. Keys that go on behind the next / are one line, PRE; with -r each is listed.""",
    ),
    "rm": (
        "delete objects",
        "BUCKET/KEY...",
        """
To delete what is not there is no error.""",
    ),
    "stat": ("say what is known of an object", "BUCKET/KEY", ""),
    "presign": (
        "print a URL that works without keys",
        "BUCKET/KEY",
        """
Nothing is sent. Whoever has the URL has the right: keep it out of logs.""",
    ),
    "doctor": (
        "say why it does not work",
        "[BUCKET[/KEY]]",
        """
Checks each step, from the server's name to what each key may do. Leaves nothing in the store, but with --write.""",
    ),
}


class _Parser(argparse.ArgumentParser):
    """Errors are UsageError, and show no value."""

    def __init__(self, **how: Any) -> None:
        how.update(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
        super().__init__(**how)

    def error(self, message: str) -> NoReturn:
        about, is_choice, rest = message.partition("invalid choice: ")
        if is_choice:
            message = f"{about}choose from {rest.rpartition('(choose from ')[2].rstrip(')')}".replace("'", "")
        message = message.partition(" '")[0].rstrip(":")  # behind it stands what was typed
        raise UsageError(f"{message} (see {self.prog} --help)")


def parsed(words: list[str], prog: str, version: str) -> argparse.Namespace:
    """What was typed: `command`, its `words`, and all options. UsageError; SystemExit after --help and --version."""
    end = words.index("--") if "--" in words else len(words)
    for word in words[:end]:
        if word.startswith("-") and any(mark in word.partition("=")[0].lower() for mark in _SECRET):
            raise UsageError(
                "keys are no options, where every user of this machine could read them: set CDN_UPLOADER_ACCESS_SECRET"
                " and the like, or name a file with --config"
            )
    options, others = _parser(prog, version).parse_known_args(words[:end])
    if options.command is None:
        raise UsageError(f"what is to be done? One of {', '.join(_COMMANDS)} (see {prog} --help)")
    unknown = [word for word in others if word[:1] == "-" and word != "-"]
    if unknown:  # its name alone: behind it may stand a secret
        name = unknown[0].partition("=")[0] if unknown[0][:2] == "--" else unknown[0][:2]
        raise UsageError(f"there is no option {name} (see {prog} {options.command} --help)")
    options.words += [*others, *words[end + 1 :]]  # argparse gives up at the first option among them
    return options


def _parser(prog: str, version: str) -> argparse.ArgumentParser:
    usage = f"{prog} COMMAND [options] ... ({prog} COMMAND --help tells more)"
    parser = _Parser(prog=prog, usage=usage, description="Files to and from an S3-compatible store.", epilog=_END)
    running = f"{prog} {version} (Python {sys.version.split()[0]})"
    parser.add_argument("--version", action="version", version=running)
    _add_common(parser, is_first=True)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", prog=prog)
    for name, (summary, usage, more) in _COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            usage=f"{prog} {name} [options] {usage}",
            description=f"{name}: {summary}.{more}",
            epilog=_END,
        )
        command.add_argument("words", nargs="*", metavar=usage, help=argparse.SUPPRESS)
        own = command.add_argument_group("options of this command")
        if name in _OWN:
            _OWN[name](own)
        _add_common(command, is_first=False)
    return parser


def _add_common(parser: argparse.ArgumentParser, *, is_first: bool) -> None:
    """The options that stand before the command or behind it; there they have no default, which would win."""
    group = parser.add_argument_group("options of all commands")

    def add(*names: str, default: Any = None, **how: Any) -> None:
        group.add_argument(*names, default=default if is_first else argparse.SUPPRESS, **how)

    def switch(*names: str, **how: Any) -> None:
        add(*names, default=False, action="store_true", **how)

    add("--config", metavar="FILE", help="a file with host, the keys, and perhaps region")
    add("--host", metavar="URL", help="where the store is: https://minio.example:9000")
    add("--region", help="the one to sign for (us-east-1)")
    add("--as", dest="user", choices=(UPLOADER, DOWNLOADER), help="whose key to use, if not the usual one's")
    switch("--anonymous", help="use no key at all")
    add("--addressing", choices=("path", "virtual"), default="path", help="host/bucket, or bucket.host")
    add("--ca-file", metavar="FILE", help="certificates to trust instead of the usual ones")
    switch("--insecure", help="take any certificate: whoever is on the way can read and change all")
    numbers: tuple[tuple[str, Any, str, float, str], ...] = (
        ("--connect-timeout", float, "SECONDS", DEFAULT_TIMEOUT[0], ", to connect"),
        ("--timeout", float, "SECONDS", DEFAULT_TIMEOUT[1], ", without a byte moved"),
        ("--attempts", int, "N", DEFAULT_RETRY.attempts, " requests for one thing at most"),
        ("--budget", float, "SECONDS", DEFAULT_RETRY.budget, ", in which to try again"),
    )
    for name, kind, unit, usual, what in numbers:
        add(name, type=kind, metavar=unit, default=usual, help=f"{usual:g}{what}")
    add("--checksum", choices=("crc32", "sha256", "none"), default="crc32", help="what is stored with an object")
    switch("--etag-is-no-md5", help="for a store whose entity tags look like MD5s and are none")
    switch("--json", help="one JSON object on a line of stdout for each result")
    switch("-q", "--quiet", help="say nothing but errors")
    switch("-v", "--verbose", help="say what is tried again, too")


def _add_transfer(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-r", "--recursive", action="store_true", help="all that is in a folder, or below a prefix")
    workers: dict[str, Any] = {"type": int, "metavar": "N", "default": DEFAULT_WORKERS}
    group.add_argument("--workers", **workers, help="%(default)s requests at a time, for all files together")
    group.add_argument("--part-size", type=_size, metavar="SIZE", help="bytes of a part, 8MiB for instance")


def _add_put(group: argparse._ArgumentGroup) -> None:
    _add_transfer(group)
    group.add_argument("--content-type", metavar="TYPE")
    pairs: dict[str, Any] = {"type": _pair, "metavar": "NAME=VALUE", "action": "append", "default": []}
    group.add_argument("--metadata", **pairs, help="kept with the object; may be repeated")
    group.add_argument("--header", **pairs, help="another header, cache-control for instance; may be repeated")
    group.add_argument("--if-absent", action="store_true", help="only where no such key is")
    group.add_argument(
        "--resume", action="store_true", help="keep the parts of an upload that fails, and go on with them"
    )


def _add_get(group: argparse._ArgumentGroup) -> None:
    _add_transfer(group)
    group.add_argument("--if-changed", action="store_true", help="fetch nothing where the file is the object already")
    group.add_argument("--no-resume", action="store_true", help="do not go on with what an earlier run has left")
    group.add_argument("--not-durable", action="store_true", help="do not wait until the disk has it")


def _add_ls(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-r", "--recursive", action="store_true", help="all keys, not summed up by /")


def _add_presign(group: argparse._ArgumentGroup) -> None:
    methods = ("GET", "HEAD", "PUT", "DELETE")
    group.add_argument("--method", choices=methods, default="GET", help="what the URL is for (%(default)s)")
    group.add_argument(
        "--expires-in", type=int, default=3600, metavar="SECONDS", help="%(default)s; 604800, a week, at most"
    )


def _add_doctor(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--write", metavar="KEY", help="also store 1 MiB under this key and fetch it; it is left there")


_OWN: dict[str, Callable[[argparse._ArgumentGroup], None]] = {
    "put": _add_put,
    "get": _add_get,
    "ls": _add_ls,
    "presign": _add_presign,
    "doctor": _add_doctor,
}


def _size(text: str) -> int:
    number = text.rstrip("kKmMgGiIbB")
    unit = text[len(number) :].lower()
    unit = unit[0] if unit in ("kib", "mib", "gib") else unit
    if not (number.isascii() and number.isdigit() and len(number) < 16) or unit not in _UNITS:
        raise argparse.ArgumentTypeError("a number of bytes, as in 8388608 or 8MiB")
    return int(number) * _UNITS[unit]


def _pair(text: str) -> tuple[str, str]:
    name, mark, value = text.partition("=")
    if not mark or not name:
        raise argparse.ArgumentTypeError("must be NAME=VALUE")
    if "encryption-customer-key" in name.lower():
        raise argparse.ArgumentTypeError("a key must not stand where every user of this machine can read it")
    return name, value


def mapping(pairs: list[tuple[str, str]]) -> dict[str, str] | None:
    """The pairs by their names; UsageError for a name that comes twice."""
    if len({name.lower() for name, _ in pairs}) != len(pairs):
        raise UsageError("the same name is given twice with --metadata or --header")
    return dict(pairs) or None


def settings(options: argparse.Namespace, environ: Mapping[str, str], on_event: Callable[[Event], object]) -> Settings:
    """Where the store is and the keys, from options, environment and file. UsageError for what cannot be."""
    if options.insecure and options.ca_file:
        raise UsageError("--insecure and --ca-file contradict each other")
    given = {"host": options.host, "region": options.region}
    try:
        retry = Retry(attempts=options.attempts, budget=options.budget)
    except ValueError as error:
        raise UsageError(str(error)) from None
    path = options.config or environ.get("CDN_CONFIG") or None
    in_file = {} if path is None else read(path)
    return Settings(
        found(given, environ, in_file),
        addressing=options.addressing,
        verify=False if options.insecure else options.ca_file,
        timeout=(options.connect_timeout, options.timeout),
        retry=retry,
        checksum=None if options.checksum == "none" else options.checksum,
        etag_is_md5=not options.etag_is_no_md5,
        anonymous=options.anonymous,
        file=path if any(name.endswith("_secret") for name in in_file) else None,
        on_event=on_event,
    )
