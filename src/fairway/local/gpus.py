"""The GPUs of this machine, found without a framework."""

import os
from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia/gpus")


def models() -> list[str]:
    """Return the names of the models of the devices that this process may use, each once. Some drivers name none."""
    try:
        folders = sorted(_DRIVER.iterdir())
    except OSError:
        return []
    found = [_field(folders[place], "Model") for place in visible()]
    return [model for model in dict.fromkeys(found) if model and "Unknown" not in model]


def visible() -> dict[int, str]:
    """Return the devices that this process may use: their place on the bus, with their name for `CUDA_VISIBLE_DEVICES`.

    The place is the same in every process of the machine. The result is empty without an NVIDIA driver.
    """
    try:
        folders = sorted(_DRIVER.iterdir())
    except OSError:
        return {}
    names = {place: _uuid(folder) or str(place) for place, folder in enumerate(folders)}
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    if chosen is None:
        return names
    wanted = [word.strip() for word in chosen.split(",")]
    return {
        place: name
        for place, name in names.items()
        if str(place) in wanted or any(len(word) > 4 and name.startswith(word) for word in wanted)
    }


def _uuid(folder: Path) -> str:
    """Return the name that the driver gives a device. Its number depends on the order of a library; the name does not."""
    name = _field(folder, "GPU UUID")
    return name if name.startswith("GPU-") and "?" not in name else ""


def _field(folder: Path, key: str) -> str:
    """Return a value that the driver tells about a device."""
    try:
        lines = (folder / "information").read_text("utf-8").splitlines()
    except OSError:
        return ""
    values = [line.partition(":")[2].strip() for line in lines if line.startswith(key)]
    return values[0] if values else ""
