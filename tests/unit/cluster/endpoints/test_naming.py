"""Names of the objects of endpoints."""

import re

from hypothesis import given
from hypothesis import strategies as st

from fairway.cluster.endpoints import naming
from fairway.spec.install import Install

LABEL = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
INSTALL = Install(uid="ab" * 16, namespace="team", version="1", image="i@sha256:" + "0" * 64)
served = st.from_regex(r"[A-Za-z0-9_][-A-Za-z0-9_.]{0,62}", fullmatch=True)


def test_a_plain_name_is_the_name_of_the_service() -> None:
    assert naming.service("churn") == "churn"
    assert naming.revision("churn", 3) == "fw-churn-r3"
    assert naming.address("churn", INSTALL) == "http://churn.team.svc"


@given(served)
def test_every_name_of_an_endpoint_becomes_a_name_that_objects_may_have(name: str) -> None:
    assert LABEL.fullmatch(naming.service(name))
    assert LABEL.fullmatch(naming.shared(name))
    assert len(naming.revision(name, 999_999)) <= 52


@given(served, served)
def test_two_endpoints_never_share_a_service(one: str, other: str) -> None:
    assert (naming.service(one) == naming.service(other)) == (one == other)


def test_the_selector_of_a_service_tells_the_revision() -> None:
    assert naming.selects(naming.revision_selector("churn", 7, INSTALL)) == 7
    assert naming.selects({"app": "other"}) == 0
    assert naming.selects({naming.REVISION_LABEL: "seven"}) == 0
