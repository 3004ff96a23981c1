"""The models of GPUs as the labels of nodes name them: NVIDIA's and AMD's discovery, Google, Amazon and Microsoft."""

import re

import msgspec

_MAKERS = re.compile(r"^(?:NVIDIA|TESLA|AMD|INSTINCT)-")


class GpuModel(msgspec.Struct, frozen=True, kw_only=True):
    """The names of a model.

    Attributes:
        product: the values of `nvidia.com/gpu.product`, or of AMD's label for an AMD model.
        google: the values of `cloud.google.com/gke-accelerator`.
        amazon: the names in the labels of Karpenter and of EKS Auto Mode.
        azure: the names in the label of node auto-provisioning.
        machines: the types of machines with this model, on Amazon and on Azure.
        resource: the extended resource.
    """

    product: tuple[str, ...]
    google: tuple[str, ...] = ()
    amazon: tuple[str, ...] = ()
    azure: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    resource: str = "nvidia.com/gpu"


def _sizes(family: str, *sizes: str) -> tuple[str, ...]:
    return tuple(f"{family}.{size}xlarge" for size in sizes)


def _azure(*names: str) -> tuple[str, ...]:
    return tuple(f"Standard_{name}" for name in names)


_A100_40 = GpuModel(
    product=("NVIDIA-A100-SXM4-40GB", "NVIDIA-A100-PCIE-40GB", "A100-SXM4-40GB"),
    google=("nvidia-tesla-a100",),
    machines=(*_sizes("p4d", "24"), *_azure("ND96asr_v4")),
)
_A100_80 = GpuModel(
    product=("NVIDIA-A100-SXM4-80GB", "NVIDIA-A100-80GB-PCIe", "A100-SXM4-80GB"),
    google=("nvidia-a100-80gb",),
    machines=(
        *_sizes("p4de", "24"),
        *_azure("NC24ads_A100_v4", "NC48ads_A100_v4", "NC96ads_A100_v4", "ND96amsr_A100_v4"),
    ),
)
_EIGHT = ("", "2", "4", "8", "12", "16", "24", "48")

