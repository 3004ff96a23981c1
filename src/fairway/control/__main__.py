"""Entry point `python -m fairway.control --root STORE`, which runs the platform process of a store."""

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # what the imports below make stays, and looking through it finds nothing to free

from fairway.control.process import main
from fairway.local.exiting import leave

if __name__ == "__main__":
    gc.freeze()
    gc.enable()
    leave(main(sys.argv[1:]))
