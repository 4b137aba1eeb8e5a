"""A list of any size, page by page, as somebody goes through it.

Rules: https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""

from __future__ import annotations

from . import answers, s3
from .errors import InvalidResponse
from .exchange import about

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .answers import ListedObject
    from .exchange import Exchange
    from .s3 import Request

MAX_EMPTY_PAGES = 1000  # one behind the other: some stores send a few, where keys were deleted


def pages(exchange: Exchange, request: Request) -> Iterator[ListedObject]:
    """The entries of all pages; a page is fetched when the one before has been gone through."""
    seen: set[str] = set()
    empty = 0
    while True:
        entries, token = exchange.ask(request, lambda _, text: answers.parse_list(text))
        yield from entries
        if token is None:
            return
        empty = 0 if entries else empty + 1
        if token in seen or empty > MAX_EMPTY_PAGES:
            raise about(request, InvalidResponse("the list goes round in a circle: a page comes again, or nothing"))
        seen.add(token)
        query = {**request.query, "continuation-token": token}
        request = s3.Request("GET", request.bucket, query=query)
