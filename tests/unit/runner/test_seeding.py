"""Random numbers of steps, each in a process of its own as steps are."""

import subprocess
import sys

import pytest

AT_THE_TOP = "import numpy as np\nimport numpy.random"
IN_THE_STEP = "import sys\nassert 'numpy' not in sys.modules"
HALF_LOADED = "import numpy as np"


def drawn(step: str, before: str, after: str = "") -> str:
    """What a step draws in a project that does some of its imports before the step begins."""
    program = f"""
from fairway.runner import seeding
{before}
seeding.seed({step!r})
{after}
import random, numpy as np
print(random.random(), np.random.random())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.mark.parametrize("before", [IN_THE_STEP, HALF_LOADED])
def test_they_are_the_same_wherever_numpy_is_imported(before: str) -> None:
    assert drawn("train", before) == drawn("train", AT_THE_TOP) == drawn("train", before)
    assert drawn("train-2", before) != drawn("train", before)


def test_the_last_seed_counts() -> None:
    again = "import sys\nseeding.seed('train-2')\nprint(sum(type(one).__name__ == '_Later' for one in sys.meta_path))"
    assert drawn("train", IN_THE_STEP, again) == "1\n" + drawn("train-2", AT_THE_TOP)


def test_seeding_loads_nothing_of_numpy_that_the_project_has_not_loaded() -> None:
    program = """
import sys
import numpy
from fairway.runner import seeding
before = set(sys.modules)
seeding.seed("train")
print(sorted(set(sys.modules) - before))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == "[]\n"
