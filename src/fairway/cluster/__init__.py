"""The adapters for Kubernetes: one namespace of a cluster takes the place of this machine."""
