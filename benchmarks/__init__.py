"""Benchmarks: A and B in turns within one run."""
