"""This machine as a target: hosts, environments and model servers as local processes."""
