"""The wiring: it puts the parts of a target together, and alone names adapters and reads `FAIRWAY_` variables.

`settings` reads the variables. `machine` makes the parts of this machine. `target` finds the platform to ask.
`headstart` starts the host of a project before anything else is loaded. The package itself imports nothing, because a
command loads only the parts that it uses (decision 0012).
"""
