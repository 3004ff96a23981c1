"""A pipeline's flags: from the words behind `fairway run FILE` to texts by parameter. Pure."""

from fairway.spec.errors import UsageError
from fairway.spec.project import Parameter, PipelineSpec

_FALSE_PREFIX = "no_"


def read(pipeline: PipelineSpec, words: list[str]) -> dict[str, list[str]]:
    """Texts by parameter name.

    A list takes all words up to the next flag; a bool takes none, and `--no-NAME` is false; `--name=value` works too.

    Raises:
        UsageError: an unknown flag, a word without a flag, a flag without its value, or a flag given twice.
    """
    by_name = {parameter.name: parameter for parameter in pipeline.parameters}
    texts: dict[str, list[str]] = {}
    place = 0
    while place < len(words):
        word = words[place]
        place += 1
        if not word.startswith("--") or word == "--":
            raise UsageError(f"{word!r} belongs to no flag", hint=_known(pipeline))
        flag, has_value, value = word[2:].partition("=")
        name = flag.replace("-", "_")
        parameter = by_name.get(name)
        if parameter is None and name.startswith(_FALSE_PREFIX):
            negated = by_name.get(name.removeprefix(_FALSE_PREFIX))
            if negated is not None and negated.kind == "bool" and not has_value:
                texts[negated.name] = ["false"]
                continue
        if parameter is None:
            raise UsageError(f"{pipeline.name} has no flag --{flag}", hint=_known(pipeline))
        if parameter.name in texts and parameter.kind != "list":
            raise UsageError(f"--{flag} is given twice")
        if has_value:
            texts.setdefault(parameter.name, []).append(value)
        elif parameter.kind == "bool":
            texts[parameter.name] = ["true"]
        else:
            taken = _values(parameter, words[place:])
            if not taken:
                raise UsageError(f"--{flag} needs a value ({parameter.annotation})")
            texts.setdefault(parameter.name, []).extend(taken)
            place += len(taken)
    return texts


def describe(pipeline: PipelineSpec) -> list[tuple[str, str]]:
    """A line per flag for `--help`: how it is written, and what it is."""
    lines: list[tuple[str, str]] = []
    for parameter in pipeline.parameters:
        name = parameter.name.replace("_", "-")
        if parameter.kind == "bool":
            written = f"--{name} / --no-{name}"
        else:
            written = f"--{name} {'|'.join(parameter.choices) or parameter.annotation}"
        said = parameter.help or ("needed" if parameter.required else "")
        default = "" if parameter.required else f"[default: {parameter.default}]"
        lines.append((written, f"{said} {default}".strip()))
    return lines


def _values(parameter: Parameter, words: list[str]) -> list[str]:
    taken: list[str] = []
    for word in words:
        if word.startswith("--") and len(word) > 2 and not _number(word):
            break
        taken.append(word)
        if parameter.kind != "list":
            break
    return taken


def _number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _known(pipeline: PipelineSpec) -> str:
    flags = " ".join(f"--{parameter.name.replace('_', '-')}" for parameter in pipeline.parameters)
    return f"its flags are {flags}" if flags else f"{pipeline.name} takes no flags"
