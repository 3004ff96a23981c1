"""The adapters to Kubernetes: its client, the objects of a run, and what reaches the platform in a cluster."""
