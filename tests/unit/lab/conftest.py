"""Puts the lab on the path, which the import mode of the suite does not."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
