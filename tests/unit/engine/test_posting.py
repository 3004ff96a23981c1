"""The postman of webhooks, with a store on disk and a sender that a test controls."""

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest

from fairway.engine import posting
from fairway.plan import webhooks
from fairway.spec.errors import StorageError
from fairway.spec.event import Event, RunEnded, RunStarted, WebhookDue, WebhookPosted
from fairway.spec.run import Phase, RunSpec
from fairway.spec.webhook import Answer, Ending, NewWebhook, Notice
from fairway.stores.layout import Layout
from fairway.stores.metadata import SqliteMetadata

TEAM = NewWebhook(name="team", url="https://chat.example/x", on=(Ending.SUCCESS,))
SLOW = NewWebhook(name="slow", url="https://slow.example/x", on=(Ending.SUCCESS,))
NOW = 1_000_000.0


class Hooks:
    def __init__(self, *hooks: NewWebhook) -> None:
        self.hooks = list(hooks)

    def all(self) -> list[NewWebhook]:
        return self.hooks

    def put(self, hook: NewWebhook) -> None: ...

    def remove(self, name: str) -> None: ...


class Clock:
    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteMetadata]:
    with SqliteMetadata(Layout(tmp_path), who=lambda: "me") as made:
        yield made


def due(number: int, *hooks: str, time: float = NOW) -> Event:
    notice = Notice(id=f"id-{number}", run="k7m2", pipeline="churn", project="", ending=Ending.SUCCESS)
    return Event(body=WebhookDue(notice, hooks or ("team",)), run="k7m2", time=time)


def deliver(store: SqliteMetadata, hooks: Hooks, answers: list[Answer] | None = None) -> list[str]:
    """Let a postman post all that waits. Return the identifiers of the messages in the order of the posts."""
    posted: list[str] = []

    async def post(url: str, content: bytes, headers: dict[str, str]) -> Answer:
        posted.append(headers["fairway-event-id"])
        return answers.pop(0) if answers else Answer(status=200, final=True)

    async def work() -> None:
        postman = posting.Postman(store, hooks, Clock(), post, lambda run: "", lambda text: text)
        await postman.empty(lambda: nullcontext(True))

    asyncio.run(work())
    return posted


def outcomes(store: SqliteMetadata) -> list[WebhookPosted]:
    return [one.body for one in store.notices() if isinstance(one.body, WebhookPosted)]


def test_each_webhook_is_told_once_and_the_outcome_is_kept(store: SqliteMetadata) -> None:
    store.append([due(1, "team", "slow"), due(2)])
    assert sorted(deliver(store, Hooks(TEAM, SLOW))) == ["id-1", "id-1", "id-2"]
    assert {(one.notice, one.hook, one.delivered, one.tries) for one in outcomes(store)} == {
        ("id-1", "team", True, 1), ("id-1", "slow", True, 1), ("id-2", "team", True, 1)
    }  # fmt: skip
    assert deliver(store, Hooks(TEAM, SLOW)) == []


def test_the_queue_of_a_webhook_is_bounded_and_the_oldest_messages_are_given_up(
    store: SqliteMetadata,
) -> None:
    store.append([due(number) for number in range(webhooks.MOST_WAITING + 5)])
    posted = deliver(store, Hooks(TEAM))
    assert posted == [f"id-{number}" for number in range(5, webhooks.MOST_WAITING + 5)]
    assert [
        one.notice for one in outcomes(store) if one.why == "too many messages waited for this webhook"
    ] == [f"id-{number}" for number in range(5)]


def test_a_message_for_a_webhook_that_is_gone_has_an_outcome(store: SqliteMetadata) -> None:
    store.append([due(1, "team", "slow")])
    assert deliver(store, Hooks(TEAM)) == ["id-1"]
    assert [one.why for one in outcomes(store) if one.hook == "slow"] == ["the webhook was removed before"]


def test_what_is_no_news_any_more_is_not_posted(store: SqliteMetadata) -> None:
    store.append([due(1, time=NOW - webhooks.OLDEST - 1), due(2, time=NOW - webhooks.OLDEST + 60)])
    assert deliver(store, Hooks(TEAM)) == ["id-2"]


def test_a_final_answer_is_not_tried_again(store: SqliteMetadata) -> None:
    store.append([due(1), due(2)])
    refused = Answer(status=302, why="it answered 302", final=True)
    assert deliver(store, Hooks(TEAM), [refused]) == ["id-1", "id-2"]
    assert [(one.delivered, one.status) for one in outcomes(store)] == [(False, 302), (True, 200)]


def test_messages_on_record_beside_those_of_a_thousand_runs_are_found_without_reading_the_log(
    store: SqliteMetadata,
) -> None:
    spec = RunSpec(name="k7m2", pipeline="churn", project="")
    store.append(
        [Event(body=RunStarted(spec), run="k7m2"), due(1), Event(body=RunEnded(Phase.SUCCEEDED), run="k7m2")]
    )
    (found,) = store.notices()
    assert isinstance(found.body, WebhookDue)
    (delivery,) = store.run("k7m2").deliveries
    assert (delivery.hook, delivery.time) == ("team", 0.0)
    deliver(store, Hooks(TEAM))
    (delivery,) = store.run("k7m2").deliveries
    assert (delivery.delivered, delivery.status, delivery.time) == (True, 200, NOW)


def test_a_run_ends_as_it_ended_when_the_webhooks_cannot_be_read() -> None:
    from fairway.engine.outbox import Outbox

    def broken(spec: RunSpec, started: float, ended: RunEnded) -> WebhookDue | None:
        raise StorageError("the disk is gone")

    ended = RunEnded(Phase.SUCCEEDED)
    outbox = Outbox(broken, lambda: pytest.fail("nothing is to be posted"))
    assert outbox.facts(RunSpec(name="r", pipeline="p", project=""), 0.0, ended) == (ended,)
    outbox.recorded()
