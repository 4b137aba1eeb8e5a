"""The exceptions: one tree, as drawn; their evidence survives pickling, and their text is one safe line.

Traps: a server's words must not drive a terminal or fill a log (35), and worker processes hand exceptions to their
parent as pickles, so that a constructor with keyword-only evidence must still come back whole.
"""

import copy
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cdn_sigv4
from cdn_sigv4 import errors

same_each_run = settings(derandomize=True, database=None, deadline=None, max_examples=200)

EVIDENCE = {
    "operation": "PUT",
    "bucket": "models",
    "key": "a/b",
    "status": 403,
    "code": "AccessDenied",
    "request_id": "17A",
    "hint": "Ask.",
    "attempts": 3,
    "seconds": 22.4,
}
CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.CDNError)]


def drawn_tree():
    """Each class in the module's docstring with the class that it hangs from."""
    parents = {}
    above = []
    for line in (errors.__doc__ or "").splitlines():
        head, branch, text = line.rpartition("── ")
        if not branch and line.strip() == "CDNError":
            above = ["CDNError"]
        elif branch:
            depth = (len(head) - 1) // 4
            above = [*above[:depth], text.split()[0]]
            parents[above[-1]] = above[-2]
    return parents


def test_the_tree_is_as_drawn():
    """The docstring draws exactly the classes that there are, each below its base."""
    bases = {kind.__name__: kind.__bases__[0].__name__ for kind in CLASSES if kind is not errors.CDNError}
    assert drawn_tree() == bases


def test_all_hang_from_one_exception_and_are_public():
    """`except CDNError` catches all of them, and no `except OSError` or `except ValueError` catches any."""
    assert errors.CDNError.__bases__ == (Exception,)
    assert {kind.__name__ for kind in CLASSES} <= set(cdn_sigv4.__all__)
    assert all(len(kind.__bases__) == 1 for kind in CLASSES)


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("protocol", [0, pickle.HIGHEST_PROTOCOL])
def test_pickles_with_its_evidence(kind, protocol):
    """An error that crosses a process boundary is of the same class and says the same."""
    error = kind("no", **EVIDENCE)
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is kind
    assert vars(again) == vars(error) == {"message": "no", **EVIDENCE}
    assert again.args == ("no",)
    assert str(again) == str(error)


def test_pickles_what_was_added_later():
    """The client adds operation, bucket and key where it catches: these too survive, in a copy as in a pickle."""
    error = errors.InvalidResponse("odd")
    error.operation, error.bucket, error.key = "GET", "models", "k"
    for again in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert (again.operation, again.bucket, again.key, again.status) == ("GET", "models", "k", None)
        assert str(again) == "GET models/k: odd"


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        pytest.param({}, "no", id="message alone"),
        pytest.param({"operation": "GET"}, "GET: no", id="operation"),
        pytest.param({"bucket": "models"}, "models: no", id="bucket"),
        pytest.param({"key": "k"}, "no", id="a key without its bucket names no place"),
        pytest.param({"bucket": "models", "key": "k"}, "models/k: no", id="key"),
        pytest.param({"operation": "GET", "bucket": "models", "key": ""}, "GET models/: no", id="empty key"),
        pytest.param({"status": 404}, "404: no", id="status"),
        pytest.param({"code": "NoSuchKey"}, "NoSuchKey: no", id="code"),
        pytest.param({"request_id": "17A"}, "no [request id 17A]", id="request id"),
        pytest.param({"hint": "Ask."}, "no - Ask.", id="hint"),
        pytest.param({"attempts": 1, "seconds": 60.0}, "no", id="one attempt is what one expects"),
        pytest.param({"attempts": 2}, "no (after 2 attempts)", id="attempts"),
        pytest.param(
            EVIDENCE,
            "PUT models/a/b: 403 AccessDenied: no [request id 17A] (after 3 attempts in 22 s) - Ask.",
            id="everything, in this order",
        ),
    ],
)
def test_text(evidence, expected):
    """What is known stands in the text, what is not leaves no gap."""
    assert str(errors.CDNError("no", **evidence)) == expected


HOSTILE = st.text(
    st.one_of(st.sampled_from("\r\n\t\0\x1b\x7f\x85\u2028\u2029\u202e\ud800 ab"), st.characters()), max_size=50
)


@same_each_run
@given(message=HOSTILE, key=HOSTILE, code=HOSTILE, request_id=HOSTILE)
def test_text_is_one_printable_line(message, key, code, request_id):
    """Nothing that a server or a key says breaks the line, moves the cursor or turns the text around."""
    error = errors.ResponseError(message, bucket="models", key=key, status=500, code=code, request_id=request_id)
    assert str(error).isprintable()
    assert error.message == message, "the evidence itself stays as it came"


@pytest.mark.parametrize("field", ["message", "code", "request_id", "key"])
def test_long_words_are_cut(field):
    """A megabyte of a server's words makes a line of about a thousand characters, and shows that it was cut."""
    evidence = {"message": "m", "bucket": "b", field: "x" * (1 << 20)}
    text = str(errors.CDNError(evidence.pop("message"), **evidence))
    assert 990 < text.count("x") <= 1000
    assert text.count("…") == 1
    assert len(text) < 1100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("abcd", "abcd", id="just fits"),
        pytest.param("abcde", "abcd…", id="one too many"),
        pytest.param("a\r\nb", "a  b", id="a line break becomes blanks"),
        pytest.param("a\x1b[", "a [", id="escape"),
        pytest.param("äß日🤖", "äß日🤖", id="letters of any script stay"),
        pytest.param("a\u202eb", "a b", id="right-to-left override"),
        pytest.param("\ud800", " ", id="half a surrogate pair"),
    ],
)
def test_printable(text, expected):
    """`printable` keeps letters, blanks out controls, and cuts at its limit."""
    assert errors.printable(text, 4) == expected
