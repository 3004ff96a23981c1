"""Certificates of this test run, and API servers that answer by a script."""

import contextlib
import ssl
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

sys.path.insert(0, str(Path(__file__).parent))

from kubeconfigs import Case
from scripted import Answer, Handler, ScriptedServer

from fairway.cluster.client.access import Access, Credentials, Trust


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def serve(authority: trustme.CA) -> Iterator[Callable[..., ScriptedServer]]:
    """Start a server: `serve(handler, names=("127.0.0.1",), plain=False)`."""
    with contextlib.ExitStack() as stack:

        def start(
            handler: Handler = lambda asked: Answer(),
            names: tuple[str, ...] = ("127.0.0.1",),
            plain: bool = False,
            asks: bool = True,
            authority: trustme.CA = authority,
        ) -> ScriptedServer:
            context = None
            if not plain:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                authority.issue_cert(*names).configure_cert(context)
                authority.configure_trust(context)
                context.verify_mode = ssl.CERT_OPTIONAL if asks else ssl.CERT_NONE
            return stack.enter_context(ScriptedServer(handler, context, authority).running())

        yield start


@pytest.fixture
def access_to() -> Callable[..., Access]:
    """Make an access to a server with a token, or with other credentials."""

    def make(server: ScriptedServer, **credentials: object) -> Access:
        return Access(
            server=server.url,
            namespace="team",
            context="lab",
            user="ann",
            trust=Trust(authority=server.authority_pem),
            credentials=Credentials(**(credentials or {"token": "secret"})),  # type: ignore[arg-type]
        )

    return make


@pytest.fixture
def case(tmp_path: Path, serve: Callable[..., ScriptedServer], authority: trustme.CA) -> Case:
    """A folder for kubeconfigs, and a server that gives tokens."""
    server = serve(lambda asked: Answer({"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1",
                                         "status": {"token": "made"}}, 201),
                   names=("127.0.0.1", "kube.example"))  # fmt: skip
    (tmp_path / "elsewhere").mkdir()
    return Case(tmp_path, server, authority, serve)
