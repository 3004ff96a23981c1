"""`python -m fairway.runner PARENT SOCKET …`: starts a host. Options are plain words, which need nothing to be loaded."""

import gc
import sys

gc.disable()  # what is imported stays; the host enables it again when the project is there

from fairway.runner import lifeline  # noqa: E402 - nothing may be imported before

if __name__ == "__main__":
    # Before anything else: whoever started this host may be killed at any moment.
    lifeline.hold(int(sys.argv[1]), int(sys.argv[2]))

from fairway.local.exiting import leave  # noqa: E402
from fairway.runner.host import main  # noqa: E402

if __name__ == "__main__":
    leave(main(sys.argv[2:]))
