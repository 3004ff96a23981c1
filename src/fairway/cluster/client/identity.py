"""The answers of an API server about who somebody is and what they may do."""

import msgspec


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """The user that the API server takes a token for.

    Attributes:
        extra: further facts. A token of a pod has the name and the uid of the pod.
    """

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, list[str]] = {}

    def _fact(self, name: str) -> str:
        return next(iter(self.extra.get(f"authentication.kubernetes.io/{name}", ())), "")

    @property
    def pod_name(self) -> str:
        """Name of the pod that the token belongs to. Empty if it belongs to none."""
        return self._fact("pod-name")

    @property
    def pod_uid(self) -> str:
        """Uid of the pod that the token belongs to. Empty if it belongs to none."""
        return self._fact("pod-uid")

    @property
    def account(self) -> tuple[str, str]:
        """Namespace and name of the service account. Both are empty for another user."""
        parts = self.username.split(":")
        return (
            (parts[2], parts[3])
            if parts[:2] == ["system", "serviceaccount"] and len(parts) == 4
            else ("", "")
        )


class Verdict(msgspec.Struct, frozen=True, rename="camel"):
    """The part of a review that the API server fills in."""

    user_info: Identity = Identity()
    token: str = ""
    allowed: bool = False


class Reviewed(msgspec.Struct, frozen=True):
    """A review of a token, of a right, or a request of a token."""

    status: Verdict
