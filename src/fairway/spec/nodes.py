"""The words with which a task chooses the nodes that it runs on, and the models of GPUs that people name."""

import re

import msgspec

from fairway.spec.errors import UsageError

ANY = "*"
"""The word of a place that takes each word of that kind, because it makes no difference there."""

ARCHITECTURES = {"amd64": "amd64", "x86_64": "amd64", "x64": "amd64", "arm64": "arm64", "aarch64": "arm64"}
"""The architectures by the names that people and systems use for them."""

_GPU = re.compile(r"([A-Za-z][A-Za-z0-9 ._-]{0,47}?)(?::(\d{1,4}))?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_MAKERS = frozenset({"NVIDIA", "TESLA", "GEFORCE", "AMD", "INSTINCT", "QUADRO"})


class NodeChoice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The choice of nodes for a step. An empty word leaves the choice to the target.

    A place describes in the same words which choices it can meet.

    Attributes:
        gpu: the model of the GPUs, such as "L4". A place with several models joins them with commas.
        spot: True for nodes that cost less and may be taken away at any time.
        arch: the architecture of the processors, "amd64" or "arm64".
        priority: the name of a class of priority, which decides who has to make room.
        queue: the name of a queue, in which the step waits for its turn.
    """

    gpu: str = ""
    spot: bool = False
    arch: str = ""
    priority: str = ""
    queue: str = ""

    def met_by(self, offered: "NodeChoice | None") -> bool:
        """Tell whether a place that offers these words can meet the choice."""
        place = offered or NOTHING
        return (
            (not self.gpu or place.gpu == ANY or any(is_model(self.gpu, one) for one in place.gpu.split(",")))
            and (not self.spot or place.spot)
            and self.arch in ("", place.arch)
            and (not self.priority or place.priority in (ANY, self.priority))
            and (not self.queue or place.queue in (ANY, self.queue))
        )

    def __str__(self) -> str:
        """Return the choice as a person writes it in a task."""
        words = {"gpu": self.gpu, "arch": self.arch, "priority": self.priority, "queue": self.queue}
        named = [f'{name}="{word}"' for name, word in words.items() if word]
        return ", ".join(named + ["spot=True"] * self.spot)


NOTHING = NodeChoice()
"""The choice of nothing."""


def is_model(wanted: str, model: str) -> bool:
    """Tell whether a GPU is of a model that a person named: "A100" names "NVIDIA A100-SXM4-40GB", and "L4" not "NVIDIA L40S"."""
    there = _parts(model)
    parts = _parts(wanted)
    return bool(parts) and all(part in there for part in parts)


def _parts(model: str) -> list[str]:
    """Return the parts of a model's name. The name of the maker counts only where nothing else is there."""
    parts = [part for part in re.split(r"[\s_.-]+", model.upper()) if part]
    return [part for part in parts if part not in _MAKERS] or parts


def parse_gpu(wanted: int | str) -> tuple[int, str]:
    """Return the number and the model of 1, "L4" or "L4:2". The model is empty for a number alone. Raises UsageError."""
    if isinstance(wanted, str):
        found = _GPU.fullmatch(wanted.strip())
        count = int(found[2] or 1) if found else 0
        if not found or not count:
            raise UsageError(
                f"gpu={wanted!r} is neither a number nor a model of GPUs",
                hint='write it like 1, "L4" or "A100:2"',
            )
        return count, found[1].strip()
    if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(f"gpu={wanted!r} is not a whole number of at least 0", hint="such as `gpu=1`")
    return wanted, ""


def parse_architecture(wanted: str) -> str:
    """Return "amd64" or "arm64" for a name of one of them. An empty text stays empty. Raises UsageError."""
    if not wanted:
        return ""
    if not isinstance(wanted, str) or wanted.lower() not in ARCHITECTURES:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(
            f"arch={wanted!r} is not an architecture that Fairway knows",
            hint='write `arch="amd64"` or `arch="arm64"`',
        )
    return ARCHITECTURES[wanted.lower()]


def parse_name(word: str, name: str, noun: str) -> str:
    """Return a name that Kubernetes can have for an object, or an empty text.

    Args:
        word: the setting of the task.
        name: the name.
        noun: the kind of the object, for the error.

    Raises:
        UsageError: Kubernetes cannot have such a name.
    """
    if name and (not isinstance(name, str) or not _NAME.fullmatch(name)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(
            f"{word}={name!r} is not the name of a {noun}",
            hint=f'small letters, digits and dashes, such as `{word}="team-a"`',
        )
    return name
