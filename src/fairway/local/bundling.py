"""The files of a project on this machine that travel with a run to another one, each by the sha256 of its content.

A bundle has what `.gitignore` and `[tool.fairway] exclude` leave, and in any case the project file and what it imports.
Must not know where a bundle is sent, or what a secret looks like.
"""

import hashlib
import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import PurePath, PurePosixPath, PureWindowsPath

import msgspec

from fairway.local import project_settings, projects
from fairway.local.digests import DigestCache
from fairway.local.ignoring import Rules
from fairway.local.project_listing import listed
from fairway.spec.artifact import FileEntry, Manifest
from fairway.spec.errors import UsageError
from fairway.spec.quantities import format_memory

MOST_BYTES = 50 * 2**20
"""The bytes of all files together beyond which a bundle is refused, because data should not travel with each run."""

MOST_FILES = 20_000
_NAMED = 3
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\]")


class BundledFile(msgspec.Struct, frozen=True):
    """A file of a bundle, and its place on this machine."""

    entry: FileEntry
    place: str


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """The files of a project as they are now.

    Attributes:
        folder: the folder of the project.
        file: the path of the project file in the bundle.
        module: the name under which the project file is imported.
        files: the files, sorted by path.
        manifest: the encoded list of the files.
        digest: the sha256 of the list, which is the name of the bundle.
        wanted: the patterns of `[tool.fairway]` that say what is sent.
    """

    folder: str
    file: str
    module: str
    files: tuple[BundledFile, ...]
    manifest: bytes
    digest: str
    wanted: Rules

    def path_of(self, place: str) -> str:
        """Return the path in the bundle of a file or folder of this machine; empty if the bundle does not hold it."""
        path = os.path.relpath(os.path.realpath(place), os.path.realpath(self.folder)).replace(os.sep, "/")
        path = unicodedata.normalize("NFC", path)
        held = any(one.entry.path == path or one.entry.path.startswith(f"{path}/") for one in self.files)
        return path if held else ""


def collect(file: str, module: str, cache: DigestCache, named: Sequence[str] = ()) -> Bundle:
    """Collect the files of a project.

    Args:
        file: the absolute path of the project file.
        module: the name under which it is imported, if known.
        cache: the digests of files that were read before.
        named: files and folders that the user named, which are sent even if `.gitignore` leaves them out.

    Raises:
        UsageError: the bundle is too large, a link leads out of the project, or a name cannot travel.
    """
    place = projects.locate(file, module)
    folder = project_folder(place)
    settings = project_settings.read(folder)
    excluded = Rules(settings.exclude)
    paths = dict.fromkeys(path for path in listed(folder) if not excluded.leave_out_below(path))
    must = [place.file, *imported(place), *named]
    paths |= dict.fromkeys(
        path for path in _below(folder, must) if path in paths or not excluded.leave_out_below(path)
    )
    found = _measured(folder, list(paths))
    _refuse_large(folder, found)
    files = _described(folder, found, cache)
    own = bundle_path(PurePosixPath(os.path.relpath(place.file, folder)))
    if all(one.entry.path != own for one in files):
        raise UsageError(
            f"{own} itself is left out by exclude of [tool.fairway] in {settings.path}",
            hint=f'take it back in: `"!/{own}"` at the end of `exclude`',
        )
    manifest = msgspec.json.encode(Manifest(files=tuple(one.entry for one in files)))
    return Bundle(
        folder=folder,
        file=own,
        module=place.module,
        files=files,
        manifest=manifest,
        digest=hashlib.sha256(manifest).hexdigest(),
        wanted=excluded,
    )


def project_folder(place: projects.Place) -> str:
    """Return the folder of a project, with all that may be sent.

    Raises:
        UsageError: it is the home folder or the root of the disk, with all that belongs to no project.
    """
    folder = projects.project_folder(place)
    if folder in ("/", os.path.realpath(os.path.expanduser("~"))):
        name = os.path.basename(place.file)
        raise UsageError(
            f"{place.file} lies in {folder} itself, and everything there would be sent with it",
            hint=f"give it a folder of its own: `mkdir {PurePath(name).stem} && mv {name} {PurePath(name).stem}/`",
        )
    return folder


