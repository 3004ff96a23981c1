"""The vocabulary of Fairway: frozen types without I/O, on which every other floor stands."""