_MODELS = {
    "T4": GpuModel(
        product=("Tesla-T4",),
        google=("nvidia-tesla-t4",),
        amazon=("t4",),
        azure=("T4",),
        machines=(
            *_sizes("g4dn", "", "2", "4", "8", "12", "16"),
            "g4dn.metal",
            *_azure("NC4as_T4_v3", "NC8as_T4_v3", "NC16as_T4_v3", "NC64as_T4_v3"),
        ),
    ),
    "T4G": GpuModel(
        product=("NVIDIA-T4G",), amazon=("t4g",), machines=_sizes("g5g", "", "2", "4", "8", "16")
    ),
    "P4": GpuModel(product=("Tesla-P4",), google=("nvidia-tesla-p4",)),
    "P100": GpuModel(product=("Tesla-P100-PCIE-16GB", "Tesla-P100-SXM2-16GB"), google=("nvidia-tesla-p100",)),
    "K80": GpuModel(product=("Tesla-K80",), amazon=("k80",), machines=_sizes("p2", "", "8", "16")),
    "V100": GpuModel(
        product=(
            "Tesla-V100-SXM2-16GB",
            "Tesla-V100-SXM2-32GB",
            "Tesla-V100-PCIE-16GB",
            "Tesla-V100-PCIE-32GB",
        ),
        google=("nvidia-tesla-v100",),
        amazon=("v100",),
        azure=("V100",),
        machines=(
            *_sizes("p3", "2", "8", "16"),
            *_sizes("p3dn", "24"),
            *_azure("NC6s_v3", "NC12s_v3", "NC24s_v3", "NC24rs_v3", "ND40rs_v2"),
        ),
    ),
    "A10": GpuModel(
        product=("NVIDIA-A10",),
        azure=("A10",),
        machines=_azure("NV36ads_A10_v5", "NV36adms_A10_v5", "NV72ads_A10_v5"),
    ),
    "A10G": GpuModel(product=("NVIDIA-A10G",), amazon=("a10g",), machines=_sizes("g5", *_EIGHT)),
    "A30": GpuModel(product=("NVIDIA-A30",)),
    "A40": GpuModel(product=("NVIDIA-A40",)),
    "L4": GpuModel(
        product=("NVIDIA-L4",),
        google=("nvidia-l4",),
        amazon=("l4",),
        machines=(*_sizes("g6", *_EIGHT), *_sizes("gr6", "4", "8")),
    ),
    "L40": GpuModel(product=("NVIDIA-L40",)),
    "L40S": GpuModel(product=("NVIDIA-L40S",), amazon=("l40s",), machines=_sizes("g6e", *_EIGHT)),
    "A100": GpuModel(
        product=_A100_40.product + _A100_80.product,
        google=_A100_40.google + _A100_80.google,
        amazon=("a100",),
        azure=("A100",),
        machines=_A100_40.machines + _A100_80.machines,
    ),
    "A100-40GB": _A100_40,
    "A100-80GB": _A100_80,
    "H100": GpuModel(
        product=("NVIDIA-H100-80GB-HBM3", "NVIDIA-H100-PCIe", "NVIDIA-H100-NVL"),
        google=("nvidia-h100-80gb", "nvidia-h100-mega-80gb"),
        amazon=("h100",),
        azure=("H100",),
        machines=(
            *_sizes("p5", "4", "48"),
            *_azure("NC40ads_H100_v5", "NC80adis_H100_v5", "ND96isr_H100_v5"),
        ),
    ),
    "H200": GpuModel(
        product=("NVIDIA-H200", "NVIDIA-H200-NVL"),
        google=("nvidia-h200-141gb",),
        amazon=("h200",),
        azure=("H200",),
        machines=(*_sizes("p5e", "48"), *_sizes("p5en", "48"), *_azure("ND96isr_H200_v5")),
    ),
    "B200": GpuModel(
        product=("NVIDIA-B200",),
        google=("nvidia-b200",),
        amazon=("b200",),
        machines=_sizes("p6-b200", "48"),
    ),
    "GB200": GpuModel(product=("NVIDIA-GB200",), google=("nvidia-gb200",)),
    "RTX-PRO-6000": GpuModel(
        product=(
            "NVIDIA-RTX-PRO-6000-Blackwell-Server-Edition",
            "NVIDIA-RTX-PRO-6000-Blackwell-Workstation-Edition",
        ),
        google=("nvidia-rtx-pro-6000",),
    ),
    "MI300X": GpuModel(
        product=("AMD_Instinct_MI300X_OAM",),
        machines=_azure("ND96isr_MI300X_v5"),
        resource="amd.com/gpu",
    ),
}
_ALIASES = {
    "H100-80GB": "H100",
    "V100S": "V100",
    "H200-141GB": "H200",
    "A100-40G": "A100-40GB",
    "A100-80G": "A100-80GB",
}


def model_of(word: str) -> GpuModel:
    """Return the names of a model that a person named. One that is not known here gets names by the rules of each label."""
    plain = _MAKERS.sub("", "-".join(word.upper().split()).replace("_", "-"))
    known = _MODELS.get(_ALIASES.get(plain, plain))
    if known is not None:
        return known
    dashed = "-".join(word.split())
    low = _MAKERS.sub("", dashed.upper()).lower()
    if re.match(r"MI\d", plain):
        names = (dashed, f"AMD_Instinct_{plain}", f"AMD_Instinct_{plain}_OAM")
        return GpuModel(product=names, resource="amd.com/gpu")
    return GpuModel(
        product=tuple(dict.fromkeys((dashed, f"NVIDIA-{dashed}", f"NVIDIA-GeForce-{dashed}"))),
        google=(f"nvidia-{low}",),
        amazon=(low,),
        azure=(plain,),
    )


def told_by(labels: dict[str, str]) -> str:
    """Return the model that the labels of a node tell, as they write it. It is empty if they tell none."""
    return next((labels[key] for key in MODEL_LABELS if labels.get(key)), "")


PRODUCT = "nvidia.com/gpu.product"
AMD_PRODUCT = "amd.com/gpu.product-name"
GOOGLE = "cloud.google.com/gke-accelerator"
KARPENTER = "karpenter.k8s.aws/instance-gpu-name"
AUTO_MODE = "eks.amazonaws.com/instance-gpu-name"
AZURE = "karpenter.azure.com/sku-gpu-name"
MACHINE = "node.kubernetes.io/instance-type"

MODEL_LABELS = (PRODUCT, AMD_PRODUCT, GOOGLE, KARPENTER, AUTO_MODE, AZURE)
"""The labels that tell the model of a node's GPUs."""
