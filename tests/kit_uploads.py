"""What the tests of uploads in parts share: parts that are small, names for the requests, and links that fail."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import re
import socket
import threading
from typing import TYPE_CHECKING, Any, Callable, Iterator, Sequence
from urllib.parse import parse_qs

import pytest
from kit import BUCKET, KEY, SECRET
from kit_parts import made, start_child
from rawserver import Answer, MemoryStore, RawServer

from cdn_sigv4 import CDNError, Credentials, Retry, S3Client, multipart

if TYPE_CHECKING:
    from rawserver import RawRequest

PART = 100_000  # bytes of a part in these tests
SIZE = 5 * PART + 123  # bytes of an object: six parts, the last of another size
DATA = made(7, SIZE)
NUMBERS = [1, 2, 3, 4, 5, 6]
NO_SUCH_UPLOAD = Answer(404, body=b"<Error><Code>NoSuchUpload</Code></Error>")
FORBIDDEN = Answer(403, body=b"<Error><Code>AccessDenied</Code></Error>")


def allow_small_parts(monkeypatch: pytest.MonkeyPatch, store: MemoryStore) -> None:
    """Let client and store take parts of any size, so that the tests need not move 5 MiB each."""
    monkeypatch.setattr(multipart, "MIN_PART", 1000)
    store.least_part = 1000


def client_for(server: RawServer | str, **options: Any) -> S3Client:
    """A client that tries again, whose clock the waits of many threads may put forward."""
    retry = Retry(attempts=4, budget=1e6)
    endpoint = server if isinstance(server, str) else server.endpoint
    return S3Client(endpoint, Credentials(KEY, SECRET), **{"timeout": (5, 20), "retry": retry, **options})


def put(client: S3Client, body: Any = DATA, **options: Any) -> Any:
    """Upload in parts of PART bytes."""
    return client.put_object(BUCKET, "key", body, **{"part_size": PART, **options})


def query_of(request: RawRequest) -> dict[str, str]:
    """The query's parameters, decoded."""
    found = parse_qs(request.query.decode("ascii"), keep_blank_values=True)
    return {name: values[0] for name, values in found.items()}


def name_of(request: RawRequest) -> str:
    """What a request is in an upload: "create", "part 3", "list", "complete", "abort"; else its method."""
    query = query_of(request)
    if "uploads" in query:
        return "create"
    if "partNumber" in query and request.method == "PUT":
        return f"part {query['partNumber']}"
    names = {"GET": "list", "POST": "complete", "DELETE": "abort"}
    return names[request.method] if "uploadId" in query else request.method


def names(requests: Sequence[RawRequest]) -> list[str]:
    """The names of the requests, the parts sorted: the threads that send them do not keep an order."""
    found = [name_of(each) for each in requests]
    ordered = iter(sorted(each for each in found if each.startswith("part ")))
    return [next(ordered) if each.startswith("part ") else each for each in found]


def parts_of(*numbers: int) -> list[str]:
    """The names of these parts' requests."""
    return [f"part {number}" for number in numbers]


ALL = ["create", *parts_of(*NUMBERS), "complete"]


class Link:
    """The store over a link on which something happens to requests of one name, the first `times` of them.

    `happens`: an Answer instead of the store's, or a function of request and store; with `behind` the store has
    acted before it. `seen` has the names in the order in which the requests came.
    """

    def __init__(
        self,
        store: MemoryStore,
        name: str,
        happens: Answer | Callable[[RawRequest, MemoryStore], Answer],
        *,
        times: int = 1 << 30,
        behind: bool = False,
    ) -> None:
        self.store, self.name, self.happens, self.times, self.behind = store, name, happens, times, behind
        self.seen: list[str] = []
        self._lock = threading.Lock()

    def __call__(self, request: RawRequest) -> Answer:
        name = name_of(request)
        with self._lock:
            self.seen.append(name)
            strikes = name == self.name and self.times > 0
            if strikes:
                self.times -= 1
        if not strikes:
            return self.store(request)
        if self.behind:
            self.store(request)
        return (
            dataclasses.replace(self.happens) if isinstance(self.happens, Answer) else self.happens(request, self.store)
        )


@contextlib.contextmanager
def sink() -> Iterator[str]:
    """The endpoint of a store in another process, which takes uploads in parts and keeps nothing of them."""
    with contextlib.closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        child = start_child(_swallow_all, listener)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            child.kill()
            child.join()


