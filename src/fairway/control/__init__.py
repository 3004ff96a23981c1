"""The platform process: an HTTP API on loopback, and the endpoints it looks after."""
