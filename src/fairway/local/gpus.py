"""The GPUs of this machine, found without loading a framework."""

import os
from pathlib import Path

_DRIVER = Path("/proc/driver/nvidia/gpus")


def visible() -> dict[int, str]:
    """The devices that this process may use: their place on the bus, and their name for `CUDA_VISIBLE_DEVICES`.

    The place is the same for every process of the machine. Empty when there is no NVIDIA driver.
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
    """What the driver calls a device: unlike its number, this does not depend on the order that a library sorts by."""
    try:
        lines = (folder / "information").read_text("utf-8").splitlines()
    except OSError:
        return ""
    values = [line.partition(":")[2].strip() for line in lines if line.startswith("GPU UUID")]
    return values[0] if values and values[0].startswith("GPU-") and "?" not in values[0] else ""
