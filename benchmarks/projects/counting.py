"""The smallest steps there are, in a chain, side by side, held in a list, and cached."""

import fairway as fw


@fw.task
def more(number: int) -> int:
    """One step."""
    return number + 1


@fw.task(cache=True)
def kept(number: int) -> int:
    """One cached step."""
    return number + 1


@fw.task
def total(numbers: list[int]) -> int:
    """One step over all."""
    return sum(numbers)


@fw.pipeline
def chain(steps: int = 1) -> int:
    """Each step waits for the one before."""
    number = 0
    for _ in range(steps):
        number = more(number)
    return number


@fw.pipeline
def fan(steps: int = 1) -> int:
    """No step waits for another."""
    for number in range(steps):
        more(number)
    return steps


@fw.pipeline
def cached(steps: int = 1) -> int:
    """Like `fan`, with steps that are not run again."""
    for number in range(steps):
        kept(number)
    return steps


@fw.pipeline
def held(steps: int = 1) -> int:
    """Refs in a list: read one by one, and handed over together."""
    numbers = [more(number) for number in range(steps)]
    if sum(numbers) < 0:
        return 0
    return total(numbers)
