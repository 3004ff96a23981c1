"""Models as things that predict: signature, samples, compiled form, and how they are loaded to serve."""
