"""`python -m fairway.runner`: starts a host. Options come as plain words, which need nothing to be loaded."""

import sys

from fairway.local.leaving import leave
from fairway.runner.host import main

if __name__ == "__main__":
    leave(main(sys.argv[1:]))
