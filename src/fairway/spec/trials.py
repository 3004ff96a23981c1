"""The trials of a search over parameters, as they are kept on record."""

import msgspec


class TrialAsked(msgspec.Struct, frozen=True, tag="trial.asked"):
    """The fact that a search chose the parameters of a trial. A repeated search takes the same ones again.

    Attributes:
        search: the name of the search in its run.
        number: the number of the trial, from 1.
        parameters: the numbers by name. A choice from a list is the place in the list, from 0.
    """

    search: str
    number: int
    parameters: dict[str, int | float]
