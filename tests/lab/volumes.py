"""Provisioner of volumes: gives every claim of the class `standard` a folder of the machine, the same on every node.

`python -m tests.lab.volumes KUBECONFIG FOLDER` runs it. Anybody may write into a volume, as pods run under users of
their own and a folder of the machine does not change its owner for them.
"""

import shutil
import sys
import time
from pathlib import Path
from typing import Any

from .api import Api

PROVISIONER = "lab.fairway.dev/folder"
_CLAIMS = "/api/v1/persistentvolumeclaims"
_VOLUMES = "/api/v1/persistentvolumes"
_WATCH_SECONDS = 300
_PAUSE = 0.5


def serve(api: Api, folder: Path) -> None:
    """Keep volumes and claims in step for ever."""
    while True:
        try:
            reconcile(api, folder)
            for _ in api.watch(_CLAIMS, _WATCH_SECONDS):
                reconcile(api, folder)
        except (OSError, ValueError) as problem:
            sys.stderr.write(f"{problem}\n")
        time.sleep(_PAUSE)


def reconcile(api: Api, folder: Path) -> None:
    """Make the volumes that claims wait for, and remove those whose claim is gone."""
    claims, volumes = api.get(_CLAIMS), api.get(_VOLUMES)
    if claims is None or volumes is None:
        return
    mine = [volume for volume in volumes["items"] if _is_mine(volume)]
    there = {volume["metadata"]["name"] for volume in mine}
    wanted = {claim["metadata"]["uid"] for claim in claims["items"]}
    for claim in claims["items"]:
        if is_waiting(claim) and name_of(claim) not in there:
            place = folder / name_of(claim)
            place.mkdir(parents=True, exist_ok=True)
            place.chmod(0o777)
            api.call("POST", _VOLUMES, volume_for(claim, place))
    for volume in mine:
        if volume["spec"]["claimRef"]["uid"] not in wanted:
            api.call("DELETE", f"{_VOLUMES}/{volume['metadata']['name']}")
            shutil.rmtree(volume["spec"]["hostPath"]["path"], ignore_errors=True)


def is_waiting(claim: dict[str, Any]) -> bool:
    """Tell whether a claim of the class waits for a volume."""
    spec = claim["spec"]
    return (
        spec.get("storageClassName") == "standard"
        and not spec.get("volumeName")
        and claim["status"].get("phase") == "Pending"
        and "deletionTimestamp" not in claim["metadata"]
    )


def name_of(claim: dict[str, Any]) -> str:
    """Return the name of a claim's volume."""
    return f"pvc-{claim['metadata']['uid']}"


def volume_for(claim: dict[str, Any], place: Path) -> dict[str, Any]:
    """Return the volume that is bound to a claim."""
    about, spec = claim["metadata"], claim["spec"]
    bound = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    bound |= {key: about[key] for key in ("namespace", "name", "uid")}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": name_of(claim),
            "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER},
        },
        "spec": {
            "capacity": {"storage": spec["resources"]["requests"]["storage"]},
            "accessModes": spec["accessModes"],
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": "standard",
            "claimRef": bound,
            "hostPath": {"path": str(place), "type": "Directory"},
        },
    }


def _is_mine(volume: dict[str, Any]) -> bool:
    """Tell whether a volume was made here."""
    return volume["metadata"].get("annotations", {}).get("pv.kubernetes.io/provisioned-by") == PROVISIONER


if __name__ == "__main__":
    serve(Api(Path(sys.argv[1])), Path(sys.argv[2]))
