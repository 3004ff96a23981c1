"""What descends from a host is known by two marks, and a stranger by none."""

import os
import subprocess
import sys

import pytest

from fairway.local import descent

ASKS = "from fairway.local import descent; print(descent.standing())"


def said(code: str, **environment: str) -> str:
    """What a process prints that is marked in `code`, so that no mark comes to the tests."""
    given = {name: value for name, value in os.environ.items() if name != descent.MARK} | environment
    head = "import os, subprocess, sys\nfrom fairway.local import descent\n"
    done = subprocess.run(
        [sys.executable, "-c", head + code], env=given, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_stranger_has_no_mark() -> None:
    assert said("print(repr(descent.standing()))") == "''"


def test_a_program_with_another_environment_is_known_by_its_limit() -> None:
    code = f"descent.enter('aa11aa11aa11')\nsubprocess.run([sys.executable, '-c', {ASKS!r}], env={{}})"
    assert said(code) == "aa11aa11aa11"


def test_a_step_may_give_a_program_the_environment_of_the_import() -> None:
    code = (
        "descent.enter('aa11aa11aa11')\nbefore = dict(os.environ)\ndescent.enter_step()\n"
        f"subprocess.run([sys.executable, '-c', {ASKS!r}], env=before)"
    )
    assert said(code) == "aa11aa11aa11/"


def test_where_a_limit_of_ones_own_is_set_it_stays_and_the_variable_tells() -> None:
    code = (
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (10**9, resource.RLIM_INFINITY))\n"
        "descent.enter('aa11aa11aa11')\nprint(descent.standing(), resource.getrlimit(resource.RLIMIT_FSIZE)[0])"
    )
    assert said(code) == "aa11aa11aa11 1000000000"


def test_the_mark_of_a_run_inside_a_step_names_the_hosts_above_it() -> None:
    code = "descent.enter('aa11aa11aa11')\ndescent.enter_step()\nprint(descent.next_mark())"
    outer, _, inner = said(code).partition("/")
    assert outer == "aa11aa11aa11"
    assert len(inner) == len(outer)


@pytest.mark.parametrize("environment", ["os.environ", "{}"], ids=["kept", "emptied"])
def test_what_descends_from_a_host_is_found_by_its_mark(environment: str) -> None:
    code = (
        "descent.enter('aa11aa11aa11')\n"
        f"child = subprocess.Popen(['sleep', '30'], env={environment}, start_new_session=True)\n"
        "print(descent.descends(child.pid, 'aa11aa11aa11'), descent.descends(child.pid, 'bb22bb22bb22'))\n"
        "child.kill()"
    )
    assert said(code) == "True False"


def test_a_mark_that_is_taken_away_leaves_no_trace() -> None:
    code = (
        "import resource\nwith descent.Marked():\n    pass\n"
        "print(repr(descent.standing()), resource.getrlimit(resource.RLIMIT_FSIZE)[0], descent.MARK in os.environ)"
    )
    assert said(code) == "'' -1 False"


def test_what_a_host_prepares_once_makes_a_step_of_each_child_and_not_of_the_host() -> None:
    code = (
        "descent.enter('aa11aa11aa11')\nenter = descent.step_entry()\n"
        f"subprocess.run([sys.executable, '-c', {ASKS!r}])\nsys.stdout.flush()\n"
        f"if os.fork():\n    os.wait()\nelse:\n    enter()\n    subprocess.run([sys.executable, '-c', {ASKS!r}], env={{}})"
    )
    assert said(code).splitlines() == ["aa11aa11aa11", "aa11aa11aa11/"]


def test_where_the_limit_is_somebody_elses_each_child_marks_itself() -> None:
    code = (
        "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (10**9, resource.RLIM_INFINITY))\n"
        "descent.enter('aa11aa11aa11')\nenter = descent.step_entry()\nprint(descent.standing())\n"
        "enter()\nprint(descent.standing())"
    )
    assert said(code).splitlines() == ["aa11aa11aa11", "aa11aa11aa11/"]
