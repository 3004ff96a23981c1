"""A request to an endpoint over HTTP, bounded in size and time, with the standard library alone.

The platform process lives long and asks rarely, so it does not load the HTTP client that commands use.
"""

import http.client
import time
from urllib.parse import urlsplit

from fairway.spec.errors import FairwayError, UsageError
from fairway.spec.serving import LONGEST_REPLY, Question, Reply

_SECONDS = 70.0
"""Seconds for an answer. An endpoint itself gives up after 60 by default."""


def ask(address: str, question: Question) -> Reply:
    """Send a request to an address and return the answer. It blocks meanwhile.

    Raises:
        UsageError: the path or the key cannot be part of a request.
        FairwayError: there was no whole answer in time.
    """
    to = urlsplit(address)
    headers = {"content-type": question.kind, "accept-encoding": "identity", "connection": "close"}
    if question.key:
        headers["authorization"] = f"Bearer {question.key}"
    connection = http.client.HTTPConnection(to.hostname or "", to.port or 80, timeout=_SECONDS)
    begun = time.perf_counter()
    try:
        body = question.body if question.method != "GET" else None
        connection.request(question.method, question.path, body, headers)
        answer = connection.getresponse()
        content = answer.read(LONGEST_REPLY + 1)
        seconds = time.perf_counter() - begun
    except (http.client.InvalidURL, ValueError) as error:
        raise UsageError(f"this request cannot be sent: {error}") from None
    except (OSError, http.client.HTTPException) as error:
        raise FairwayError(
            f"{address} gave no answer: {type(error).__name__} {error}".rstrip(),
            hint="`fairway endpoints` says how it is",
        ) from None
    finally:
        connection.close()
    return Reply(
        status=answer.status,
        kind=answer.headers.get("content-type", ""),
        body=content[:LONGEST_REPLY],
        seconds=seconds,
        cut=len(content) > LONGEST_REPLY,
    )