def bundle_path(path: PurePath) -> str:
    """Return a path as it stands in a bundle: relative, with forward slashes, in composed Unicode.

    Raises:
        UsageError: it is absolute, leads upwards, or has characters that cannot travel.
    """
    text = unicodedata.normalize("NFC", path.as_posix())
    if path.drive or path.is_absolute() or ".." in path.parts or PureWindowsPath(text).drive:
        raise UsageError(
            f"{str(path)!r} is not a path within the project", hint="name a file in the project's folder"
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _unfit(text) from None
    if not text or _UNFIT.search(text):
        raise _unfit(text)
    return text


def imported(place: projects.Place) -> list[str]:
    """Return the files of the project that a project file imports, directly or not, as far as its text tells."""
    waiting, found = [place.file], dict[str, None]()
    while waiting and len(found) < MOST_FILES:
        file = waiting.pop()
        for path in projects.imported_files(file, place.roots):
            if path not in found and path != place.file:
                found[path] = None
                waiting.append(path)
    return list(found)


def _below(folder: str, places: Iterable[str]) -> list[str]:
    """Return the paths below a folder of files, and of the files in folders. Places outside are left out."""
    found: list[str] = []
    for place in places:
        path = os.path.relpath(os.path.realpath(place), os.path.realpath(folder))
        if path == os.curdir or path.startswith(os.pardir + os.sep) or path == os.pardir:
            continue
        if os.path.isdir(place):
            found += [f"{path}/{inner}" for inner in listed(place)]
        else:
            found.append(path)
    return found


def _measured(folder: str, paths: list[str]) -> list[tuple[str, os.stat_result]]:
    """Return files with their facts. Files that are gone, and what is no file, are left out. Raises UsageError."""
    found: list[tuple[str, os.stat_result]] = []
    for path in paths:
        place = os.path.join(folder, path)
        try:
            facts = os.lstat(place)
            if stat.S_ISLNK(facts.st_mode):
                if not os.path.exists(place):
                    continue  # a link to nothing
                _refuse_outside(folder, path)
                facts = os.stat(place)
        except OSError:
            continue
        if stat.S_ISREG(facts.st_mode):
            found.append((path, facts))
        elif stat.S_ISDIR(facts.st_mode):
            found += _measured(folder, [f"{path}/{inner}" for inner in listed(place)])
        if len(found) > MOST_FILES:
            raise UsageError(
                f"{folder} has more than {MOST_FILES} files to send",
                hint='leave out what the run does not read: `exclude = ["data/"]` in [tool.fairway] of pyproject.toml',
            )
    return found


def _refuse_outside(folder: str, path: str) -> None:
    """Refuse a link that leads out of the project, or to a folder that contains the link. Raises UsageError."""
    aim = os.path.realpath(os.path.join(folder, path))
    root = os.path.realpath(folder)
    hint = f'leave it out: `exclude = ["/{path}"]` in [tool.fairway] of pyproject.toml'
    if not aim.startswith(f"{root}/"):
        raise UsageError(f"{path} is a link to {aim}, outside the project {folder}", hint=hint)
    if f"{os.path.realpath(os.path.dirname(os.path.join(folder, path)))}/".startswith(f"{aim}/"):
        raise UsageError(f"{path} is a link to the folder that contains it", hint=hint)


def _refuse_large(folder: str, found: list[tuple[str, os.stat_result]]) -> None:
    """Refuse a bundle that is too large, and name what makes it so. Raises UsageError."""
    total = sum(facts.st_size for _, facts in found)
    if total <= MOST_BYTES:
        return
    sizes: dict[str, int] = {}
    for path, facts in found:
        top, slash, _ = path.partition("/")
        sizes[top + slash] = sizes.get(top + slash, 0) + facts.st_size
    largest = sorted(sizes, key=lambda name: -sizes[name])[:_NAMED]
    named = ", ".join(f"{name} {format_memory(sizes[name])}" for name in largest)
    raise UsageError(
        f"{folder} has {format_memory(total)} to send, more than {format_memory(MOST_BYTES)}: {named}",
        hint=f'leave out what the code does not need: `exclude = ["/{largest[0]}"]` in [tool.fairway] of pyproject.toml',
    )


def _described(
    folder: str, found: list[tuple[str, os.stat_result]], cache: DigestCache
) -> tuple[BundledFile, ...]:
    """Describe files by their content. Raises UsageError for a name that cannot travel, and for two that are equal then."""
    described: dict[str, BundledFile] = {}
    for path, _ in found:
        name, place = bundle_path(PurePosixPath(path)), os.path.join(folder, path)
        if name in described:
            raise UsageError(
                f"{folder} has two files named {name}, which differ only in how they are written"
            )
        try:
            digest, facts = cache.digest(place)
        except FileNotFoundError:
            continue
        except PermissionError:
            raise UsageError(
                f"{place} cannot be read by this user",
                hint=f'leave it out: `exclude = ["/{path}"]` in [tool.fairway] of pyproject.toml',
            ) from None
        entry = FileEntry(
            path=name, digest=digest, size=facts.st_size, executable=bool(facts.st_mode & stat.S_IXUSR)
        )
        described[name] = BundledFile(entry, place)
    cache.save()
    return tuple(described[name] for name in sorted(described))


def _unfit(text: str) -> UsageError:
    return UsageError(
        f"the name of {text[:200]!r} has characters that cannot travel to another machine",
        hint="rename the file",
    )
