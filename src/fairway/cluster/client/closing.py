"""The block at whose end a connection is closed."""

from types import TracebackType
from typing import Self


class Closing:
    """A base for what `async with` opens. A subclass says in `close` what is to be done at the end of the block."""

    async def close(self) -> None:
        """Close all connections."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
