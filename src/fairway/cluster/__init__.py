"""The twin of `local` for Kubernetes: the client, the control plane's adapters, images and the installation."""
