"""Starts a server to test against, the best one that is to be had here, and ends it whatever happens.

In this order: the user's own (the demo only), MinIO in a container, a `minio` on the PATH, moto. `CDN_TEST_SERVER`
forces one of the last three, and then nothing else will do.
"""

from __future__ import annotations

import contextlib
import os
from typing import Callable, ContextManager, Iterator, Mapping

from . import minio_server, moto_server
from .choice import Choice, Given, choose
from .processes import signals_as_interrupt
from .values import HarnessError, Server


@contextlib.contextmanager
def start(
    environ: Mapping[str, str] | None = None,
    *,
    may_be_given: bool = False,
    say: Callable[[str], None] = print,
) -> Iterator[Server]:
    """Start the server which `environ` (by default the process's own) asks for; `say` hears which one it is."""
    environ = os.environ if environ is None else environ
    choice = choose(environ, may_be_given=may_be_given)
    with signals_as_interrupt(), contextlib.ExitStack() as stack:
        server = given_server(choice.given) if choice.given else first_that_works(choice, environ, stack, say)
        say(f"server: {server.description}, {server.endpoint}")
        yield server


def first_that_works(
    choice: Choice, environ: Mapping[str, str], stack: contextlib.ExitStack, say: Callable[[str], None]
) -> Server:
    """Start the first of the choice's kinds that works; the last one's failure is the caller's."""
    for kind in choice.kinds:
        try:
            return stack.enter_context(starter(kind, choice.image, environ))
        except HarnessError as error:
            if kind == choice.kinds[-1]:
                raise HarnessError(f"cannot start the server ({kind}): {error}") from None
            say(f"server: not {kind}: {error}")
    raise AssertionError("a choice has at least one kind")


def starter(kind: str, image: str, environ: Mapping[str, str]) -> ContextManager[Server]:
    """Return what starts a kind of server."""
    if kind == "container":
        return minio_server.container(image, environ)
    return minio_server.binary() if kind == "binary" else moto_server.moto()


def given_server(given: Given) -> Server:
    """Return the user's own server: nothing is started, no users and no buckets are made."""
    return Server(
        kind="given",
        endpoint=given.endpoint,
        region=given.region,
        root_access_key="",
        root_secret_key="",
        description=f"your own (CDN_HOST), bucket {given.bucket}",
        is_minio=False,
        user_maker=lambda _bucket: given.users,
        bucket=given.bucket,
    )
