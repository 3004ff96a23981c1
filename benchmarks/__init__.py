"""What Fairway costs beside its peers and beside the least it could cost: `python -m benchmarks`."""
