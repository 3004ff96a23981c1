"""A request that goes no further, with the answer that it gets."""


class Refused(Exception):
    """A request that goes no further."""

    def __init__(self, status: int, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.hint = hint
