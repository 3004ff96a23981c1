"""Container images without Docker: OCI archives made with the standard library, and their push to a registry."""

import gzip
import hashlib
import io
import json
import platform
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from .places import cache
from .programs import PROGRAMS, SUITE, Image

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TRIMMED = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "var/log",
)
_PIECE = 1 << 20


def make(image: Image, archive: Path) -> None:
    """Write the OCI archive of one of the lab's images."""
    with tempfile.TemporaryDirectory(dir=archive.parent, prefix=".") as place:
        root = Path(place) / "root"
        root.mkdir(mode=0o755)
        _FILL.get(image.name, _fill_program)(image, root)
        entry = {"python": {"Cmd": ["python3"]}}.get(image.name, {"Entrypoint": [f"/{image.name}"]})
        user = {"User": "65535:65535"} if image.name == "pause" else {}
        write_archive(archive, image.reference, root, {"Env": [_PATH], "WorkingDir": "/", **entry, **user})


def _fill_program(image: Image, root: Path) -> None:
    """Put a built program into an image that holds nothing else."""
    program = next(program for program in PROGRAMS if program.name == image.program)
    shutil.copy(cache() / "programs" / program.key, root / image.name)
    (root / image.name).chmod(0o755)


def _fill_pause(image: Image, root: Path) -> None:
    """Compile the program that holds a pod's namespaces, out of the Kubernetes module."""
    told = subprocess.run(["go", "env", "GOMODCACHE"], capture_output=True, text=True, check=True)
    kubernetes = next(program for program in PROGRAMS if program.name == "kubernetes")
    module = Path(told.stdout.strip()) / f"{kubernetes.module}@v{kubernetes.version}"
    source = module / "build/pause/linux/pause.c"
    subprocess.run(
        ["gcc", "-Os", "-static", "-s", f"-DVERSION=lab-{image.tag}", "-o", str(root / "pause"), str(source)],
        check=True,
    )


def _fill_python(image: Image, root: Path) -> None:
    """Install a small Debian with Python."""
    log = cache() / "build-logs" / "python-image.log"
    with log.open("wb") as output:
        packages = f"--include={','.join(image.packages)}"
        command = ["debootstrap", "--variant=minbase", packages, SUITE, str(root)]
        if subprocess.run(command, stdout=output, stderr=output, check=False).returncode:
            raise RuntimeError(f"debootstrap failed; see {log}")
    for trimmed in _TRIMMED:
        shutil.rmtree(root / trimmed, ignore_errors=True)
        (root / trimmed).mkdir(parents=True, exist_ok=True)
    # The machine's own names for itself and its DNS server are no part of an image.
    for own in ("etc/hostname", "etc/resolv.conf"):
        (root / own).unlink(missing_ok=True)


_FILL: dict[str, Callable[[Image, Path], None]] = {"pause": _fill_pause, "python": _fill_python}


def write_archive(archive: Path, reference: str, root: Path, settings: dict[str, Any]) -> None:
    """Write an OCI archive of one layer that holds the files of a folder. Equal files make equal archives."""
    plain, layer = archive.with_name(f"{archive.name}.layer"), archive.with_name(f"{archive.name}.layer.gz")
    try:
        with tarfile.open(plain, "w", format=tarfile.PAX_FORMAT) as tar:
            for name in sorted(path.name for path in root.iterdir()):
                tar.add(root / name, arcname=name, filter=_without_time)
        with (
            plain.open("rb") as source,
            layer.open("wb") as target,
            gzip.GzipFile("", "wb", 1, target, mtime=0) as squeezed,
        ):
            shutil.copyfileobj(source, squeezed, _PIECE)
        config = json.dumps(
            {
                "created": "1970-01-01T00:00:00Z",
                "architecture": ARCHITECTURES[platform.machine()],
                "os": "linux",
                "config": settings,
                "rootfs": {"type": "layers", "diff_ids": [_file_digest(plain)]},
            }
        ).encode()
        layers = [{"mediaType": _LAYER, "digest": _file_digest(layer), "size": layer.stat().st_size}]
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": _MANIFEST,
                "config": _described(_CONFIG, config),
                "layers": layers,
            }
        ).encode()
        named = {
            "org.opencontainers.image.ref.name": reference.rsplit(":", 1)[1],
            "io.containerd.image.name": reference,
        }
        index = {"schemaVersion": 2, "manifests": [{**_described(_MANIFEST, manifest), "annotations": named}]}
        with tarfile.open(archive, "w") as tar:
            _add(tar, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            _add(tar, "index.json", json.dumps(index).encode())
            _add(tar, _blob_path(_digest(config)), config)
            _add(tar, _blob_path(_digest(manifest)), manifest)
            tar.add(layer, arcname=_blob_path(layers[0]["digest"]), filter=_without_time)
    finally:
        plain.unlink(missing_ok=True)
        layer.unlink(missing_ok=True)


def push(archive: Path, registry: str, repository: str, tag: str) -> str:
    """Send an OCI archive of one image to a registry that speaks plain HTTP, and return the manifest's digest."""
    base = f"http://{registry}/v2/{repository}"
    with tarfile.open(archive) as tar:

        def read(path: str) -> IO[bytes]:
            """Return a file of the archive."""
            found = tar.extractfile(path)
            assert found is not None
            return found

        digest = json.load(read("index.json"))["manifests"][0]["digest"]
        manifest = read(_blob_path(digest)).read()
        parts = json.loads(manifest)
        for part in (parts["config"], *parts["layers"]):
            _upload(base, part["digest"], part["size"], read(_blob_path(part["digest"])))
    _send("PUT", f"{base}/manifests/{tag}", manifest, {"Content-Type": _MANIFEST})
    return str(digest)


_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Opens addresses of the lab, which no proxy of the machine leads to."""


def _upload(base: str, digest: str, size: int, content: IO[bytes]) -> None:
    """Send one blob to a registry in a single piece."""
    begun = _send("POST", f"{base}/blobs/uploads/", b"", {})
    place = begun["Location"]
    joint = "&" if "?" in place else "?"
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    _send("PUT", f"{place}{joint}digest={digest}", content, headers)


def _send(method: str, url: str, body: bytes | IO[bytes], headers: dict[str, str]) -> dict[str, str]:
    """Send a request and return the headers of its answer."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    with _DIRECT.open(request, timeout=60) as answer:
        return dict(answer.headers)


def _described(kind: str, content: bytes) -> dict[str, Any]:
    """Return the descriptor of a blob."""
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    """Return the digest of bytes, as images name their blobs."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _file_digest(path: Path) -> str:
    """Return the digest of a file, as images name their blobs."""
    with path.open("rb") as content:
        return f"sha256:{hashlib.file_digest(content, 'sha256').hexdigest()}"


def _blob_path(digest: str) -> str:
    """Return the place of a blob in an archive."""
    return f"blobs/{digest.replace(':', '/')}"


def _without_time(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Give a file of an image the time zero, so that equal files make equal images."""
    member.mtime = 0
    return member


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add bytes to an archive as a file."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
