"""The flags of a pipeline: from the words behind `fairway run FILE` to texts by parameter. No I/O."""

from fairway.spec.errors import UsageError
from fairway.spec.project import Parameter, PipelineSpec

_FALSE_PREFIX = "no_"


def read(pipeline: PipelineSpec, words: list[str]) -> dict[str, list[str]]:
    """Read the words behind a project file as texts by parameter name.

    A list takes all words up to the next flag. A bool takes none, and `--no-NAME` makes it false. `--name=value` works
    too, and is the form for a text that begins with `--`.

    Raises:
        UsageError: there is an unknown flag, a word without a flag, a flag without its value, or a repeated flag.
    """
    by_name = {parameter.name: parameter for parameter in pipeline.parameters}
    texts: dict[str, list[str]] = {}
    place = 0
    before = ""
    while place < len(words):
        word = words[place]
        place += 1
        if not _is_flag(word):
            raise UsageError(f"{word!r} belongs to no flag", hint=before or _known(pipeline))
        flag, has_value, value = word[2:].partition("=")
        parameter, negated = _find(by_name, flag)
        if parameter is None or (negated and has_value):
            raise UsageError(f"{pipeline.name} has no flag --{flag}", hint=_known(pipeline))
        if parameter.name in texts and parameter.kind != "list":
            raise UsageError(f"--{flag} is given twice, or with its opposite")
        before = ""
        if has_value:
            texts.setdefault(parameter.name, []).append(value)
        elif parameter.kind == "bool":
            texts[parameter.name] = ["false" if negated else "true"]
            before = f"--{flag} takes no value: `--{_dashed(parameter)}` or `--no-{_dashed(parameter)}`"
        else:
            taken = _values(parameter, words[place:])
            if not taken:
                raise UsageError(f"--{flag} needs a value ({parameter.annotation})")
            texts.setdefault(parameter.name, []).extend(taken)
            place += len(taken)
    return texts


def describe(pipeline: PipelineSpec) -> list[tuple[str, str]]:
    """Return a line per flag for `--help`: its written form and its meaning."""
    lines: list[tuple[str, str]] = []
    for parameter in pipeline.parameters:
        name = _dashed(parameter)
        if parameter.kind == "bool":
            written = f"--{name} / --no-{name}"
        else:
            written = f"--{name} {'|'.join(parameter.choices) or parameter.annotation}"
        said = parameter.help or ("needed" if parameter.required else "")
        default = "" if parameter.required else f"[default: {parameter.default}]"
        lines.append((written, f"{said} {default}".strip()))
    return lines


def has_config(pipeline: PipelineSpec) -> bool:
    """Tell whether `--config` is a parameter of the pipeline, and so no longer a file with all parameters."""
    return any(parameter.name == "config" for parameter in pipeline.parameters)


def _find(by_name: dict[str, Parameter], flag: str) -> tuple[Parameter | None, bool]:
    """Find the parameter that a flag sets. The second value is True for the `--no-` form of the flag."""
    name = flag.replace("-", "_")
    parameter = by_name.get(name)
    if parameter is not None or not name.startswith(_FALSE_PREFIX):
        return parameter, False
    parameter = by_name.get(name.removeprefix(_FALSE_PREFIX))
    return (parameter, True) if parameter is not None and parameter.kind == "bool" else (None, False)


def _values(parameter: Parameter, words: list[str]) -> list[str]:
    taken: list[str] = []
    for word in words:
        if word.startswith("--"):
            break
        taken.append(word)
        if parameter.kind != "list":
            break
    return taken


def _is_flag(word: str) -> bool:
    return word.startswith("--") and len(word) > 2


def _dashed(parameter: Parameter) -> str:
    return parameter.name.replace("_", "-")


def _known(pipeline: PipelineSpec) -> str:
    flags = " ".join(f"--{_dashed(parameter)}" for parameter in pipeline.parameters)
    return f"its flags are {flags}" if flags else f"{pipeline.name} takes no flags"
