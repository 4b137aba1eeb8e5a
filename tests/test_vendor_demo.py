"""The demo's job on the tests' server: by the wheel, alone beside `requests`, by a renamed copy, by the one file.

harness/demo_job.py runs in the Python of an environment of its own, in which nothing else is. The wheel's builder, and
`requests`, come from the package registry.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import users_registry

from harness import demo, demo_job, footprint, processes, vendor

JOB = Path(demo_job.__file__)
SECONDS = 180
# The job with the copy in a folder of its own; who imports the package by its old name fails.
WITH_A_COPY = """
import runpy, sys
job, folder, name = sys.argv[1:]
sys.path.insert(0, folder)
sys.modules["cdn_sigv4"] = None
sys.argv = [job, "import", name]
runpy.run_path(job, run_name="__main__")
"""


def run(*command, environ=None, code=0):
    """What a program prints that must end with `code`."""
    environ = {**processes.bare_environment(), "HOME": os.environ["HOME"], **(environ or {})}
    done = subprocess.run(
        [str(word) for word in command],
        env=environ,
        capture_output=True,
        check=False,
        encoding="utf-8",
        timeout=SECONDS,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The folder of programs of an empty environment into which the wheel was installed, and so `requests`."""
    folder = tmp_path_factory.mktemp("alone")
    programs = folder / "environment" / "bin"
    with users_registry():  # venv brings pip along by pip
        run(sys.executable, "-m", "venv", folder / "environment")
        wheel = footprint.build(folder)
        pip = [programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        run(*pip, wheel, environ=os.environ)
    return programs


@pytest.fixture(scope="module")
def store(server, root_client):
    """The variables that name the tests' server, a bucket of these tests' own, and its two users."""
    bucket = f"cdn-test-{os.urandom(6).hex()}"
    root_client.create_bucket(bucket)
    return {"CDN_BUCKET": bucket, **demo.environment(server, server.make_users(bucket))}


@pytest.fixture
def held(store):
    """Runs the job, which must hold, and shows no secret; what it has printed."""

    def job(*command):
        shown = run(*command, environ=store)
        assert "ok: both are the same, byte for byte" in shown
        assert "ok: the uploader may not download: " in shown
        assert "ok: the downloader may not upload: " in shown
        assert shown.endswith("Every step held.\n")
        assert not [name for name, value in store.items() if name.endswith("SECRET") and value in shown]
        return shown

    return job


def test_environment_is_empty(alone):
    """The wheel brings `requests`, and that what it needs; beside these only what makes an environment is there."""
    code = "from importlib.metadata import distributions; print(*(each.metadata['Name'] for each in distributions()))"
    names = {name.lower().replace("_", "-") for name in run(alone / "python", "-I", "-c", code).split()}
    libraries = {"requests", "urllib3", "certifi", "charset-normalizer", "idna"}
    assert names - {"pip", "setuptools"} == {"cdn-sigv4", *libraries}


def test_wheel(alone, held):
    """The wheel, alone beside `requests`, does the job."""
    shown = held(alone / "python", "-I", JOB, "import", "cdn_sigv4")
    assert f"{alone.parent}/lib/" in shown.splitlines()[0]


def test_copy(alone, held, tmp_path):
    """So does a copy under another name, where the original cannot be imported."""
    vendor.vendor(tmp_path, "s3")
    shown = held(alone / "python", "-I", "-c", WITH_A_COPY, JOB, tmp_path, "s3")
    assert shown.startswith(f"1. with s3 {vendor.version(Path(tmp_path, 's3', '__init__.py').read_bytes())}, ")


def test_program_of_the_wheel(alone, held):
    """So does the command that the wheel installs."""
    held(alone / "python", "-I", JOB, "run", alone / "cdn-sigv4")


def test_module_of_the_copy(alone, held, tmp_path):
    """A copy is a command line as well, under its own name."""
    vendor.vendor(tmp_path, "s3")
    code = f"import runpy, sys; sys.path.insert(0, {str(tmp_path)!r}); sys.modules['cdn_sigv4'] = None; "
    code += "runpy.run_module('s3', run_name='__main__', alter_sys=True)"
    held(alone / "python", "-I", JOB, "run", alone / "python", "-I", "-c", code)


def test_one_file(one_file, held):
    """So does the one file, with a Python that can import nothing else."""
    held(sys.executable, "-I", "-S", JOB, "run", sys.executable, "-I", "-S", one_file)


def test_job_fails_plainly(store):
    """A job that does not hold ends with 1 and the step's name, and no traceback."""
    wrong = {**store, "CDN_BUCKET": "no-such-bucket"}
    shown = run(sys.executable, JOB, "import", "cdn_sigv4", environ=wrong, code=1)
    assert shown.splitlines()[-1] == "FAILED: this did not hold: CDNManager.upload returned True"


@pytest.mark.parametrize("arguments", [[], ["import"], ["import", "a", "b"], ["run"], ["other", "a"]])
def test_job_that_is_not_understood(arguments):
    """Anything else is answered with how it is used, and 2."""
    assert "demo_job.py import NAME" in run(sys.executable, JOB, *arguments, code=2)
