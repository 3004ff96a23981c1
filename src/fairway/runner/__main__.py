"""The command `python -m fairway.runner PARENT SOCKET …`, which starts a host.

Its options are plain words, so that nothing has to be loaded to read them.
"""

import gc
import sys

# Objects that an import makes are never freed, so collecting them would only cost time. The host enables it again.
gc.disable()

from fairway.runner import lifeline  # noqa: E402 - the lines below import much more

if __name__ == "__main__":
    # Before the other imports, which take time: the process that started this host may be killed at any moment.
    lifeline.hold(int(sys.argv[1]), int(sys.argv[2]))

from fairway.local.exiting import leave  # noqa: E402
from fairway.runner.host import main  # noqa: E402

if __name__ == "__main__":
    leave(main(sys.argv[2:]))
