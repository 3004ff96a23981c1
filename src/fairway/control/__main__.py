"""Entry point `python -m fairway.control --root STORE`, which runs the platform process of a store."""

import sys

from fairway.control.process import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
