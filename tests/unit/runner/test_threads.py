"""Which threads of a host forbid it to fork."""

import os
import subprocess
import sys

import pytest

from fairway.spec.host import THREAD_VARIABLES


def said_by(code: str) -> str:
    """What a fresh interpreter prints, its numeric libraries kept to one thread as in a host."""
    alone = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=alone
    ).stdout.strip()


def test_the_thread_that_pyarrow_brings_does_not_count() -> None:
    pytest.importorskip("pyarrow")
    code = "import pyarrow; from fairway.runner.processes import thread_count; print(thread_count())"
    assert said_by(code) == "1"


def test_other_threads_count() -> None:
    code = (
        "import threading, time; threading.Thread(target=time.sleep, args=(1,), daemon=True).start();"
        "from fairway.runner.processes import thread_count; print(thread_count())"
    )
    assert said_by(code) == "2"
