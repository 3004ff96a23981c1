"""The logins of the user, read where Docker and Podman keep them: `config.json` and the programs that it names.

No file is written, and no secret is put into an error or a text.
"""

import asyncio
import base64
import binascii
import contextlib
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from fairway.cluster.images.names import DOCKER_HUB
from fairway.spec.errors import FairwayError, UsageError
from fairway.spec.text import one_line, shortened

_HUB_KEY = "https://index.docker.io/v1/"
"""The address under which Docker keeps the login of Docker Hub."""

_HELPER_SECONDS = 60.0
_MOST = 64 * 1024
_PROGRAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NOT_FOUND = (
    "credentials not found",
    "no credentials",
    "not be found in the keychain",
    "not found in native",
)
_TOKEN_USER = "<token>"
"""The user name that stands for an identity token."""


class Login(msgspec.Struct, frozen=True):
    """A login at a registry. Its text shows no secret.

    Attributes:
        user: the name of the user.
        secret: the password, or the identity token if `is_token`.
        is_token: True if the secret is exchanged for a token, as cloud providers do.
        found: where the login was found, for messages.
    """

    user: str = ""
    secret: str = ""
    is_token: bool = False
    found: str = ""

    def __bool__(self) -> bool:
        return bool(self.secret)

    def __repr__(self) -> str:
        return f"Login(user={self.user!r}, found={self.found!r})"

    def basic(self) -> str:
        """Return the value of `Authorization` for basic authentication."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.secret}".encode()).decode()


class _Entry(msgspec.Struct, rename={"identity_token": "identitytoken", "registry_token": "registrytoken"}):
    """A login in `config.json`."""

    auth: str = ""
    username: str = ""
    password: str = ""
    identity_token: str = ""
    registry_token: str = ""


class _Config(msgspec.Struct, rename="camel"):
    """The part of `config.json` that is about logins."""

    auths: dict[str, _Entry | None] | None = None
    cred_helpers: dict[str, str] | None = None
    creds_store: str | None = None


class _Answer(msgspec.Struct, rename="pascal"):
    """The answer of a credential helper."""

    username: str = ""
    secret: str = ""


async def find_login(host: str, path: str, environment: Mapping[str, str], home: Path) -> Login:
    """Return the user's login at a registry; an empty one if there is none.

    Args:
        host: the host of the registry, as in names of images.
        path: the repository. Podman may keep a login for a part of a registry.
        environment: variables; `DOCKER_CONFIG` and `REGISTRY_AUTH_FILE` name other places of the file.
        home: the home folder of the user.

    Raises:
        UsageError: a file cannot be read or understood.
        FairwayError: a credential helper is not installed, failed or did not answer.
    """
    for file in _files(environment, home):
        config = _read(file)
        if config is None:
            continue
        login = await _from_helper(config, host, environment, file) or _from_file(config, host, path, file)
        if login:
            return login
    return Login()


def _files(environment: Mapping[str, str], home: Path) -> list[Path]:
    """Return the files that may hold logins. The first login wins."""
    files = [Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json"]
    if environment.get("REGISTRY_AUTH_FILE"):
        files.append(Path(environment["REGISTRY_AUTH_FILE"]))
    if environment.get("XDG_RUNTIME_DIR"):
        files.append(Path(environment["XDG_RUNTIME_DIR"]) / "containers" / "auth.json")
    files.append(Path(environment.get("XDG_CONFIG_HOME") or home / ".config") / "containers" / "auth.json")
    return files


def _read(file: Path) -> _Config | None:
    try:
        content = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UsageError(
            f"cannot read the logins of registries in {file}: {error.strerror}",
            hint="`export DOCKER_CONFIG=FOLDER` names another folder",
        ) from None
    if not content.strip():
        return None
    try:
        return msgspec.json.decode(content, type=_Config)
    except (msgspec.DecodeError, UnicodeDecodeError):
        # The error of the decoder is left out, because it may quote a secret.
        raise UsageError(
            f"{file} is not a configuration of Docker", hint="`docker login` writes a new one"
        ) from None


async def _from_helper(config: _Config, host: str, environment: Mapping[str, str], file: Path) -> Login:
    asked = _HUB_KEY if host == DOCKER_HUB else host
    helpers = config.cred_helpers or {}
    for named in (asked, host):
        if named in helpers:
            return await _ask_helper(helpers[named], asked, environment, file)
    if config.creds_store:
        return await _ask_helper(config.creds_store, asked, environment, file)
    return Login()


async def _ask_helper(name: str, asked: str, environment: Mapping[str, str], file: Path) -> Login:
    """Run a credential helper and return the login that it knows; an empty one if it knows none."""
    if not _PROGRAM.fullmatch(name):
        raise UsageError(f"{file} names the credential helper {shortened(name, 60)!r}, which is not a name")
    program = f"docker-credential-{name}"
    code, output = await _output_of([program, "get"], asked, environment, file)
    if code:
        text = one_line(output.decode(errors="replace").strip())
        if any(words in text.lower() for words in _NOT_FOUND):
            return Login()
        raise FairwayError(
            f"{program}, which {file} names for {asked}, failed with exit {code}: {shortened(text, 200)}",
            hint=f"`echo {asked} | {program} get` shows what is wrong",
        )
    try:
        answer = msgspec.json.decode(output, type=_Answer)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise FairwayError(
            f"{program}, which {file} names for {asked}, did not answer with a login",
            hint="look for a newer version of it",
        ) from None
    return Login(answer.username, answer.secret, answer.username == _TOKEN_USER, program)


async def _output_of(
    command: list[str], given: str, environment: Mapping[str, str], file: Path
) -> tuple[int, bytes]:
    """Return exit code and output of a credential helper, within bounds of time and size."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_MOST,
            env=dict(environment),
        )
    except OSError as error:
        raise FairwayError(
            f"{command[0]}, which {file} names, cannot be started: {error.strerror}",
            hint=f"install {command[0]}, or take its name out of {file}",
        ) from None
    try:
        async with asyncio.timeout(_HELPER_SECONDS):
            return await _talk(process, given)
    except TimeoutError:
        raise FairwayError(
            f"{command[0]}, which {file} names, did not answer within {_HELPER_SECONDS:.0f} seconds",
            hint=f"`{command[0]} list` shows whether it waits for you",
        ) from None
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _talk(process: asyncio.subprocess.Process, given: str) -> tuple[int, bytes]:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(given.encode())
        await process.stdin.drain()
    process.stdin.close()
    output = b""
    while len(output) <= _MOST and (more := await process.stdout.read(_MOST)):
        output += more
    if len(output) > _MOST:
        process.kill()
    return await process.wait(), output


