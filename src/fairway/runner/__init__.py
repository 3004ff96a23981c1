"""The program inside every step: a host that imports the project, and the children that it forks for pipeline and steps."""
