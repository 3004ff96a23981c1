"""The refusal of a request, with the answer that the client gets."""


class Refused(Exception):
    """A request that goes no further."""

    def __init__(self, status: int, error: str, hint: str = "") -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.hint = hint
