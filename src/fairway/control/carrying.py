"""`python -m fairway.control.carrying STORE`: carries out one run that was submitted to the platform of a store.

It reads the request on standard input and says on standard output, in one line, the run's name or why there is none. Then
it belongs to nobody: the run goes on when the platform stops (decision 0019).
"""

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from fairway.local import descent
from fairway.local.engines import Report
from fairway.local.exiting import leave
from fairway.ports import Platform
from fairway.spec.errors import EXIT_FAILED, FairwayError
from fairway.spec.run import RunRequest
from fairway.wiring import target
