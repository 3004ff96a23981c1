"""Entry point `python -m fairway.control.posting STORE`, which posts the messages of a store to webhooks, and ends.

A run starts it at its end, so that nobody waits for a receiver who is slow. Must not know what a message says.
"""

import asyncio
import sys
from pathlib import Path

from fairway.local.exiting import leave
from fairway.spec.errors import EXIT_DONE, EXIT_FAILED, FairwayError
from fairway.wiring import hooks


def main(arguments: list[str]) -> int:
    """Post all messages of a store that wait, unless another process does."""
    try:
        asyncio.run(hooks.post(Path(arguments[0])))
    except (FairwayError, OSError) as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return EXIT_FAILED
    return EXIT_DONE


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
