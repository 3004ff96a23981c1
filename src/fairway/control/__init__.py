"""The platform process: an HTTP API on loopback, and the endpoints that it looks after."""
