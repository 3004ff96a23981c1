"""`python -m fairway.runner`: starts a host. Options come as one JSON argument, so that nothing heavy parses them."""

import sys

from fairway.runner.host import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
