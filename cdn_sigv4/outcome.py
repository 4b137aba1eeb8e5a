"""What a write that failed in the end may have done: some of its attempts may be in effect although none was answered.

Never guessed: what cannot be known is OutcomeUnknown, with the evidence of the last failure. No I/O.
"""

from __future__ import annotations

from .errors import CDNError, IntegrityError, InvalidResponse, OutcomeUnknown, ResponseError


def _may_have_acted(failure: CDNError) -> bool:
    """Whether a write that ended so may be in effect all the same: no answer, none that is S3's, or one of a proxy."""
    if isinstance(failure, ResponseError):
        return failure.status is not None and (failure.status >= 500 or failure.status == 408)
    return isinstance(failure, (OutcomeUnknown, InvalidResponse))


def may_be_our_own(failure: CDNError, before: list[CDNError]) -> bool:
    """Whether a refusal may come of what an earlier attempt has done: its own object, or bucket, is in the way."""
    is_conflict = isinstance(failure, ResponseError) and failure.status in (409, 412)
    return is_conflict and any(map(_may_have_acted, before))


def told(failure: CDNError, before: list[CDNError]) -> CDNError:
    """What to say of a write that failed in the end: what went before may matter more than the last failure."""
    for earlier in before:
        if isinstance(earlier, IntegrityError) and earlier.status is None and not isinstance(failure, IntegrityError):
            earlier.attempts, earlier.seconds = failure.attempts, failure.seconds
            return earlier  # the store has kept damaged bytes, and nothing that came later has taken their place
    is_lost = any(isinstance(earlier, OutcomeUnknown) for earlier in before)
    is_odd = any(isinstance(earlier, InvalidResponse) for earlier in before) and not isinstance(
        failure, InvalidResponse
    )
    if isinstance(failure, OutcomeUnknown) or not (is_lost or is_odd or may_be_our_own(failure, before)):
        return failure
    return failure.as_unknown(f"an earlier answer was lost, and then: {failure.message}")
