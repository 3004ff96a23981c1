"""Files of a project that hold what looks like a secret, found before they are sent to another machine.

A refusal stops a person's work, so files of source code are judged more mildly than files of settings: there, a name
such as `token` often stands for no secret. This module reads no file.
"""

from fairway.author import redaction, secret_shapes

_LOOKED_AT = 2**18
"""The number of bytes of a file that are looked at."""

_SETTINGS = (".cfg", ".conf", ".env", ".ini", ".json", ".properties", ".tfvars", ".toml", ".yaml", ".yml")
_KEYS = ("id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", ".netrc", ".pgpass", ".pypirc", ".git-credentials")
_EXAMPLES = (".example", ".sample", ".template", ".dist")
_LEAST = 16
"""The length from which a value with letters and digits in source code counts."""


def suspicion(path: str, content: bytes) -> str:
    """Return what is suspicious in a file, as the end of a sentence such as "it holds …"; empty for an innocent file.

    Args:
        path: the path of the file, which tells its kind.
        content: its content. Only the beginning is searched for secrets by their look.
    """
    name = path.rpartition("/")[2].lower()
    if name in _KEYS:
        return "its name is that of a file with credentials"
    known = redaction.live().found(content)
    if known:
        return f"it holds the value of the secret {known}"
    start = content[:_LOOKED_AT]
    if b"\0" in start:
        return ""
    found = [start[begin:end] for begin, end in secret_shapes.spans(start)]
    if not (name.endswith(_SETTINGS) or name.startswith(".env")) or name.endswith(_EXAMPLES):
        found = [text for text in found if _is_drawn(text)]
    return "it holds what looks like a password or token" if found else ""


def _is_drawn(text: bytes) -> bool:
    """Tell whether a text looks drawn at random: long, with letters and digits."""
    return len(text) >= _LEAST and any(48 <= code <= 57 for code in text) and any(code >= 65 for code in text)
