"""Truth and predictions as numbered classes, and the rule that tells classes from quantities.

This module does not know metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec

from fairway.evaluation.arrays import column, np, same_length
from fairway.spec.errors import FairwayError
from fairway.spec.metrics import Label, format_label

if TYPE_CHECKING:
    from fairway.evaluation.arrays import Bools, Column, Ints

MANY = 50
"""The largest number of distinct whole numbers that count as classes, and of classes that are listed."""


class Targets(msgspec.Struct, frozen=True, kw_only=True):
    """Rows as class numbers.

    Attributes:
        classes: the labels, sorted unless the caller gave them. Class i is `classes[i]`.
        truth: class numbers, shape (n,).
        predicted: class numbers, shape (n,). None when only scores are known.
        positive: the class of two-class metrics. None for three classes or more. It may be missing in `classes` when
            all rows are of the other class.
    """

    classes: tuple[Label, ...]
    truth: Ints
    predicted: Ints | None
    positive: Label | None

    def is_positive(self, codes: Ints) -> Bools:
        """Mark the class numbers that are the positive class, shape (n,)."""
        if self.positive is None or self.positive not in self.classes:
            return np.zeros(len(codes), dtype=np.bool_)
        return codes == self.classes.index(self.positive)


def looks_like_classes(truth: Column, predicted: Column) -> bool:
    """Tell whether two columns hold classes.

    Text and booleans are classes. Numbers are classes when all of them are whole and at most 50 are distinct.
    """
    columns = [truth, predicted]
    if any(each.dtype.kind in "bO" for each in columns):
        return True
    if any(bool((each % 1 != 0).any()) for each in columns):
        return False
    return len(np.unique(np.concatenate(columns))) <= MANY


def targets(
    truth: Column, predicted: Column | None, labels: object = None, positive: object = None
) -> Targets:
    """Number the classes, in the order of `labels` or sorted as found in truth and predicted together.

    Raises:
        FairwayError: the two have no type in common, hold fractions, or hold a class that is not in `labels`.
    """
    if predicted is not None:
        same_length(("truth", len(truth)), ("predicted", len(predicted)))
    columns = {"truth": truth}
    if predicted is not None:
        columns["predicted"] = predicted
    if labels is not None:
        columns["labels"] = column(labels, "labels")
    if positive is not None:
        columns["positive"] = column([positive], "positive")
    values = _as_labels(columns)
    wanted = values.pop("positive")[0] if positive is not None else None
    classes = tuple(values["labels"]) if labels is not None else _sorted(values)
    if predicted is None and len(classes) == 1 and _implied(classes):
        classes = tuple(type(classes[0])(i) for i in (0, 1))
    number = {label: i for i, label in enumerate(classes)}
    if len(number) != len(classes):
        raise FairwayError("labels holds the same class twice", hint="pass every class once")
    codes = {name: _codes(values[name], number, name) for name in values if name != "labels"}
    return Targets(
        classes=classes,
        truth=codes["truth"],
        predicted=codes.get("predicted"),
        positive=_positive(classes, wanted),
    )


def codes_of(values: Column, name: str) -> tuple[tuple[Label, ...], Ints]:
    """Return the sorted labels of one column, and its class numbers of shape (n,)."""
    plain = _as_labels({name: values})
    classes = _sorted(plain)
    return classes, _codes(plain[name], {label: i for i, label in enumerate(classes)}, name)


def _as_labels(columns: dict[str, Column]) -> dict[str, list[Label]]:
    """Return columns as labels of one type. Raises FairwayError."""
    kinds = {name: each.dtype.kind for name, each in columns.items()}
    text = [name for name, kind in kinds.items() if kind == "O"]
    if text and len(text) < len(kinds):
        other = next(name for name in kinds if name not in text)
        raise FairwayError(
            f"{text[0]} holds text and {other} holds {'booleans' if kinds[other] == 'b' else 'numbers'}",
            hint="pass both with the same labels, such as the ones the model was trained on",
        )
    for name, each in columns.items():
        if each.dtype.kind == "f" and bool((each % 1 != 0).any()):
            hint = 'pass classes, or `kind="regression"` for quantities'
            raise FairwayError(f"{name} holds fractions, which are not classes", hint=hint)
        if each.dtype.kind == "f" and bool((abs(each) >= 2**53).any()):
            raise FairwayError(
                f"{name} holds floats too large to be classes", hint=f"make {name} integers or text"
            )
    if text or set(kinds.values()) == {"b"}:
        return {name: cast("list[Label]", each.tolist()) for name, each in columns.items()}
    return {name: cast("list[Label]", each.astype(np.int64).tolist()) for name, each in columns.items()}


def _sorted(values: dict[str, list[Label]]) -> tuple[Label, ...]:
    """Return all labels of the columns, sorted."""
    found: set[Label] = set()
    for each in values.values():
        found.update(each)
    return tuple(cast("list[Label]", sorted(cast("set[str]", found))))


def _codes(values: list[Label], number: dict[Label, int], name: str) -> Ints:
    """Return the class numbers of labels. Raises FairwayError."""
    try:
        return np.fromiter((number[value] for value in values), dtype=np.int64, count=len(values))
    except KeyError as error:
        unknown = format_label(cast("Label", error.args[0]))
        hint = "add it to labels, in the order of the columns of scores"
        raise FairwayError(f"{name} holds the class {unknown}, which is not in labels", hint=hint) from None


def _positive(classes: tuple[Label, ...], wanted: Label | None) -> Label | None:
    """Return the positive class, or None when there is none. Raises FairwayError."""
    if wanted is not None:
        if len(classes) > 2:
            raise FairwayError(
                f"positive needs two classes and there are {len(classes)}", hint="leave positive out"
            )
        if wanted not in classes and len(classes) == 2:
            names = " and ".join(format_label(label) for label in classes)
            raise FairwayError(
                f"positive is {format_label(wanted)}, and the classes are {names}", hint="pass one of them"
            )
        return classes[classes.index(wanted)] if wanted in classes else wanted
    if len(classes) == 2:
        return classes[1]
    return type(classes[0])(1) if _implied(classes) else None


def _implied(classes: tuple[Label, ...]) -> bool:
    """Tell whether a single class shows what the other one is, as in 0 and 1, or False and True."""
    return len(classes) == 1 and not isinstance(classes[0], str) and classes[0] in (0, 1)
