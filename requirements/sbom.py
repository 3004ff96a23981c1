"""Writes what a lock pins as a bill of materials (CycloneDX 1.6, JSON): `sbom.py LOCK.txt OUT.json`.

Made from the lock alone, so that the same lock always gives the same document.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

_PINNED = re.compile(r"^([a-z0-9][\w.-]*)(?:\[[^\]]*\])?==([^\s;\\]+)\s*(?:;\s*([^\\\n]+?))?\s*\\?$")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def document(lock: Path) -> dict[str, Any]:
    """The bill of materials of a lock."""
    components: dict[str, dict[str, Any]] = {}
    hashes: list[dict[str, str]] = []
    for line in lock.read_text("utf-8").splitlines():
        pinned = _PINNED.match(line)
        if pinned:
            name, version, marker = pinned.groups()
            hashes = []
            purl = f"pkg:pypi/{name}@{version}"
            part: dict[str, Any] = {
                "type": "library",
                "bom-ref": purl,
                "name": name,
                "version": version,
                "purl": purl,
            }
            if marker:
                part["properties"] = [{"name": "marker", "value": marker}]
            part["hashes"] = hashes
            components[purl] = part
        found = _HASH.search(line)
        if found:
            hashes.append({"alg": "SHA-256", "content": found[1]})
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "fairway-ml", "bom-ref": "fairway-ml"}},
        "components": [components[purl] for purl in sorted(components)],
    }


def main() -> None:
    """Write it."""
    lock, out = map(Path, sys.argv[1:3])
    out.write_text(json.dumps(document(lock), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
