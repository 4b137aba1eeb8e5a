"""What importing costs, what may import what, and that the folder works under any name.

Imports are watched in fresh interpreters, without site-packages where nothing of them is needed, because this one has
imported everything long ago. The floors are those of DESIGN.md, read from the source with `ast`.
"""

import ast
import inspect
import pathlib
import re
import shutil
import subprocess
import sys
import textwrap

import pytest

import cdn_sigv4

PACKAGE = pathlib.Path(cdn_sigv4.__file__).parent
ROOT = PACKAGE.parent
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))
MAX_LINES = 330

# Lowest first. A module imports only from floors below its own, also where it does so late or only for types.
FLOORS = [
    ["errors", "hashes", "record", "certificate", "crew", "progress", "ranges"],
    ["credentials", "parts"],
    ["sigv4"],
    ["checksums", "endpoint", "files"],
    ["body"],
    ["s3", "source"],
    ["answers", "auth", "retry", "outcome"],
    ["diagnosis", "reader", "result", "multipart", "reply", "connection", "notes", "rotation"],
    ["adapter", "direct", "failures", "findings", "unfinished"],
    ["ordinary"],
    ["wire"],
    ["exchange", "ground"],
    ["retrieval", "proof", "listing", "comparison", "storefront"],
    ["filling", "multiupload"],
    ["transfer", "uploads"],
    ["operations"],
    ["client", "rights"],
    ["settings", "roundtrip"],
    ["manager"],
    ["doctor", "report"],
    ["batch", "options"],
    ["copying"],
    ["commands"],
    ["cli"],
    ["__init__", "__main__"],
]
# These know values and nothing else: no network, no disk, no randomness.
PURE = ["errors", "sigv4", "s3", "endpoint", "answers", "diagnosis", "checksums", "retry", "outcome"]
PURE += ["multipart", "ranges"]
UNKNOWN_TO_THE_PURE = {"requests", "urllib3", "socket", "ssl", "os", "random", "secrets", "pathlib", "subprocess"}

# What `import cdn_sigv4` must not bring with it: each costs milliseconds, the first four most.
HEAVY = ["requests", "urllib3", "http.client", "ssl", "socket", "typing", "dataclasses", "logging", "urllib.parse"]
HEAVY += ["email", "xml", "tempfile", "inspect", "pathlib", "random", "asyncio", "json", "datetime", "threading"]
HEAVY += ["hashlib", "_hashlib", "hmac", "mmap", "queue", "concurrent", "contextlib", "html", "secrets", "re"]
# Its own modules that wait for the first request, or for the first transfer that needs them.
LATE = ["adapter", "certificate", "comparison", "connection", "diagnosis", "direct", "failures", "filling", "listing"]
LATE += ["multiupload", "ordinary", "reply", "rotation", "settings", "unfinished", "wire"]
LATE += ["doctor", "findings", "ground", "rights", "roundtrip", "storefront"]
LATE += ["__main__", "batch", "cli", "commands", "copying", "options", "report"]

MAKE_EVERYTHING = """
    from {name} import CDNCredentials, CDNManager, Credentials, S3Client, SigV4Auth
    credentials = Credentials("KEY", "SECRET")
    client = S3Client("http://127.0.0.1:{port}", credentials)
    url = client.presigned_url("GET", "bucket", "a/../b", expires_in=60)
    assert url.startswith("http://127.0.0.1:{port}/bucket/a/../b?X-Amz-Algorithm=AWS4-HMAC-SHA256&"), url
    SigV4Auth(credentials, "us-east-1", "s3")
    CDNManager(CDNCredentials("store.example", "1", "2", "3", "4")).close()
"""


def run(code, *, folder=ROOT, flags=("-S", "-E")):
    """What `code` prints in a fresh interpreter in `folder`, which must end well. `-S`: without site-packages."""
    program = f"import sys\nsys.path.insert(0, {str(folder)!r})\n{textwrap.dedent(code)}"
    command = [sys.executable, *flags, "-W", "error", "-c", program]
    done = subprocess.run(command, cwd=str(folder), capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported(node):
    """Level (number of dots) and name of each module that is imported anywhere below `node`, in functions as well."""
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            yield from ((0, alias.name) for alias in each.names)
        elif isinstance(each, ast.ImportFrom) and each.module is not None:
            yield each.level, each.module
        elif isinstance(each, ast.ImportFrom):
            yield from ((each.level, alias.name) for alias in each.names)


def parsed(module):
    return ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))


def test_import_is_light():
    """`import cdn_sigv4` alone brings neither `requests` nor anything else of weight with it."""
    out = run("import cdn_sigv4\nprint(*sys.modules)")
    loaded = set(out.split())
    assert "cdn_sigv4.manager" in loaded
    assert loaded.isdisjoint(HEAVY), loaded.intersection(HEAVY)


