"""Endpoints on Kubernetes: their objects, what is seen of them, and the deployer that makes and removes them."""
