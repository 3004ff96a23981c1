"""Events and tables of endpoints as version 0.1 wrote them."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fairway.spec.endpoint import Bounds, RevisionSpec
from fairway.spec.event import AliasMoved, EndpointPointed, Event, RevisionCreated
from fairway.stores import Layout, chain, schema
from fairway.stores.metadata import SqliteMetadata

CREATED = b'{"type":"revision.created","revision":{"endpoint":"e","number":1,"workers":3},"port":7702}'
STAYED = b'{"type":"endpoint.pointed","endpoint":"e","number":1,"reason":"deployed","port":0}'
MOVED = b'{"type":"endpoint.pointed","endpoint":"e","number":1,"reason":"deployed","port":9000}'
TABLE = (
    "CREATE TABLE endpoint(name TEXT PRIMARY KEY, port INTEGER NOT NULL, wanted INTEGER NOT NULL,"
    " pointed INTEGER NOT NULL, reason TEXT NOT NULL) WITHOUT ROWID"
)


def test_a_port_is_read_as_an_address_of_this_machine_and_a_count_as_bounds() -> None:
    revision = RevisionSpec(endpoint="e", number=1, replicas=Bounds(3, 3))
    assert schema.decode(CREATED) == RevisionCreated(revision, "http://127.0.0.1:7702")
    assert schema.decode(STAYED) == EndpointPointed("e", 1, "deployed")
    assert schema.decode(MOVED) == EndpointPointed("e", 1, "deployed", "http://127.0.0.1:9000")


def test_what_this_version_writes_is_read_as_it_is() -> None:
    bodies = (
        RevisionCreated(RevisionSpec(endpoint='"port":1', number=1, replicas=Bounds(1, 9))),
        EndpointPointed("e", 1, 'says "port":7', "http://churn.example"),
    )
    assert [schema.decode(schema.encode(body)) for body in bodies] == list(bodies)


@pytest.mark.parametrize("port", [b'"7702"', b"null", b"[1]"])
def test_a_port_that_is_no_number_makes_an_event_that_is_not_known(port: bytes) -> None:
    assert schema.decode(STAYED.replace(b'"port":0', b'"port":' + port)) is None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteMetadata]:
    """A store whose log and tables are of version 0.1."""
    with SqliteMetadata(Layout(tmp_path)) as made:
        made.append([Event(body=AliasMoved("m", "a", 1))])
    with closing(sqlite3.connect(Layout(tmp_path).database)) as database:
        (before,) = database.execute("SELECT hash FROM event").fetchone()
        for seq, (kind, body) in enumerate(
            (("revision.created", CREATED), ("endpoint.pointed", MOVED)), start=2
        ):
            row = (seq, "", "", kind, 0.0, "", body)
            before = chain.link(before, row)
            database.execute("INSERT INTO event VALUES(?, ?, ?, ?, ?, ?, ?, ?)", (*row, before))
        database.execute("DROP TABLE endpoint")
        database.execute(TABLE)
        database.execute("INSERT INTO endpoint VALUES('e', 9000, 1, 1, 'deployed')")
        database.execute("DELETE FROM seal")
        database.execute("PRAGMA user_version = 1")
        database.commit()
    with SqliteMetadata(Layout(tmp_path)) as reader:
        yield reader


def test_tables_of_an_earlier_version_are_read_without_a_change_to_the_file(store: SqliteMetadata) -> None:
    content = store._layout.database.read_bytes()
    (found,) = store.endpoints()
    assert (found.address, found.port, found.wanted, found.workers) == ("http://127.0.0.1:9000", 9000, 1, 3)
    assert store.aliases() == {"m@a": 1}
    assert store.verify().problems == ()
    assert store._layout.database.read_bytes() == content


def test_a_reader_sees_what_is_added_to_an_earlier_log_and_to_its_tables(store: SqliteMetadata) -> None:
    assert store.endpoints()[0].wanted == 1
    with closing(sqlite3.connect(store._layout.database)) as other:
        other.isolation_level = None
        chain.rebuild(other)
        chain.append(other, [Event(body=EndpointPointed("e", 0, "undeployed"))])
    assert store.endpoints()[0].wanted == 0, "the log went on, the tables are still of an earlier version"
    with closing(sqlite3.connect(store._layout.database)) as other:
        other.isolation_level = None
        other.execute(f"PRAGMA user_version = {schema.VERSION}")
        other.execute("UPDATE endpoint SET reason = 'of the file'")
    assert store.endpoints()[0].reason == "of the file"