def _swallow_all(listener: socket.socket) -> None:
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=_swallow, args=(sock,), daemon=True).start()


def _swallow(sock: socket.socket) -> None:
    with sock, sock.makefile("rb") as stream:
        for line in stream:
            head = b"".join(iter(lambda: stream.readline().strip() + b"\n", b"\n"))
            left = int(re.search(b"(?im)^content-length: *([0-9]+)", head)[1])  # type: ignore[index]
            while left:
                left -= len(stream.read(min(left, 1 << 16)))
            text = b"<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>"
            if line.startswith(b"POST") and b"uploadId" in line:
                text = b"<CompleteMultipartUploadResult><ETag>x</ETag></CompleteMultipartUploadResult>"
            text = text if line.startswith(b"POST") else b""
            sock.sendall(b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: %d\r\n\r\n%s' % (len(text), text))


class Site:
    """A file that is to be uploaded under `key` with `resume`, the folder of its record, and the store it goes to."""

    def __init__(self, folder: pathlib.Path, server: RawServer, store: MemoryStore) -> None:
        self.path, self.state = folder / "file", folder / "state"
        self.server, self.store = server, store
        self.path.write_bytes(DATA)

    def upload(self, *, checksum: str | None = "crc32", retry: Retry | None = None, **options: Any) -> Any:
        """Upload the file, by one thread; nothing is tried again."""
        settings = {"part_size": PART, "max_workers": 1, "resume": True, "state_dir": self.state, **options}
        with client_for(self.server, checksum=checksum, retry=retry) as client:
            return client.upload_file(BUCKET, settings.pop("key", "key"), self.path, **settings)

    def break_at(self, name: str, **options: Any) -> str:
        """Run an upload whose link breaks at this request; the id of the upload that is left in the store."""
        before = set(self.store.uploads)
        self.server.answer = Link(self.store, name, Answer(reset=True))
        with pytest.raises(CDNError):
            self.upload(**options)
        self.server.answer = self.store
        (upload_id,) = set(self.store.uploads) - before
        return upload_id

    def again(self, link: Link | None = None, **options: Any) -> list[str]:
        """The names of the requests of a run that ends well, leaves nothing behind, and stores the file's bytes."""
        before = len(self.server.requests)
        self.server.answer = self.store if link is None else link
        result = self.upload(**options)
        self.server.answer = self.store
        requests = [each for each in self.server.requests[before:] if each.complete]  # none that was given up before
        moved = sum(len(each.received) for each in requests if name_of(each).startswith("part"))
        self.check(options.get("key", "key"))
        if result.bytes_moved != moved:
            raise AssertionError(f"{result.bytes_moved} bytes are said to have moved instead of {moved}")
        return names(requests)

    def check(self, key: str = "key") -> None:
        """Demand that the object is the file, and that neither an upload nor a record is left."""
        if self.store.objects[BUCKET, key.encode()].body != self.path.read_bytes():
            raise AssertionError("what is stored is not the file")
        if self.store.uploads or self.left():
            raise AssertionError(f"left: {list(self.store.uploads)} {self.left()}")

    def left(self) -> list[str]:
        """What is in the folder of the records."""
        return sorted(each.name for each in self.state.iterdir()) if self.state.is_dir() else []

    @property
    def record(self) -> pathlib.Path:
        """The record's file."""
        (found,) = self.state.glob(".cdn-*.json")
        return found


def went_on(*missing):
    """The names of the requests of a run that sends these parts of an upload that was begun before."""
    return ["list", *parts_of(*missing), "complete"]


def from_the_beginning(site):
    """Demand that the next run sends everything, in an upload of its own; what it cannot know of may be left."""
    before = len(site.server.requests)
    site.upload()
    requests = names(site.server.requests[before:])
    assert requests[-len(ALL) :] == ALL
    assert site.store.objects[BUCKET, b"key"].body == site.path.read_bytes()
    return requests


def nothing_left(store):
    """Demand that neither an object nor an upload is there."""
    assert store.objects == {}
    assert store.uploads == {}


def blocks(size=PART):
    """The data as an iterable of blocks."""
    return (DATA[start : start + size] for start in range(0, SIZE, size))


def said_by(site):
    """The record's fields."""
    return json.loads(site.record.read_text("ascii").partition("\n")[0])


def stored(store, key=b"key"):
    """The object that came of it; nothing else may be left."""
    assert store.uploads == {}
    return store.objects[BUCKET, key]
