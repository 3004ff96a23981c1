"""Signatures by people over a content, made and checked by `ssh-keygen` with the keys that they have for SSH.

Fairway reads no key: it names the file of a key to `ssh-keygen`, which asks for a passphrase by itself or uses the agent.
"""

import os
import subprocess
import tempfile
from pathlib import Path

from fairway.spec.errors import FairwayError, NotAllowed, UsageError
from fairway.spec.text import one_line, shortened

_PROGRAM = "ssh-keygen"
_CHECK_SECONDS = 30.0
_MOST_SIGNERS = 20
_LONGEST = 300
_LINE = "`ana@example.org ssh-ed25519 AAAA…`"
"""A line of a file of allowed signers, for people who have never seen one: the file of a public key lacks the name."""


def sign(content: bytes, key: Path, namespace: str) -> bytes:
    """Return the signature over a content. The person may be asked for a passphrase. Raises FairwayError.

    Args:
        key: the file of a private key, or of a public one whose private part is in the agent.
        namespace: the purpose of the signature. It counts for no other one.
    """
    if not key.is_file():
        raise UsageError(
            f"there is no key {key}", hint="name the file of an SSH key, such as `~/.ssh/id_ed25519`"
        )
    done = _run(["-Y", "sign", "-q", "-n", namespace, "-f", str(key)], content)
    if done.returncode or not done.stdout:
        raise FairwayError(
            f"{_PROGRAM} did not sign with {key}",
            hint=f"try the key by itself: `{_PROGRAM} -Y sign -n {namespace} -f {key} FILE`",
        )
    return done.stdout


def signer(content: bytes, signature: bytes, allowed: Path, namespace: str) -> str:
    """Return the name of the allowed signer who signed a content. Raises NotAllowed if there is none, UsageError.

    Args:
        allowed: the file that lists signers and their public keys, as `man ssh-keygen` describes it.
    """
    if not allowed.is_file():
        raise UsageError(
            f"there is no file {allowed} of allowed signers",
            hint=f"a line of it is {_LINE}, with her public key",
        )
    with tempfile.TemporaryDirectory(prefix="fairway-signature-") as folder:
        kept = os.path.join(folder, "signature")
        with open(kept, "wb") as file:
            file.write(signature)
        found = _run(["-Y", "find-principals", "-s", kept, "-f", str(allowed)], b"", _CHECK_SECONDS)
        names = found.stdout.decode("utf-8", "replace").splitlines()[:_MOST_SIGNERS]
        done = found
        for name in names:
            how = ["-Y", "verify", "-n", namespace, "-s", kept, "-f", str(allowed), "-I", name]
            done = _run(how, content, _CHECK_SECONDS)
            if done.returncode == 0:
                return one_line(name)
    if not names:
        raise NotAllowed(
            f"none of the signers in {allowed} signed it",
            hint=f"if you trust the signer, add a line with name and public key to {allowed}, such as {_LINE}",
        )
    raise NotAllowed(
        f"the signature does not hold: {_reason(done)}", hint="ask for the package again, and by another way"
    )


def _run(
    words: list[str], content: bytes, seconds: float | None = None
) -> "subprocess.CompletedProcess[bytes]":
    # Somebody who signs sees the terminal's own words: the question for a passphrase, or the request to touch a key.
    errors = None if seconds is None else subprocess.PIPE
    try:
        return subprocess.run(
            [_PROGRAM, *words],
            input=content,
            stdout=subprocess.PIPE,
            stderr=errors,
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise FairwayError(
            f"signatures need {_PROGRAM}, and this machine does not have it",
            hint="it comes with OpenSSH: `apt install openssh-client`, or `dnf install openssh`",
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FairwayError(f"{_PROGRAM} could not be run: {type(error).__name__}") from None


def _reason(done: "subprocess.CompletedProcess[bytes]") -> str:
    """Return the last line that the program printed."""
    lines = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
    return shortened(one_line(lines[-1].strip()), _LONGEST) if lines else f"status {done.returncode}"
