"""A project to fill in: one task, one pipeline."""

import fairway as fw


@fw.task
def greet(name: str) -> str:
    """Anything a function can do; it runs isolated, and what it returns is kept."""
    return f"Hello, {name}"


@fw.pipeline
def hello(name: str = "world") -> str:
    """Say hello."""
    return greet(name)
