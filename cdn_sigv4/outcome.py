"""What a write that failed in the end may have done: some of its attempts may be in effect although none was answered.

Never guessed: what cannot be known is OutcomeUnknown, with the evidence of the last failure. No I/O.
"""

from __future__ import annotations

from .errors import CDNError, IntegrityError, InvalidResponse, OutcomeUnknown, ResponseError

# Statuses by which a repetition is refused because the first attempt has succeeded. A completed upload is gone: MinIO
# says 404 (NoSuchUpload) to a second POST, others 403.
_IN_THE_WAY = {"PUT": (409, 412), "POST": (403, 404, 409, 412)}


def _may_have_acted(failure: CDNError) -> bool:
    """Whether a write that ended so may be in effect all the same: no answer, none that is S3's, or one for want of it.

    A 503 is said before anything is done.
    """
    if isinstance(failure, ResponseError):
        return failure.status in (408, 500, 502, 504)
    return isinstance(failure, (OutcomeUnknown, InvalidResponse))


def may_be_our_own(failure: CDNError, before: list[CDNError]) -> bool:
    """Whether a refusal may come of what an earlier attempt has done: its own object, or bucket, is in the way."""
    is_conflict = isinstance(failure, ResponseError) and failure.status in _IN_THE_WAY.get(failure.operation or "", ())
    return is_conflict and any(map(_may_have_acted, before))


def kept_damage(failure: CDNError, before: list[CDNError]) -> CDNError | None:
    """The damage that the store has kept of an earlier attempt, and that nothing has taken the place of since."""
    kept = [each for each in [*before, failure] if isinstance(each, IntegrityError) and each.status is None]
    if kept:
        kept[-1].attempts, kept[-1].seconds = failure.attempts, failure.seconds
    return kept[-1] if kept else None


def told(failure: CDNError, before: list[CDNError]) -> CDNError:
    """What to say of a write that failed in the end: that it is unknown, where an earlier attempt may be in effect.

    Answers of 5xx alone are told as they came: by itself each says that the server has failed in it.
    """
    is_lost = any(isinstance(earlier, OutcomeUnknown) for earlier in before)
    is_odd = any(isinstance(earlier, InvalidResponse) for earlier in before)
    is_unknown = is_lost or (is_odd and not isinstance(failure, InvalidResponse)) or may_be_our_own(failure, before)
    if isinstance(failure, OutcomeUnknown) or not is_unknown:
        return failure
    what = "answer was lost" if is_lost else "attempt may have taken effect"
    return failure.as_unknown(f"an earlier {what}, and then: {failure.message}")
