"""What is sent to a store: in one PUT, or in parts where it is large; its checksum goes along, the answer is compared.

Rules: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html; what is sent in parts: multiupload.py.
"""

from __future__ import annotations

from . import answers, checksums, multipart, s3
from .crew import check_workers
from .errors import CDNError, SourceError
from .exchange import about
from .hashes import sha256
from .progress import Meter, Raised, check_progress
from .proof import Sent
from .source import Stream, open_body, open_source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from .body import Body
    from .exchange import Exchange
    from .multiupload import InParts
    from .progress import Progress
    from .proof import Evidence, Outcome
    from .reply import Answer
    from .source import Source
    from .unfinished import UploadRecord


class OnePut(Sent):
    """An object that is sent in one request. See `Sent`; ValueError or TypeError for what no request can carry."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.request = s3.object_request("PUT", self.bucket, self.key, headers={**self.described, **self.conditions})

    def run(self, body: Body) -> Outcome:
        """The object that was stored, and by which checksum the answer proves it."""
        s3.check_size(body.size)
        self.size = body.size
        self._body = body
        self.request.headers.update(self.header(self.digests(body)))
        return self.exchange.ask(self.request, self._stored, body, found_out=self.found_out)

    def _stored(self, answer: Answer, _: bytes) -> Outcome:
        info = answers.stored(self.request, self.described, answer.headers, self.size)
        return info, self.proved(answer.headers)

    def evidence(self, headers: Mapping[str, str]) -> Evidence | None:
        """See `Sent`."""
        found = checksums.stored(headers, etag_is_md5=self.etag_is_md5)
        if found is None:
            return None
        name, theirs = found
        try:  # where the store does not say the checksum that it was sent, its MD5 is worth another pass
            return name, self._body.digests(name)[name], theirs
        except SourceError:  # which cannot be read any more
            return None


class Upload:
    """One object to be stored: how, and under which conditions. ValueError or TypeError before anything is sent.

    `progress` is told how far it is, by several threads at a time; `moved` counts the bytes that were sent.
    """

    def __init__(
        self,
        exchange: Exchange,
        bucket: str,
        key: str,
        *,
        checksum: str | None,
        etag_is_md5: bool,
        content_type: str | None,
        metadata: Mapping[str, str] | None,
        headers: Mapping[str, str] | None,
        if_match: str | None,
        if_none_match: str | None,
        part_size: int | None,
        max_workers: int,
        progress: Progress | None,
    ) -> None:
        multipart.check_part_size(part_size)
        check_workers(max_workers)
        check_progress(progress)
        described = s3.object_headers(content_type, metadata, headers)
        # A checksum that the caller has made is of the whole, and the one to send: S3 takes no second one beside it.
        self._is_whole = any(name.startswith("x-amz-checksum-") or name == "content-md5" for name in described)
        has_checksum = any(name.startswith("x-amz-checksum-") for name in described)
        self._settings = {
            "described": described,
            "conditions": {"if-match": if_match, "if-none-match": if_none_match},
            "checksum": None if has_checksum else checksum,
            "etag_is_md5": etag_is_md5,
        }
        self._put = OnePut(exchange, bucket, key, **self._settings)
        self._exchange = exchange
        self._part_size = part_size
        self._workers = max_workers
        self._meter = Meter(progress)

    @property
    def moved(self) -> int:
        """Bytes that were sent, some of them twice perhaps."""
        return self._meter.moved

    def run(self, source: Source, state_dir: str | None = None) -> Outcome:
        """Store `source`: the object, and by which checksum the store's answer proves it (None: by none).

        With `state_dir` an upload of a file in parts that fails may be gone on with, by whoever has that folder.
        """
        try:
            opened = open_source(source)
            if isinstance(opened, Stream) and not self._is_whole:
                info, verified = self._streamed(opened)
            else:
                body = opened.spooled() if isinstance(opened, Stream) else opened
                try:
                    info, verified = self._sent(body, state_dir)
                finally:
                    body.close()
        except SourceError as error:
            raise about(self._put.request, error) from error.__cause__
        except Raised as raised:
            from traceback import clear_frames  # hardly ever needed

            clear_frames(raised.__traceback__)  # which hold the block that was being sent
            failure: Exception | None = raised.error
        else:
            failure = None
        if failure is not None:
            raise failure
        self._meter.end(info.size or 0)
        return info, verified

    def _streamed(self, stream: Stream) -> Outcome:
        first = stream.take(multipart.stream_part_size(1, self._part_size))
        if stream.is_at_end():
            return self._whole(open_body(first))

        begin = [first]
        size = len(first)
        del first  # a buffer is dropped when it is sent

        def pieces() -> Iterator[Body]:
            yield open_body(begin.pop())
            for number in range(2, multipart.MAX_PARTS + 1):
                if stream.is_at_end():
                    return
                yield open_body(stream.take(multipart.stream_part_size(number, self._part_size)))
            if not stream.is_at_end():
                raise SourceError("more bytes than 10,000 parts can hold", hint="Give a larger part_size.")

        return self._in_parts(size, None).run(pieces, can_repeat=False, check=lambda: None)

    def _sent(self, body: Body, state_dir: str | None) -> Outcome:
        self._meter.total = body.size
        is_whole = self._is_whole or body.size <= (self._part_size or multipart.MIN_PART)
        size = body.size if is_whole else multipart.part_size(body.size, self._part_size)
        if state_dir is None or body.stamp is None:
            return self._whole(body) if is_whole else self._pieces(body, size, None)
        from .unfinished import UploadRecord

        source = f"{self._exchange.endpoint}/{self._put.bucket}/{self._put.key}"
        with UploadRecord(state_dir, source, self._stamp(body), self._exchange.clock()) as record:
            if not is_whole:
                return self._pieces(body, record.part_size or size, record)
            outcome = self._whole(body)
            self._in_parts(size, record).drop(record)
            return outcome

    def _stamp(self, body: Body) -> dict[str, Any]:
        """What must be the same for an upload to be gone on with."""
        sent = repr(sorted(self._put.described.items())).encode()  # an encryption key may be in it
        return {
            "file": list(body.stamp or ()),
            "size": body.size,
            "checksum": self._put.checksum,
            "part_size": self._part_size,
            "headers": sha256(sent).hexdigest(),
        }

    def _whole(self, body: Body) -> Outcome:
        body.progress = self._meter.part()
        return self._put.run(body)

    def _pieces(self, body: Body, size: int, record: UploadRecord | None) -> Outcome:
        def pieces() -> Iterable[Body]:
            return (body.part(start, min(size, body.size - start)) for start in range(0, body.size, size))

        def check() -> None:
            if body.is_changed():
                raise SourceError("the file was changed while it was read", hint="Upload it when nobody writes to it.")

        try:
            return self._in_parts(size, record).run(pieces, can_repeat=True, check=check)
        except CDNError as error:
            if error.status is not None:  # what arrived is perhaps not what was signed
                check()
            raise

    def _in_parts(self, size: int, record: UploadRecord | None) -> InParts:
        from .multiupload import InParts  # most uploads are small

        put = self._put
        return InParts(
            self._exchange,
            put.bucket,
            put.key,
            **self._settings,
            part_size=size,
            workers=self._workers,
            meter=self._meter,
            record=record,
        )
