"""The adapters for this machine: hosts, environments and model servers as local processes."""
