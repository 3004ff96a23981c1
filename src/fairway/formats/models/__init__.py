"""Models that predict: their signature, their samples, their compiled form, and their loading for a server."""
