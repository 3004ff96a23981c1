"""`python -m fairway.server SPEC.json --fd N`: runs one worker on a listening socket that it inherits."""

import sys

from fairway.server.worker import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
