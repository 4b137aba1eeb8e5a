"""The main job on real input, with a server for it: harness/demo_job.py is the job.

Each step prints what it showed; the first one that does not hold ends the demo with exit code 1.
"""

from __future__ import annotations

import contextlib
import secrets
import shlex
import time

import cdn_sigv4
from cdn_sigv4 import CDNError, Credentials, S3Client

from . import demo_job, servers
from .demo_job import KEY, DemoError, say
from .values import HarnessError, KeyPair, Server, Users

BUCKET = "models"  # of those who try it
STAYS = 12 * 3600.0  # seconds at the most


def main(*, stays: bool = False) -> int:
    """Run the demo and return its exit code; `stays`: only have a server for somebody to try."""
    try:
        with servers.start(may_be_given=not stays, say=say) as server:
            if stays:
                stay(server)
                return 0
            run(server)
    except (DemoError, HarnessError, CDNError) as error:
        say(f"FAILED: {error}")
        return 1
    except KeyboardInterrupt as reason:
        say(f"interrupted {reason}".rstrip())
        return 130
    say("\nEvery step held.")
    return 0


def run(server: Server) -> None:
    """Run all steps against a server."""
    bucket, users = prepare(server)
    key = f"cdn-sigv4-demo/{secrets.token_hex(4)}/{KEY}" if server.bucket else KEY
    with contextlib.ExitStack() as stack:
        if server.bucket:
            stack.callback(say, f"\nleft on your server: {bucket}/{key} (neither credential may delete it)")
        demo_job.run(demo_job.Imported(cdn_sigv4, environment(server, users)), bucket, key)


def stay(server: Server) -> None:
    """Say how to use the server from another shell, and wait until that is interrupted."""
    root = Credentials(server.root_access_key, server.root_secret_key)
    with S3Client(server.endpoint, root, region=server.region) as client:
        client.create_bucket(BUCKET)
    values = environment(server, server.make_users(BUCKET))
    say(f"\nThe bucket is {BUCKET}. Paste this into another shell:\n")
    say("".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items()))
    say(f"Its root may do all, list and delete too: {root.access_key} {root.secret_key}\n")
    say("Ctrl-C here ends the server, and all that is in it.")
    time.sleep(STAYS)


def prepare(server: Server) -> tuple[str, Users]:
    """Make a bucket and the two users, unless they are the user's own."""
    if server.bucket:
        say("\n1. bucket and users: your own; none are made")
        return server.bucket, server.make_users(server.bucket)
    bucket = f"cdn-demo-{secrets.token_hex(4)}"
    root = Credentials(server.root_access_key, server.root_secret_key)
    with S3Client(server.endpoint, root, region=server.region) as client:
        client.create_bucket(bucket)
    users = server.make_users(bucket)
    say(f"\n1. made the bucket {bucket} and two users of least privilege:")
    say(f"   uploader   {users.uploader.access_key} (may put objects, and nothing else)")
    say(f"   downloader {users.downloader.access_key} (may get objects, and nothing else)")
    return bucket, users


def environment(server: Server, users: Users) -> dict[str, str]:
    """The variables by which the job, and the command line, find the store and both credentials."""
    found = {"CDN_HOST": server.endpoint, "CDN_REGION": server.region}
    for name, keys in (("UPLOADER", users.uploader), ("DOWNLOADER", users.downloader)):
        found.update(halves(name, keys))
    return found


def halves(name: str, keys: KeyPair) -> dict[str, str]:
    """One user's two variables."""
    return {f"CDN_{name}_ACCESS_KEY": keys.access_key, f"CDN_{name}_ACCESS_SECRET": keys.secret_key}
