"""`python -m fairway` is the command line."""

import sys

from fairway.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
