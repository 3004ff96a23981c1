"""A thin asynchronous client of the Kubernetes API. It knows nothing of Fairway's objects."""