def test_import_leaves_the_rest_for_later():
    """All of the package comes but what a first request brings, and what only some calls need."""
    out = run("import cdn_sigv4\nprint(*sys.modules)")
    own = {name.partition(".")[2] for name in out.split() if name.startswith("cdn_sigv4.")}
    assert own == set(MODULES) - {"__init__", *LATE}


def test_clients_are_light():
    """Making clients and signing a URL need neither `requests` nor urllib3: they work where these are not installed."""
    out = run(MAKE_EVERYTHING.format(name="cdn_sigv4", port=9) + "    print(*sys.modules)")
    assert set(out.split()).isdisjoint({"requests", "urllib3", "http.client", "socket", "ssl"})


FIRST_REQUEST = """
    import os
    os.environ.update({environ})
    from cdn_sigv4 import Credentials, S3Client, TransportError
    client = S3Client("{scheme}://127.0.0.1:1", Credentials("KEY", "SECRET"), retry=None)
    assert "urllib3" not in sys.modules
    try:
        client.head_bucket("bucket")
    except TransportError:
        print(*sys.modules)
    else:
        raise AssertionError("port 1 answers")
"""


@pytest.mark.parametrize(
    ("scheme", "environ", "is_imported"),
    [("http", {}, False), ("https", {}, True), ("http", {"HTTP_PROXY": "http://127.0.0.1:1"}, True)],
    ids=["http", "https", "proxy"],
)
def test_first_request_imports(scheme, environ, is_imported):
    """The first request imports urllib3; `requests` where it is asked for proxies and authorities, or by a failure."""
    code = FIRST_REQUEST.format(scheme=scheme, environ=environ)
    code = code.replace("except TransportError:", "except TransportError as error:")
    loaded = run(code, flags=("-E",)).split()
    assert "urllib3" in loaded
    assert ("cdn_sigv4.ordinary" in loaded) == is_imported


def test_a_request_without_requests():
    """A whole small request over plain HTTP needs no `requests`: it would take as long as all the rest."""
    code = """
    import socket, threading
    server = socket.create_server(("127.0.0.1", 0))
    def serve():
        connection, _ = server.accept()
        connection.recv(65536)
        connection.sendall(b'HTTP/1.1 200 OK\\r\\nETag: "x"\\r\\nContent-Length: 2\\r\\n\\r\\nhi')
        connection.close()
    threading.Thread(target=serve).start()
    from cdn_sigv4 import Credentials, S3Client
    with S3Client(f"http://127.0.0.1:{server.getsockname()[1]}", Credentials("KEY", "SECRET")) as client:
        with client.get_object("bucket", "key") as reader:
            assert reader.read() == b"hi"
    server.close()
    print(*sys.modules)
    """
    assert "requests" not in run(code.replace("\\\\", "\\"), flags=("-E",)).split()


@pytest.mark.parametrize("name", ["renamed", "vendor.deep.cdn"])
def test_copied_under_another_name(tmp_path, name):
    """A copy of the folder under another name, inside another package too, imports only itself, signs and prints."""
    target = tmp_path.joinpath(*name.split("."))
    shutil.copytree(str(PACKAGE), str(target), ignore=shutil.ignore_patterns("__pycache__"))
    out = run(MAKE_EVERYTHING.format(name=name, port=9) + "    print(*sys.modules)", folder=tmp_path)
    assert f"{name}.manager" in out.split()
    assert not any(module.split(".")[0] == "cdn_sigv4" for module in out.split())


def test_copy_sends(tmp_path):
    """The copy sends as well: what is imported only for the first request is imported from the copy."""
    shutil.copytree(str(PACKAGE), str(tmp_path / "renamed"), ignore=shutil.ignore_patterns("__pycache__"))
    code = """
        from renamed import Credentials, S3Client, TransportError
        try:
            S3Client("http://127.0.0.1:1", Credentials("KEY", "SECRET"), retry=None).head_bucket("bucket")
        except TransportError:
            print(*sys.modules)
        """
    loaded = run(code, folder=tmp_path, flags=("-E",)).split()
    assert "renamed.wire" in loaded
    assert "cdn_sigv4.wire" not in loaded


@pytest.mark.parametrize("module", MODULES)
def test_relative_imports(module):
    """No module names the package by its name, nor reaches out of it, so that the folder can be renamed and moved."""
    for level, name in imported(parsed(module)):
        assert level <= 1
        assert level == 1 or name.split(".")[0] != "cdn_sigv4"


