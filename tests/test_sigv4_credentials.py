"""Credentials: what is refused, with the field's name and never its value; what printing and copying do not show."""

import copy
import hashlib
import hmac
import pickle
import pprint

import pytest

from cdn_sigv4 import Credentials, sigv4

ACCESS_KEY, SECRET_KEY, SESSION_TOKEN = "AKIAEXAMPLE", "s3cr3t/Example+Key", "FwoGt0k3nExample=="


@pytest.mark.parametrize("token", [None, SESSION_TOKEN], ids=["lasting", "temporary"])
@pytest.mark.parametrize("show", [repr, str, "%s".__mod__, pprint.pformat], ids=["repr", "str", "percent", "pprint"])
def test_credentials_are_shown_without_secret(show, token):
    """No way of printing credentials, alone or in a list, shows the secret or the token; the access key is shown."""
    credentials = Credentials(ACCESS_KEY, SECRET_KEY, token)
    for shown in (show(credentials), show([credentials])):
        assert ACCESS_KEY in shown
        assert SECRET_KEY not in shown
        assert SESSION_TOKEN not in shown
        assert ("session_token" in shown) is (token is not None)
    assert not hasattr(credentials, "__dict__")  # vars() would show all


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps], ids=lambda copied: copied.__name__)
def test_credentials_are_not_copied(copied):
    """Pickling and copying are TypeErrors that say why, and show nothing."""
    with pytest.raises(TypeError, match="secret") as caught:
        copied(Credentials(ACCESS_KEY, SECRET_KEY, SESSION_TOKEN))
    assert not any(value in str(caught.value) for value in (ACCESS_KEY, SECRET_KEY, SESSION_TOKEN))


FIELDS = ("access key", "secret key", "session token")
BAD_ANYWHERE = {
    "empty": "", "blank": " ", "trailing newline": "V4LUE\n", "trailing CRLF": "V4LUE\r\n", "leading blank": " V4LUE",
    "trailing no-break space": "V4LUE\xa0", "tab": "V4\tLUE", "inner newline": "V4\nLUE", "NUL": "V4\0LUE",
    "DEL": "V4\x7fLUE", "C1 control": "V4\x85LUE", "line separator": "V4\u2028LUE", "byte order mark": "\ufeffV4LUE",
    "surrogate": "V4\udce9LUE", "bytes": b"V4LUE", "number": 4711, "list": ["V4LUE"],
}  # fmt: skip
BAD_IN_A_HEADER = {"non-ASCII": "V4LÜE", "emoji": "V4🔑LUE", "inner blank": "V4 LUE"}
BAD_CREDENTIALS = [
    *[(field, kind, value) for field in FIELDS for kind, value in BAD_ANYWHERE.items()],
    *[(field, kind, value) for field in (FIELDS[0], FIELDS[2]) for kind, value in BAD_IN_A_HEADER.items()],
    *[(field, "None", None) for field in FIELDS[:2]],
    *[("access key", f"with {mark}", f"V4{mark}LUE") for mark in ",="],
]


@pytest.mark.parametrize(
    ("field", "value"),
    [(field, value) for field, _, value in BAD_CREDENTIALS],
    ids=[f"{field}: {kind}" for field, kind, _ in BAD_CREDENTIALS],
)
def test_bad_credentials(field, value):
    """A bad value is refused with an error that names the field and shows neither that value nor the other two."""
    fields = {"access key": ACCESS_KEY, "secret key": SECRET_KEY, "session token": SESSION_TOKEN, field: value}
    with pytest.raises(ValueError if isinstance(value, str) else TypeError, match=f"the {field} ") as caught:
        Credentials(*fields.values())
    for text in (ACCESS_KEY, SECRET_KEY, SESSION_TOKEN, "V4", "LUE", "4711"):
        assert text not in str(caught.value)


@pytest.mark.parametrize("secret", ["inner blank", "geheim ü", "🔑", "u\u0308", "'\"%", "x"], ids=ascii)
def test_unusual_secrets(secret):
    """A secret may hold blanks inside and letters of any script: it signs as its UTF-8 bytes."""
    key = b"AWS4" + secret.encode("utf-8")
    for text in ("20150830", "us-east-1", "s3", "aws4_request", "text"):
        key = hmac.new(key, text.encode("utf-8"), hashlib.sha256).digest()
    scope = sigv4.Scope("20150830T123600Z", "us-east-1", "s3")
    assert sigv4.signature(Credentials("AK", secret), scope, "text") == key.hex()
