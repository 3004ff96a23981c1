"""The vocabulary of Fairway: frozen types without I/O, which every other part of the package uses."""

VERSION = "0.1.0"
"""The version of this Fairway. It stands here because every process has loaded this package."""
