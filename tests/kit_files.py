"""What the tests of files share: the state of a folder, one way to save a file, and what fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterator

from cdn_sigv4.files import Replacement

if TYPE_CHECKING:
    import pathlib


def content(folder: pathlib.Path) -> dict[str, bytes | None]:
    """Everything below the folder: files with their bytes, folders and all else with None."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def save(path: pathlib.Path | str, data: bytes = b"new", **options: bool) -> None:
    """Put a file in its place as a download does."""
    replacement = Replacement(str(path), **options)
    with replacement as file:
        file.write(data)
        replacement.commit()


def raiser(error: BaseException) -> Callable[..., Any]:
    """A function that only raises."""

    def fail(*args: object, **more: object) -> Any:
        raise error

    return fail


def failing(error: BaseException) -> Iterator[bytes]:
    """An iterable that raises behind its first bytes."""
    yield b"first"
    raise error
