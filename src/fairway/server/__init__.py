"""The model server: one worker process answers for one revision of an endpoint."""
