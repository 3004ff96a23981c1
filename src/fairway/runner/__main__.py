"""`python -m fairway.runner`: starts a host. Options come as plain words, which need nothing to be loaded."""

import gc
import sys

gc.disable()  # what is imported stays; the host enables it again when the project is there

from fairway.local.leaving import leave  # noqa: E402 - nothing may be imported before
from fairway.runner.host import main  # noqa: E402

if __name__ == "__main__":
    leave(main(sys.argv[1:]))
