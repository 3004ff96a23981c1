"""A registered model as a file that other programs read."""

from pathlib import Path

from fairway.cli.asking import ask
from fairway.engine import bringing
from fairway.formats import exporting
from fairway.ports.platform import Platform
from fairway.spec.errors import NotFound, UsageError
from fairway.spec.model import ModelVersion


def download(platform: Platform, version: ModelVersion, folder: Path, *, native: bool) -> Path:
    """Write the ONNX form of a version, or with `native` its own form, to a folder. Return the path of the file.

    Raises:
        NotFound: it has no ONNX form.
        UsageError: the path is not free.
    """
    candidate = version.candidate
    artifact = candidate.artifact
    if not native and artifact.format != "onnx":
        if candidate.compiled is None:
            why = f": {candidate.compile_note}" if candidate.compile_note else ""
            raise NotFound(
                f"{version} has no ONNX form{why}", hint="`--native` writes it in the format of its framework"
            )
        artifact = candidate.compiled
    suffix = exporting.usual_suffix(artifact.format)
    target = folder / f"{version.name}-{version.version}{suffix}"
    if target.is_dir() or (folder.exists() and not folder.is_dir()):
        raise UsageError(f"{target} cannot be written", hint="name a folder: `-o DIR`")
    folder.mkdir(parents=True, exist_ok=True)
    with bringing.written(target) as part:
        ask(bringing.bring(platform, artifact, part))
    return target