def test_every_module_has_a_floor():
    """The table above names each module once: a new one is given its floor before it is imported."""
    assert sorted(module for floor in FLOORS for module in floor) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_down(module):
    """A module imports only from floors below its own: the pure ones cannot come to know those that send."""
    floor_of = {name: number for number, floor in enumerate(FLOORS) for name in floor}
    inside = {name for level, name in imported(parsed(module)) if level == 1}
    assert inside <= set(MODULES)
    wrong = {name for name in inside if floor_of[name] >= floor_of[module]}
    assert not wrong, f"{module} (floor {floor_of[module]}) imports {wrong}"


@pytest.mark.parametrize("module", PURE)
def test_pure_floors(module):
    """The pure modules import nothing that touches a socket, the disk, the environment or chance."""
    names = {name.split(".")[0] for level, name in imported(parsed(module)) if level == 0}
    assert names.isdisjoint(UNKNOWN_TO_THE_PURE)


@pytest.mark.parametrize("module", PURE)
def test_pure_floors_ask_no_clock(module):
    """Nor do they ask the clock: a time comes in as an argument. What only converts one may stay."""
    asked = [
        ast.dump(node)
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.Attribute)
        and node.attr in ("time", "monotonic", "perf_counter", "now", "utcnow", "sleep")
    ]
    assert asked == []


def imported_at_run_time(module):
    """The first parts of the absolute names that a module imports outside `if TYPE_CHECKING:`."""
    tree = parsed(module)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return {name.split(".")[0] for level, name in imported(tree) if level == 0}


def test_only_the_wire_knows_requests():
    """Only what sends, and names what went wrong in sending, imports `requests` at run time."""
    users = {module for module in MODULES if imported_at_run_time(module) & {"requests", "urllib3"}}
    assert "wire" in users
    assert users <= {"wire", "adapter", "connection", "direct", "failures", "ordinary", "reply"}


def test_no_third_party_but_requests():
    """At run time the package needs the standard library and `requests`, with its urllib3, and nothing else."""
    names = set().union(*(imported_at_run_time(module) for module in MODULES))
    names -= {"tqdm", "yaml"}  # extras: a progress bar, and a file of settings in YAML
    code = f"from importlib.util import find_spec\nprint(*(name for name in {sorted(names)} if not find_spec(name)))"
    assert run(code).split() == ["requests", "urllib3"]


def test_all_is_what_is_exported():
    """`__all__` names what the package's namespace holds beside its modules: sorted, nothing more, nothing less."""
    exported = {
        name for name, value in vars(cdn_sigv4).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert cdn_sigv4.__all__ == sorted({*exported, "__version__"})


@pytest.mark.parametrize("name", [name for name in cdn_sigv4.__all__ if name != "__version__"])
def test_docstrings(name):
    """Each exported name has a docstring of its own, and so have the public methods and properties that it defines."""
    value = getattr(cdn_sigv4, name)
    assert (vars(value).get("__doc__") or "").strip()
    for attribute, member in vars(value).items():
        if not attribute.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
            assert (member.__doc__ or "").strip(), attribute


def test_version_is_a_literal():
    """`__version__` stands in `__init__.py` as a literal, so that a vendored copy, without metadata, knows it too."""
    values = [
        node.value
        for node in parsed("__init__").body
        if isinstance(node, ast.Assign) and ast.dump(node.targets[0]) == ast.dump(ast.Name("__version__", ast.Store()))
    ]
    assert [ast.literal_eval(value) for value in values] == [cdn_sigv4.__version__]
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?(\.dev\d+)?", cdn_sigv4.__version__)


def test_version_of_the_built_metadata():
    """What hatchling builds bears the same version: it is told to read it from that file, and its pattern finds it."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r"^version\s*=", text, re.MULTILINE) is None
    assert re.search(r'^dynamic = \[.*"version".*\]$', text, re.MULTILINE) is not None
    table = re.search(r"^\[tool\.hatch\.version\]\n(.+\n)*?path = \"(?P<path>.+)\"$", text, re.MULTILINE)
    assert table is not None
    # hatchling's default pattern (hatchling/version/core.py).
    pattern = r"""(?i)^(__version__|VERSION)(?: ?\: ?str)? *= *(['"])v?(?P<version>.+?)\2"""
    found = re.findall(pattern, (ROOT / table.group("path")).read_text(encoding="utf-8"), re.MULTILINE)
    assert [version for _, _, version in found] == [cdn_sigv4.__version__]


@pytest.mark.parametrize("module", MODULES)
def test_form(module):
    """Each module says in a docstring what it is for, is short enough to be read, and is Python 3.8."""
    text = (PACKAGE / f"{module}.py").read_text(encoding="utf-8")
    tree = ast.parse(text, feature_version=(3, 8))
    assert len((ast.get_docstring(tree) or "").splitlines()) >= 1
    assert text.count("\n") <= MAX_LINES


def test_types_are_announced():
    """The marker that tells type checkers of the annotations (PEP 561) is there."""
    assert (PACKAGE / "py.typed").is_file()
