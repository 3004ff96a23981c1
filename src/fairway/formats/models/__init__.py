"""Models as things that predict: their signature, their samples, their compiled form, and how they are loaded to serve."""
