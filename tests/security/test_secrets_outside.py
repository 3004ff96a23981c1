"""Secrets where a project leaves Python or its steps: imports, programs, replaced values, endpoints."""

import time
from urllib.request import Request, urlopen

import pytest
from projects import Project

OUTSIDE = """
import logging, subprocess

print("import", os.environ["DB_PASSWORD"], os.environ["HOUSE_CODE"], flush=True)
os.write(2, b"raw " + os.environ["DB_PASSWORD"].encode() + b"\\n")

@fw.task
def changes() -> int:
    os.environ["DB_PASSWORD"] = "-".join(["second", "X24", "778899"])
    os.system("echo shell $DB_PASSWORD $OLD")
    print("old", os.environ["OLD"], "new", os.environ["DB_PASSWORD"], "named", os.environ["HOUSE_CODE"])
    return 1

@fw.pipeline
def run():
    fw.value(changes())

@fw.endpoint
def talks(x: int) -> int:
    value = fw.Secret("BILLING").reveal()
    print("print", value)
    print("Authorization:", "Bearer", "-".join(["head", "Y25", "abcd1234"]))
    sys.stdout.buffer.write(b"buffer " + value.encode() + b"\\n")
    sys.stdout.buffer.flush()
    subprocess.run(["echo", "program", value])
    os.write(2, b"os.write " + value.encode() + b"\\n")
    sys.stdout.write("pieces " + value[:7])
    sys.stdout.flush()
    sys.stdout.write(value[7:] + "\\n")
    logging.getLogger("x").warning("logging %s", value)
    print("stderr", value, file=sys.__stderr__, flush=True)
    os.environ["LATE_TOKEN"] = "-".join(["late", "Z26", "aabbccdd"])
    print("late", os.environ["LATE_TOKEN"], flush=True)
    if x:
        os.write(1, b"last words " + value.encode())
        os.abort()
    return x
"""
HIDDEN = {
    "DB_PASSWORD": "sunshine-first-W23",
    "OLD": "sunshine-first-W23",
    "BILLING": "named-F6-0011223344",
    "HOUSE_CODE": "house-V22-4455",
}


@pytest.fixture
def outside(project: Project) -> Project:
    """A project that prints its secrets past Python."""
    project.write(OUTSIDE)
    (project.folder / "pyproject.toml").write_text('[tool.fairway]\nsecrets = ["*_code"]\n')
    project.environment |= HIDDEN
    return project


def test_imports_programs_and_replaced_values_leak_nothing(outside: Project) -> None:
    done = outside.fairway("run", "project.py:run", expect=0)
    told = done.stdout + done.stderr + outside.fairway("logs").stdout
    for value in (*HIDDEN.values(), "second-X24-778899"):
        assert value not in told
    assert "import [secret DB_PASSWORD] [secret HOUSE_CODE]" in done.stderr
    assert "raw [secret DB_PASSWORD]" in done.stderr
    assert "shell [secret DB_PASSWORD] [secret DB_PASSWORD]" in told
    assert "old [secret DB_PASSWORD] new [secret DB_PASSWORD] named [secret HOUSE_CODE]" in told
    assert done.stderr.index("raw") < done.stderr.index("run  run")


def test_what_an_import_prints_before_it_dies_arrives_without_secrets(outside: Project) -> None:
    path = outside.folder / "project.py"
    path.write_text(
        path.read_text() + "\nos.write(1, b'the end ' + os.environ['DB_PASSWORD'].encode())\nos.abort()\n"
    )
    done = outside.fairway("run", "project.py:run", expect=None)
    assert "the end [secret DB_PASSWORD]\n" in done.stderr


def test_an_endpoint_leaks_nothing_past_python_and_its_last_words_arrive(outside: Project) -> None:
    try:
        url = outside.fairway("deploy", "project.py").stdout.strip()
        for number, expected in ((0, "late"), (1, "last words")):
            asked = Request(url, str(number).encode(), {"Content-Type": "application/json"}, method="POST")
            try:
                urlopen(asked, timeout=240)
            except OSError:
                assert number == 1
            deadline = time.monotonic() + 120
            while expected not in (told := outside.fairway("logs", "talks").stdout):
                assert time.monotonic() < deadline, told
        log = b"".join(path.read_bytes() for path in outside.folder.rglob("endpoints/**/*.log")).decode()
        for value in (*HIDDEN.values(), "head-Y25-abcd1234", "late-Z26-aabbccdd"):
            assert value not in told
            assert value not in log
        for way in ("print", "buffer", "program", "os.write", "pieces", "logging", "stderr", "last words"):
            assert f"{way} [secret BILLING]" in log
        assert "late [secret LATE_TOKEN]" in log
    finally:
        outside.fairway("down", expect=None)


def test_names_that_are_not_a_list_are_refused_with_a_sentence(outside: Project) -> None:
    (outside.folder / "pyproject.toml").write_text('[tool.fairway]\nsecrets = "MY_NAME"\n')
    done = outside.fairway("run", "project.py:run", expect=None)
    assert "is not a list of names" in done.stderr
    assert 'hint: `secrets = ["MY_NAME", "*_CODE"]`' in done.stderr
