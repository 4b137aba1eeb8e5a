"""What a row of the table of faults is made of: the fault, the operations that it meets, and what must come of them.

A fault that passes spoils the first request (`times`: the first ones) and no other; one that lasts spoils all. What
must come is "right" (the right bytes, description or list; the right object in the store) or the error's class; two
classes with a bar between them where both are the truth. Whatever a row says, fault_runner.py looks for itself
whether what was said to be right is right.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Tuple

from misbehaviour import Spoil

# Bytes of the object; for a list: no keys, some, and two pages of them. The biggest is more than the sockets between
# client and server hold, and of those of which a download keeps a part; it still comes over one connection.
EMPTY, SMALL, BIG = 0, 1 << 10, 9 << 20
LARGE = 300_000  # of an object that is sent and fetched in several pieces: in these cases pieces are small
ALL, LITTLE, SOME, KIB, MIB = (EMPTY, SMALL, BIG), (EMPTY, SMALL), (SMALL, BIG), (SMALL,), (BIG,)
PIECES = (LARGE,)

RIGHT = "right"
LOST, UNKNOWN, CHANGED = "TransportError", "OutcomeUnknown", "ObjectChanged"
REFUSED, BROKEN, DAMAGED = "ResponseError", "InvalidResponse", "IntegrityError"
CONTRADICTION = f"{LOST}|{BROKEN}|{CHANGED}"  # the store says that there is more, and that there is no more

# Operations, and what comes where the fault passes, and where it lasts.
Outcomes = Dict[str, Tuple[str, str]]

READS, WRITES = "get download head list", "put delete"
EVERY = "put get download head list delete"
OBJECTS = "get download"  # what has the object's bytes in its answer
BODIES = "get download list"  # what has an answer with a body

READ_LOST: Outcomes = {READS: (RIGHT, LOST)}
ANSWER_LOST: Outcomes = {**READ_LOST, WRITES: (RIGHT, UNKNOWN)}
UNHARMED: Outcomes = {EVERY: (RIGHT, RIGHT)}
REPEATED: Outcomes = {EVERY: (RIGHT, REFUSED)}


class Row(NamedTuple):
    """One fault: how it comes about, and what must come of it."""

    fault: str
    spoil: Spoil
    outcomes: Outcomes
    sizes: tuple[int, ...] = ALL
    times: int = 1  # requests that a fault spoils which passes
    deaf: bool = False  # the port refuses
    stall: float = 5.0  # seconds without a byte that the client bears
    attempts: int = 10  # requests that the client makes at the most where it lasts; fewer where each takes its time
    in_place: bool = False  # the answer is another's than the store's: the same whatever the object is
    strays: bool = False  # an upload in parts may stay open in the store: the fault has hidden its id

    def sizes_for(self, operation: str) -> tuple[int, ...]:
        """Those of `sizes` that make a difference: to a request, or to its answer."""
        if operation == "put" or len(self.sizes) == 1:
            return self.sizes
        if operation == "delete" or self.in_place:
            return KIB
        return tuple(size for size in self.sizes if size != BIG or operation != "head")


def said(fault: str, spoil: Spoil, outcomes: Outcomes, sizes: tuple[int, ...] = ALL) -> Row:
    """A row about what somebody says in the store's place."""
    return Row(fault, spoil, outcomes, sizes, in_place=True)


def final(kind: str, operations: str = EVERY) -> Outcomes:
    """The store's last word: repeating it would not change it."""
    return {operations: (kind, kind)}


def once_more(kind: str, operations: str) -> Outcomes:
    """Asked for again, then believed."""
    return {operations: (RIGHT, kind)}
