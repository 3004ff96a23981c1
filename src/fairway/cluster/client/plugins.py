"""The programs that print credentials: started as kubectl starts them, and what they print, read.

Must not know how long a credential is kept, or what it is used for.
"""

import asyncio
import datetime
import os
import shutil
import sys
from typing import Any, NoReturn

import msgspec

from fairway.cluster.client.access import Plugin
from fairway.cluster.client.errors import CredentialsError

_SECONDS = 120.0
"""Seconds that a plugin without a terminal may take. One that asks a person may take longer."""
_MAX_OUTPUT = 1 << 20
_MAX_SAID = 300


class Status(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """The credentials that a plugin printed."""

    token: str = ""
    client_certificate_data: str = ""
    client_key_data: str = ""
    expiration_timestamp: datetime.datetime | None = None

    def __repr__(self) -> str:
        return "Status(…)"


class _Printed(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str = ""
    kind: str = ""
    status: Status | None = None


async def run_plugin(plugin: Plugin, user: str) -> Status:
    """Start a plugin and return the credentials that it prints.

    Args:
        plugin: the program.
        user: the name that the kubeconfig gives to the user, for messages.

    Raises:
        CredentialsError: it is missing, fails, takes too long, or prints something else.
    """
    name = (
        f"the plugin {os.path.basename(plugin.command)!r}, which makes the credentials of the user {user!r},"
    )
    hint = plugin.hint or f"run `{' '.join([plugin.command, *plugin.arguments])}` to see what it says"
    terminal = plugin.mode != "Never" and sys.stdin is not None and sys.stdin.isatty()
    if plugin.mode == "Always" and not terminal:
        _refuse(f"{name} needs a terminal, and there is none here", "sign in from a terminal first")
    command = shutil.which(plugin.command, path=plugin.environment.get("PATH"))
    if command is None:
        _refuse(
            f"{name} is not installed",
            plugin.hint or f"install `{plugin.command}`, or add its folder to PATH",
        )
    code, output, said = await _run(plugin, command, terminal, name)
    if code != 0:
        _refuse(f"{name} failed with code {code}" + (f": {said}" if said else ""), hint)
    try:
        printed = msgspec.json.decode(output, type=_Printed)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # The text of the error has no part of the output, which may hold a token.
        _refuse(f"{name} printed no ExecCredential: {error}", hint)
    status = printed.status
    if printed.kind != "ExecCredential" or printed.api_version != plugin.version:
        _refuse(
            f"{name} printed {printed.kind or 'nothing'} of {printed.api_version or 'no version'} "
            f"and not ExecCredential of {plugin.version}",
            "update the plugin and get the kubeconfig again",
        )
    if status is None or not (status.token or status.client_certificate_data):
        _refuse(f"{name} printed neither a token nor a certificate", hint)
    if bool(status.client_certificate_data) != bool(status.client_key_data):
        _refuse(f"{name} printed a certificate without its key, or a key alone", hint)
    return status


async def _run(plugin: Plugin, command: str, terminal: bool, name: str) -> tuple[int, bytes, str]:
    spec: dict[str, Any] = {"interactive": terminal}
    if plugin.cluster is not None:
        spec["cluster"] = plugin.cluster
    told = {"apiVersion": plugin.version, "kind": "ExecCredential", "spec": spec}
    environment = {**plugin.environment, "KUBERNETES_EXEC_INFO": msgspec.json.encode(told).decode()}
    try:
        process = await asyncio.create_subprocess_exec(
            command,
            *plugin.arguments,
            env=environment,
            stdin=None if terminal else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            # A person at a terminal has to read what the plugin asks.
            stderr=None if terminal else asyncio.subprocess.PIPE,
            limit=_MAX_OUTPUT,
        )
    except OSError as error:
        _refuse(f"{name} cannot be started: {error.strerror}", f"`{command}` is no program of this machine")
    try:
        async with asyncio.timeout(None if terminal else _SECONDS):
            output, errors = await process.communicate()
    except TimeoutError:
        _refuse(f"{name} did not end within {_SECONDS:.0f} s", f"run `{plugin.command}` by hand to see why")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    lines = (errors or b"").decode(errors="replace").strip().splitlines()
    return process.returncode or 0, output, lines[-1][:_MAX_SAID] if lines else ""


def _refuse(message: str, hint: str) -> NoReturn:
    raise CredentialsError(message, hint=hint)