def _from_file(config: _Config, host: str, path: str, file: Path) -> Login:
    """Return the login in a file. The entry for the longest part of the name wins."""
    wanted = f"{host}/{path}" if path else host
    best = ""
    chosen: _Entry | None = None
    for key, entry in (config.auths or {}).items():
        named = _plain_key(key)
        fits = wanted == named or wanted.startswith(f"{named}/")
        if fits and entry is not None and len(named) > len(best) and _has_login(entry):
            best, chosen = named, entry
    if chosen is None:
        return Login()
    if chosen.identity_token:
        return Login(_TOKEN_USER, chosen.identity_token, True, str(file))
    if not chosen.auth:
        return Login(chosen.username, chosen.password, chosen.username == _TOKEN_USER, str(file))
    try:
        user, colon, secret = base64.b64decode(chosen.auth).decode().partition(":")
    except (binascii.Error, ValueError):
        colon = user = secret = ""
    if not colon:
        raise UsageError(
            f"the login for {host} in {file} is damaged", hint=f"`docker login {host}` writes it again"
        )
    return Login(user, secret.rstrip("\0"), user == _TOKEN_USER, str(file))


def _has_login(entry: _Entry) -> bool:
    return bool(entry.auth or entry.identity_token or (entry.username and entry.password))


def _plain_key(key: str) -> str:
    """Return the host, and the path if there is one, that a key of `auths` means."""
    bare = re.sub(r"^https?://", "", key).rstrip("/")
    bare = re.sub(r"/v[12]$", "", bare)
    host, slash, path = bare.partition("/")
    if host in ("index.docker.io", "registry-1.docker.io", "docker.io"):
        host = DOCKER_HUB
    return f"{host}{slash}{path}"
