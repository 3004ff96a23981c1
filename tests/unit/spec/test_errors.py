"""Errors keep message, hint and kind across processes, and each kind has its exit code."""

import pickle

import pytest

from fairway.spec import errors


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.FairwayError, 1),
        (errors.UsageError, 2),
        (errors.GateRefused, 3),
        (errors.NotFound, 4),
        (errors.NotAllowed, 5),
        (errors.Interrupted, 130),
        (errors.CorruptArtifact, 1),
        (errors.SerializationError, 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code_and_survives_a_pickle(
    kind: type[errors.FairwayError], code: int
) -> None:
    again = pickle.loads(pickle.dumps(kind("what happened", hint="`try this`")))
    assert type(again) is kind
    assert (str(again), again.message, again.hint, again.exit_code) == (
        "what happened", "what happened", "`try this`", code,
    )  # fmt: skip


def test_a_failed_step_keeps_its_name_and_traceback() -> None:
    again = pickle.loads(pickle.dumps(errors.StepFailed("no", hint="h", step="train-2", details="Traceback")))
    assert (again.message, again.hint, again.step, again.details) == ("no", "h", "train-2", "Traceback")
