"""What the tests of `SigV4Auth` share: a signer whose clock stands still, the judge for S3, botocore for the rest."""

from __future__ import annotations

import datetime as dt
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Iterator
from unittest import mock

import botocore.auth
import botocore.credentials
import pytest
from botocore.awsrequest import AWSRequest
from kit import KEY, SECRET
from sigcheck import Verified, verify

from cdn_sigv4 import Credentials, SigV4Auth

if TYPE_CHECKING:
    from rawserver import RawRequest

REGION = "eu-central-1"
NOW = 1440938160.0  # 2015-08-30T12:36:00Z, the moment of AWS's own examples


def signer(service: str = "s3", token: str | None = None, moment: float = NOW) -> SigV4Auth:
    """An auth object whose clock stands still."""
    auth = SigV4Auth(Credentials(KEY, SECRET, token), REGION, service)
    auth._clock = lambda: moment
    return auth


def judged_there(request: RawRequest, token: str | None = None, *, allow_unsigned_payload: bool = False) -> Verified:
    """What the judge says to a request for S3; SignatureError if it was not signed exactly as it was sent."""
    proof = verify(
        request.head, request.body, {KEY: SECRET}, region=REGION, allow_unsigned_payload=allow_unsigned_payload
    )
    assert proof.session_token == token
    return proof


def signed_headers(request: RawRequest) -> list[str]:
    """The names in SignedHeaders."""
    match = re.search("SignedHeaders=([^,]+),", request.header("authorization") or "")
    assert match is not None
    return match.group(1).split(";")


@contextmanager
def clock_of_botocore(moment: dt.datetime) -> Iterator[None]:
    """Stop botocore's clock: it asks a helper of its own, and asked `datetime.datetime` before it had one."""
    if hasattr(botocore.auth, "get_current_datetime"):
        name, stand_in = "get_current_datetime", mock.Mock(return_value=moment)
    else:  # before 1.40, the newest for Python 3.8
        name, stand_in = "datetime", mock.Mock(**{"datetime.utcnow.return_value": moment})
    with mock.patch.object(botocore.auth, name, stand_in):
        yield


def check_with_botocore(request: RawRequest, service: str, token: str | None = None) -> None:
    """Let botocore sign the request as it arrived: the same headers and moment must give its signature."""
    own = ("host", "x-amz-date", "x-amz-security-token")
    url = f"http://{request.header('host')}{request.target.decode('ascii')}"
    oracle = AWSRequest(request.method, url, data=request.body)
    for name in signed_headers(request):
        if name not in own:
            oracle.headers[name] = request.header(name)
    moment = dt.datetime.strptime(request.header("x-amz-date") + "+0000", "%Y%m%dT%H%M%SZ%z")
    with clock_of_botocore(moment):
        credentials = botocore.credentials.Credentials(KEY, SECRET, token)
        botocore.auth.SigV4Auth(credentials, service, REGION).add_auth(oracle)
    assert request.header("authorization") == oracle.headers["Authorization"]
    assert request.header("x-amz-security-token") == token


def check(request: RawRequest, service: str, token: str | None = None) -> None:
    """Let the judge of that service say whether the request was signed exactly as it was sent."""
    if service == "s3":
        judged_there(request, token)
    else:
        check_with_botocore(request, service, token)


both_services = pytest.mark.parametrize("service", ["s3", "execute-api"])
