"""A request to an endpoint as a command and as Python, for copying."""

import shlex

import msgspec


def as_curl(url: str, body: object, *, private: bool) -> str:
    """Return the request as a command for a shell. A key is a variable there, because it is a secret."""
    parts = ["curl", shlex.quote(url), "-H 'content-type: application/json'"]
    if private:
        parts.append('-H "Authorization: Bearer $KEY"')
    parts.append(f"--data-raw {shlex.quote(msgspec.json.encode(body).decode())}")
    return " \\\n  ".join((" ".join(parts[:2]), *parts[2:]))


def curl_with_files(url: str, fields: list[str], *, private: bool) -> str:
    """Return a request with files as a command for a shell. FILE stands for the path of each file or the text of a field."""
    parts = [f"curl {shlex.quote(url)}"]
    if private:
        parts.append('-H "Authorization: Bearer $KEY"')
    parts += [f"-F {shlex.quote(f'{name}=@FILE')}" for name in fields]
    return " \\\n  ".join(parts)


def as_python(url: str, body: object, *, private: bool) -> str:
    """Return the request as a program that needs the standard library alone."""
    headers = '{"content-type": "application/json"}'
    if private:
        headers = '{"content-type": "application/json", "authorization": f"Bearer {os.environ[\'KEY\']}"}'
    return "\n".join(
        [
            "import json, os, urllib.request" if private else "import json, urllib.request",
            "",
            f"body = {body!r}",
            f"headers = {headers}",
            f"request = urllib.request.Request({url!r}, json.dumps(body).encode(), headers)",
            "print(json.load(urllib.request.urlopen(request)))",
        ]
    )
