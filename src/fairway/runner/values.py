"""The translation between Python values and the nodes that stand for them, by means of refs, formats and the store."""

import hashlib
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO, cast

import msgspec

from fairway import formats
from fairway.author import code, redaction
from fairway.author.files import File, Folder
from fairway.author.ref import node_of
from fairway.author.session import is_ref
from fairway.formats import codecs
from fairway.formats.encoded import Encoded
from fairway.spec.artifact import INLINE_LIMIT, Artifact, Group, Node, RefData
from fairway.spec.errors import SerializationError

if TYPE_CHECKING:
    from fairway.ports import ArtifactStore


class Values:
    """The values of one process: it stores and loads them.

    Args:
        store: the store of their content.
        verified: digests that need no check, because this run wrote or checked them.
        foreign: True when the values cross to another environment, so that pickles are refused.
        trusted: False when other people than the project's own can have made values, so that reading one runs no code.
    """

    def __init__(
        self,
        store: "ArtifactStore",
        verified: Collection[str] = (),
        *,
        foreign: bool = False,
        trusted: bool = True,
    ) -> None:
        self._store = store
        self._verified = set(verified)
        self._foreign = foreign
        self._trusted = trusted

    def save(self, value: object) -> Artifact:
        """Store a value in the format of its type. Raises SerializationError, StorageError."""
        encoded = codecs.encode(value, allow_pickle=not self._foreign)
        refers = code.names(encoded.refers) if encoded.refers else ()
        if encoded.data is not None:
            stored = self.put(encoded.format, encoded.data, encoded.kind, encoded.note)
            return msgspec.structs.replace(stored, refers=refers) if refers else stored
        files = False
        if encoded.write is not None:
            with self._store.writer() as file:
                encoded.write(cast("BinaryIO", file))
            digest, size = file.digest, file.size
        else:
            digest, size, files = self._save_files(encoded)
        self._verified.add(digest)
        return Artifact(
            format=encoded.format,
            digest=digest,
            size=size,
            kind=encoded.kind,
            note=encoded.note,
            files=files,
            refers=refers,
        )

    def save_by_value(self, model: object, modules: list[ModuleType]) -> Artifact:
        """Store a model as a pickle that contains the code that it needs of these modules. Raises SerializationError."""
        encoded = codecs.encode_by_value(model, modules)
        return self.put(encoded.format, encoded.data or b"", encoded.kind, encoded.note)

    def save_sources(self, folder: Path) -> str:
        """Store the source files that travel with a model, and return the digest of their manifest."""
        for path in folder.rglob("*.py"):
            _refuse_secrets(path.read_bytes(), f"the file {path.relative_to(folder)}, which a model needs,")
        return self._store.put_folder(folder)[0]

    def open(self, artifact: Artifact) -> Path | bytes:
        """Return the content of an artifact as it is stored."""
        return self._store.open(artifact)

    def put(self, form: str, data: bytes, kind: str, note: str = "") -> Artifact:
        """Store content that is encoded already. Small content is kept in the artifact itself."""
        _refuse_secrets(data, f"a value of type {kind or form}")
        small = len(data) <= INLINE_LIMIT
        digest = hashlib.sha256(data).hexdigest() if small else self._store.put_bytes(data)
        self._verified.add(digest)
        inline = data if small else None
        return Artifact(format=form, digest=digest, size=len(data), kind=kind, note=note, inline=inline)

    def _save_files(self, encoded: Encoded) -> tuple[str, int, bool]:
        if encoded.source is not None:
            if encoded.source.is_dir():
                return *self._store.put_folder(encoded.source), True
            return *self._store.put_file(encoded.source), False
        if encoded.folder is None:
            raise SerializationError(f"nothing was encoded for a {encoded.kind}")
        import tempfile

        with tempfile.TemporaryDirectory(prefix="fairway-") as folder:
            encoded.folder(Path(folder))
            return *self._store.put_folder(Path(folder)), True

    def to_node(self, value: object) -> Node:
        """Return a value as a node: a ref stays a ref, a container of refs becomes a group, any other value is stored."""
        if is_ref(value):
            return node_of(value)
        if type(value) in (list, tuple) and _holds_ref(value):
            items = tuple(self.to_node(item) for item in cast("list[object]", value))
            return Group(container="list" if type(value) is list else "tuple", items=items)
        if type(value) is dict and _holds_ref(cast("object", value)):
            pairs = cast("dict[object, object]", value)
            keys = tuple(self.to_node(key) for key in pairs)
            return Group(
                container="dict", items=tuple(self.to_node(item) for item in pairs.values()), keys=keys
            )
        return self.save(value)  # pyright: ignore[reportUnknownArgumentType]

    def from_node(self, node: Node) -> object:
        """Return the value of a node without refs. Raises CorruptArtifact, SerializationError, NotFound."""
        if isinstance(node, Artifact):
            return self.load(node)
        if isinstance(node, RefData):
            raise SerializationError(f"the output of {node.step} is not known here")
        items = [self.from_node(item) for item in node.items]
        if node.container == "dict":
            return dict(zip([self.from_node(key) for key in node.keys], items, strict=True))
        return tuple(items) if node.container == "tuple" else items

    def load(self, artifact: Artifact, *, trusted: bool | None = None) -> object:
        """Return the value of an artifact.

        An artifact that no run of this project made is not trusted: reading it runs no code. The default is that of all values.
        """
        trusted = self._trusted if trusted is None else trusted
        if self._foreign and artifact.format == "pickle":
            raise SerializationError(
                f"a {artifact.kind} is kept as a pickle, which cannot cross to another environment",
                hint="return plain data, an array, a data frame or a file from the task that made it",
            )
        if artifact.code and trusted:
            return formats.load_model(artifact, self._store.open, trusted=True)
        own = artifact.format in ("file", "folder")
        name = artifact.note if own else ""
        content = self._store.open(artifact, verified=artifact.digest in self._verified, name=name)
        value = codecs.decode(artifact.format, content, artifact.kind, allow_pickle=trusted)
        if own:
            return (File if artifact.format == "file" else Folder)(cast("Path", value))
        return value


def _refuse_secrets(data: bytes, what: str) -> None:
    """Refuse content that holds the value of a secret. Raises SerializationError."""
    secret = redaction.live().found(data)
    if secret:
        raise SerializationError(
            f"{what} holds the value of the secret {secret}, which is not stored",
            hint=f'hand over `fw.Secret("{secret.partition(",")[0]}")` and reveal it where it is needed',
        )


def _holds_ref(value: object) -> bool:
    if is_ref(value):
        return True
    if type(value) is dict:
        return any(_holds_ref(item) for item in cast("dict[object, object]", value).values())
    if type(value) in (list, tuple):
        return any(_holds_ref(item) for item in cast("list[object]", value))
    return False
