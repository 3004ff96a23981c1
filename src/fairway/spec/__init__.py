"""The vocabulary of Fairway: frozen types without I/O, which every other part of the package uses."""
