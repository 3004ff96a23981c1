"""The volumes of the control plane's pod that no setting changes. Pure."""

from fairway.cluster.podspec import (
    ConfigMapSource,
    EmptyDir,
    FieldFile,
    FieldReference,
    FieldSource,
    KeyPath,
    Projected,
    Projection,
    TokenSource,
    Volume,
)
from fairway.spec.install import CONFIG_MAP, FILE


def small() -> tuple[Volume, ...]:
    """Return the volumes beside the store: a place for temporary files, the settings, and the account with its token."""
    return (
        Volume(name="tmp", empty_dir=EmptyDir(size_limit="1Gi")),
        Volume(
            name="install",
            config_map=ConfigMapSource(name=CONFIG_MAP, items=(KeyPath(key=FILE, path=FILE),)),
        ),
        Volume(
            name="account",
            projected=Projected(
                sources=(
                    Projection(service_account_token=TokenSource(path="token", expiration_seconds=3600)),
                    Projection(
                        config_map=ConfigMapSource(
                            name="kube-root-ca.crt", items=(KeyPath(key="ca.crt", path="ca.crt"),)
                        )
                    ),
                    Projection(
                        downward_api=FieldSource(
                            items=(
                                FieldFile(
                                    path="namespace",
                                    field_ref=FieldReference(field_path="metadata.namespace"),
                                ),
                            )
                        )
                    ),
                )
            ),
        ),
    )
