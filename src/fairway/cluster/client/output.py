"""The output of a container, taken from the body of an answer of its node."""

_APOLOGIES = (b"unable to retrieve container logs for ", b"failed to try resolving symlinks in path ")


def printed(body: bytes) -> bytes:
    """Return what a container printed, from the body of an answer.

    A node removes the files of a container that ended, and then answers a question for them with status 200 and one of
    two sentences. That is no output. Kubernetes 1.37 says both within ten seconds of a restart.
    """
    return b"" if body.startswith(_APOLOGIES) else body
