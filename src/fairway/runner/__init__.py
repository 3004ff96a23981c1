"""Inside every step: the host that imported the project, and the children it forks for the pipeline and its steps."""
