"""The parameters of a pipeline as fields of a form, and the fields of a form as texts for a run."""

from typing import cast

import msgspec

from fairway.formats.untagged import untagged
from fairway.spec.artifact import Artifact
from fairway.spec.errors import SerializationError
from fairway.spec.project import Parameter, PipelineSpec
from fairway.spec.run import RunSpec

_BEFORE = "parameter."
"""The beginning of the names of fields, so that no parameter has the name of another field of the form."""


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a form.

    Attributes:
        name: the name of the field.
        label: the name of the parameter.
        control: "bool", "choice", "number", "text" or "lines".
        value: the text in it.
        hint: what belongs into it.
    """

    name: str
    label: str
    control: str
    value: str
    hint: str
    required: bool = False
    choices: tuple[str, ...] = ()


def fields_of(pipeline: PipelineSpec, values: dict[str, str]) -> list[Field]:
    """Return the fields of a form.

    Args:
        pipeline: its parameters.
        values: what stands in the fields, by parameter. The default of the parameter stands in the others.
    """
    return [_field(parameter, values.get(parameter.name)) for parameter in pipeline.parameters]


def typed(pipeline: PipelineSpec, form: dict[str, str]) -> dict[str, list[str]]:
    """Return the texts of a sent form by parameter, as `fairway run` gets them from its flags.

    A field that holds the default is left out, so that the run gets the default itself.
    """
    texts: dict[str, list[str]] = {}
    for parameter in pipeline.parameters:
        text = form.get(_BEFORE + parameter.name)
        if text is None or text == _shown(parameter, None):
            continue
        if parameter.kind == "list":
            texts[parameter.name] = [line for line in text.replace("\r\n", "\n").split("\n") if line]
        elif text or parameter.kind == "str":
            texts[parameter.name] = [text]
    return texts


def values_in(form: dict[str, str]) -> dict[str, str]:
    """Return what stood in the fields of a sent form, by parameter."""
    return {name.removeprefix(_BEFORE): text for name, text in form.items() if name.startswith(_BEFORE)}


def values_of(spec: RunSpec) -> dict[str, str]:
    """Return what a run got for its parameters, as texts for the fields of a form."""
    return {
        name: _lines(spec.parameters.get(name)) or shown
        for name, shown in ({name: one.note for name, one in spec.parameters.items()} | spec.shown).items()
    }


def _lines(artifact: Artifact | None) -> str:
    """Return a list of plain values with one in each line, since an element may have spaces. Empty for other values."""
    if artifact is None or artifact.format != "json" or artifact.inline is None:
        return ""
    try:
        value = untagged(artifact.inline)
    except SerializationError:
        return ""
    if not isinstance(value, list):
        return ""
    items = cast("list[object]", value)
    if any(isinstance(item, list | dict) or item is None for item in items):
        return ""
    return "\n".join(str(item).lower() if isinstance(item, bool) else str(item) for item in items)


def flags_of(pipeline: PipelineSpec, texts: dict[str, list[str]]) -> list[str]:
    """Return the texts of parameters as words of a command line."""
    words: list[str] = []
    for parameter in pipeline.parameters:
        flag = f"--{parameter.name.replace('_', '-')}"
        given = texts.get(parameter.name)
        if given is None:
            continue
        if parameter.kind == "bool":
            words.append(flag if given == ["true"] else flag.replace("--", "--no-", 1))
        else:
            words += [flag, *given]
    return words


def _field(parameter: Parameter, value: str | None) -> Field:
    control = {"bool": "bool", "choice": "choice", "list": "lines", "int": "number"}.get(
        parameter.kind, "text"
    )
    told = [parameter.help, parameter.annotation if control not in ("bool", "choice") else ""]
    if parameter.kind == "list":
        told.append("one in each line")
    if parameter.required:
        told.append("needed")
    elif parameter.default:
        told.append(f"default {parameter.default}")
    return Field(
        name=_BEFORE + parameter.name,
        label=parameter.name,
        control=control,
        value=_shown(parameter, value),
        hint=", ".join(filter(None, told)),
        required=parameter.required and parameter.kind not in ("str", "list"),
        choices=parameter.choices if not parameter.optional else ("", *parameter.choices),
    )


def _shown(parameter: Parameter, value: str | None) -> str:
    """Return the text in a field: a value, or else the default."""
    text = parameter.default if value is None else value
    if parameter.kind == "list" and value is None:
        return text.replace(" ", "\n")
    return text
