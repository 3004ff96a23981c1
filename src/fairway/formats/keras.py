"""Keras models in the `.keras` format, for every backend.

Such a file can name code to run, and the safe mode of Keras has been bypassed more than once. The format therefore
counts as code and is read only when the caller trusts its origin. This module does not know the backends.
"""

import os
from pathlib import Path
from typing import Any, BinaryIO

from fairway.formats.encoded import Content, Encoded, kind_of
from fairway.formats.frameworks import load

_FILE = "model.keras"


def encode(value: Any) -> Encoded | None:
    """Encode a Keras model. Other values give None."""
    keras = load("keras")

    if not isinstance(value, keras.Model):
        return None

    def write(stream: BinaryIO) -> None:
        import shutil
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / _FILE
            value.save(path)
            with open(path, "rb") as source:
                shutil.copyfileobj(source, stream, 2**20)

    return Encoded(
        format="keras",
        kind=kind_of(value),
        note=f"{value.count_params()} parameters",
        write=write,
        refers=_classes_of(value),
    )


def _classes_of(model: Any) -> tuple[type, ...]:
    """Return the classes of a model and of its layers, each once."""
    layers: list[object] = [model, *model._flatten_layers()]
    return tuple({type(layer) for layer in layers})


def decode(content: Content, kind: str = "") -> object:
    """Return the model, read in the safe mode of Keras even though the caller trusts it."""
    import tempfile

    keras = load("keras")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _FILE
        # Keras reads only files whose name ends with .keras, and stored content has no such name.
        if isinstance(content, Path):
            os.symlink(content.resolve(), path)
        else:
            path.write_bytes(content)
        return keras.saving.load_model(path, safe_mode=True)
