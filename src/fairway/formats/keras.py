"""Keras models in the `.keras` format, whatever backend computes them.

Such a file can name code to run, and Keras' own safe mode has been bypassed more than once: it counts as
code and is read only where the caller trusts its origin. Knows nothing of the backends.
"""

import os
from pathlib import Path
from typing import Any, BinaryIO

from fairway.formats.encoded import Content, Encoded, kind_of
from fairway.formats.frameworks import load

_FILE = "model.keras"


def encode(value: Any) -> Encoded | None:
    """A Keras model; None for anything else."""
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
    """The classes of a model and of its layers, each once."""
    layers: list[object] = [model, *model._flatten_layers()]
    return tuple({type(layer) for layer in layers})


def decode(content: Content, kind: str = "") -> object:
    """The model, in Keras' safe mode all the same."""
    import tempfile

    keras = load("keras")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _FILE
        if isinstance(content, Path):
            os.symlink(content.resolve(), path)
        else:
            path.write_bytes(content)
        return keras.saving.load_model(path, safe_mode=True)
