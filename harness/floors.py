"""The picture of the package's floors and the table of its modules, as docs/layout.md shows them.

`python -m harness.floors` writes both anew; tests/test_docs.py says whether they are still true. Nothing of them is
said here a second time: the floors come from the table in tests/test_import.py, to which the imports are held, what a
module touches from its own source, and what it is for from the first sentence of its docstring.
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from .environment import ROOT

PACKAGE = ROOT / "cdn_sigv4"
TABLES = ROOT / "tests" / "test_import.py"
PAGE = ROOT / "docs" / "layout.md"
PICTURE = ROOT / "docs" / "floors.svg"
BEGIN, END = "<!-- modules, by python -m harness.floors -->\n", "<!-- end of modules -->\n"

NETWORK = {"requests", "urllib3", "http", "socket", "ssl"}
DISK = {
    "open",
    "fsync",
    "lstat",
    "listdir",
    "makedirs",
    "mkdir",
    "pread",
    "pwrite",
    "replace",
    "rmdir",
    "stat",
    "unlink",
}
# Fill and border of a box; Okabe and Ito's hues, made light, which the colour-blind tell apart.
KINDS = {
    "values only": ("#dcecf8", "#0072b2"),
    "opens files": ("#d9f0e6", "#009e73"),
    "knows the network": ("#fde3cf", "#d55e00"),
    "none of the three": ("#f2f2f2", "#777777"),
}
LATE_TEXT = "dashed: imported when it is first needed"
WIDTH, LEFT, HIGH, GAP, LETTER, PAD = 720, 44, 24, 8, 7.3, 10  # pixels; LETTER of 12 px in any monospaced face


class Table(NamedTuple):
    """What tests/test_import.py says: the floors, lowest first, the modules without I/O, and those imported late."""

    floors: list[list[str]]
    pure: list[str]
    late: list[str]


class Module(NamedTuple):
    """One module: on which floor, what it touches (a key of `KINDS`), whether it comes late, and what it is for."""

    floor: int
    kind: str
    is_late: bool
    purpose: str


def table() -> Table:
    """The table as it stands in the test, which is read and not run."""
    found: dict[str, list[list[str]]] = {"FLOORS": [], "PURE": [], "LATE": []}
    for node in ast.parse(TABLES.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.Assign, ast.AugAssign)):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id in found:
                found[target.id] += ast.literal_eval(node.value)
    return Table(found["FLOORS"], *([str(name) for name in found[of]] for of in ("PURE", "LATE")))


def modules() -> dict[str, Module]:
    """All modules of the table, the highest floor first."""
    read = table()
    found = {}
    for number, floor in reversed(list(enumerate(read.floors))):
        for name in floor:
            tree = ast.parse((PACKAGE / f"{name}.py").read_text(encoding="utf-8"))
            kind = "values only" if name in read.pure else touched(tree)
            found[name] = Module(number, kind, name in read.late, purpose(tree))
    return found


def touched(tree: ast.Module) -> str:
    """What a module's source shows that it touches, outside of what it says for type checkers."""
    is_file = False
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import) and {each.name.split(".")[0] for each in node.names} & NETWORK:
            return "knows the network"
        if isinstance(node, ast.ImportFrom) and not node.level and (node.module or "").split(".")[0] in NETWORK:
            return "knows the network"
        if isinstance(node, ast.Call):
            is_file = is_file or is_file_call(node.func)
        stack.extend(ast.iter_child_nodes(node))
    return "opens files" if is_file else "none of the three"


def is_file_call(function: ast.expr) -> bool:
    """Whether it is `open`, or one of `os` that is about files."""
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        return function.value.id == "os" and function.attr in DISK
    return isinstance(function, ast.Name) and function.id == "open"


def purpose(tree: ast.Module) -> str:
    """The first sentence of a module's docstring, on one line."""
    text = " ".join((ast.get_docstring(tree) or "").split("\n\n")[0].split())
    sentence = re.match(r".+?[.:](?= [A-Z]|$)", text)
    return sentence.group().rstrip(":") if sentence else text


def listed(found: dict[str, Module]) -> str:
    """The table of the page, in Markdown."""
    lines = ["| floor | module | what it is for |", "|---|---|---|"]
    for name, module in found.items():
        shown = f"`{name}`" if not module.is_late else f"`{name}` (late)"
        text = module.purpose.replace("|", "\\|")
        lines.append(f"| {module.floor} | {shown} | {text} |")
    return "\n".join(lines) + "\n"


def page(text: str, found: dict[str, Module]) -> str:
    """The page's text with the table between its two marks. ValueError where one is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE.name} has lost a mark: {BEGIN.strip()} and {END.strip()}")
    return before + BEGIN + listed(found) + END + after


def picture(found: dict[str, Module]) -> str:
    """The floors as SVG: the highest on top, a box for each module; the same text for the same code."""
    shapes, top = [], float(GAP)
    for number in sorted({module.floor for module in found.values()}, reverse=True):
        here = [name for name, module in found.items() if module.floor == number]
        band, height = boxes([(name, found[name].kind, found[name].is_late) for name in here], top)
        shapes += [f'<rect class="floor" x="4" y="{top:g}" width="{WIDTH - 8}" height="{height:g}"/>']
        shapes += [f'<text x="14" y="{top + height / 2 + 4:g}" class="number">{number}</text>', *band]
        top += height + 4
    legend, height = boxes([*((kind, kind, False) for kind in KINDS), (LATE_TEXT, "none of the three", True)], top)
    style = (
        ".floor{fill:#fafafa;stroke:#e4e4e4}.number{fill:#777}"
        "text{font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;fill:#222}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top + height:g}" role="img">\n'
        "<title>The floors of the package: a module imports only from floors below its own</title>\n"
        f'<style>{style}</style>\n<rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join([*shapes, *legend])
        + "\n</svg>\n"
    )


def boxes(texts: list[tuple[str, str, bool]], top: float) -> tuple[list[str], float]:
    """Boxes side by side, in as many rows as it takes, and the height of them all. Of each: text, kind, dashed."""
    shapes: list[str] = []
    across, down = float(LEFT), top + GAP
    for text, kind, is_dashed in texts:
        wide = round(len(text) * LETTER + 2 * PAD, 1)
        if across + wide > WIDTH - GAP - 4:
            across, down = float(LEFT), down + HIGH + GAP
        fill, border = KINDS[kind]
        dashes = ' stroke-dasharray="4 3"' if is_dashed else ""
        shapes.append(
            f'<rect x="{across:g}" y="{down:g}" width="{wide:g}" height="{HIGH}" rx="4" fill="{fill}"'
            f' stroke="{border}"{dashes}/>'
        )
        middle = f'x="{across + wide / 2:g}" y="{down + 16:g}" text-anchor="middle"'
        shapes.append(f"<text {middle}>{text}</text>")
        across += wide + GAP
    return shapes, down + HIGH + GAP - top


def main() -> int:
    """Write the picture and the page's table."""
    found = modules()
    PICTURE.write_text(picture(found), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
