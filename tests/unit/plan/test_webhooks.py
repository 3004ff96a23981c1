"""The text of messages to webhooks, and what an answer means."""

import json

import pytest

from fairway.author.redaction import Redactor
from fairway.plan import webhooks
from fairway.spec.run import Failure, Phase, Reason, RunSpec
from fairway.spec.webhook import Ending, NewWebhook, Notice

SPEC = RunSpec(name="k7m2", pipeline="churn", project="/srv/churn/churn.py")


def test_the_text_of_an_exception_stays_where_it_was_raised() -> None:
    told = {
        "ValueError: customer 4711 owes 12": "the code raised ValueError",
        "shop.errors.StockError: 12 left": "the code raised shop.errors.StockError",
        "customer 4711: no such Error": "the code raised an error",
        "4711Error: x": "the code raised an error",
    }
    for message, reason in told.items():
        assert webhooks.reason(Failure(reason=Reason.USER, message=message)) == reason
    gate = Failure(reason=Reason.GATE, message="accuracy 0.81 is below 0.9", cause="register-1")
    assert webhooks.reason(gate) == "step register-1: a gate refused"


def test_every_reason_has_words_of_its_own() -> None:
    for reason in Reason:
        assert webhooks.reason(Failure(reason=reason, message="0.4711")).strip()
        assert "4711" not in webhooks.reason(Failure(reason=reason, message="0.4711"))


def test_a_message_is_small_and_clean_whatever_names_a_project_has() -> None:
    odd = "\U0001f600\x1b[31m\ud800" * 3000
    told = Notice(
        id="0" * 32,
        run=odd,
        pipeline=odd,
        project=odd,
        ending=Ending.FAILURE,
        reason=odd,
        started=1.0,
        ended=2.5,
    )
    content = webhooks.body(told, "", lambda text: text)
    assert len(content) < 8192
    assert "\x1b" not in json.loads(content)["text"]


def test_a_known_secret_is_taken_out_of_a_message() -> None:
    told = webhooks.notice(
        "1", SPEC, (1.0, 2.0), Phase.FAILED, Failure(reason=Reason.OOM, message="", cause="p4ssw0rd-step")
    )
    content = webhooks.body(told, "http://127.0.0.1/runs/k7m2", Redactor({"DB": "p4ssw0rd-step"}).text)
    assert b"p4ssw0rd" not in content
    assert json.loads(content)["reason"] == "step [secret DB]: out of memory"


def test_the_place_of_a_project_is_not_told() -> None:
    told = webhooks.notice("1", SPEC, (1.0, 2.0), Phase.SUCCEEDED, None)
    assert b"ana" not in webhooks.body(told, "", str)
    assert json.loads(webhooks.body(told, "", str))["started"] == "1970-01-01T00:00:01.000Z"


def test_a_webhook_is_told_of_the_ends_and_the_pipeline_that_it_names() -> None:
    hooks = [
        NewWebhook(name="all", url="", on=(Ending.SUCCESS, Ending.FAILURE)),
        NewWebhook(name="bad", url=""),
        NewWebhook(name="stopped", url="", on=(Ending.CANCELLED,), pipeline="churn"),
    ]
    assert webhooks.wanted(hooks, "churn", Phase.SUCCEEDED) == ("all",)
    assert webhooks.wanted(hooks, "churn", Phase.FAILED) == ("all", "bad")
    assert webhooks.wanted(hooks, "churn", Phase.CANCELLED) == ("stopped",)
    assert webhooks.wanted(hooks, "other", Phase.CANCELLED) == ()
    assert webhooks.wanted(hooks, "churn", Phase.RUNNING) == ()


@pytest.mark.parametrize(
    ("status", "taken", "final"),
    [
        (200, True, True), (204, True, True), (301, False, True), (307, False, True), (400, False, True), (404, False, True),
        (408, False, False), (410, False, True), (429, False, False), (500, False, False), (503, False, False),
    ],
)  # fmt: skip
def test_an_answer_is_taken_refused_or_tried_again(status: int, taken: bool, final: bool) -> None:
    answer = webhooks.answered(status)
    assert (not answer.why, answer.final) == (taken, final)


def test_a_webhook_does_not_tell_its_address_or_key_when_it_is_printed() -> None:
    hook = NewWebhook(name="team", url="https://chat.example/s3cret", key="s3cret-key-of-a-team")
    assert "s3cret" not in f"{hook!r} {hook} {[hook]}"
