"""The pages for a browser: HTML made on the server of what a `Platform` answers. Must not know how a platform works."""
