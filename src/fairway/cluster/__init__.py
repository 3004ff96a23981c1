"""Kubernetes: the adapters of the ports for a namespace of a cluster."""
