"""Pure decisions about the next actions, from the wanted and the observed state.

Modules of this package have no I/O, no clock and no randomness.
"""
