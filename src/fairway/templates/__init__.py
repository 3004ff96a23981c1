"""Projects to start from, each a complete file that trains, gates, registers and serves on real input."""

from importlib import resources

TEMPLATES = {
    "supervised": ("cancer.py", "scikit-learn pandas pyarrow skops skl2onnx onnxruntime"),
    "unsupervised": ("wines.py", "scikit-learn pandas pyarrow skops skl2onnx onnxruntime"),
    "reinforcement": ("cartpole.py", "numpy gymnasium"),
    "blank": ("project.py", ""),
}
"""The file name of each template, and the packages that it needs beside Fairway."""


def read(template: str) -> str:
    """Return the text of a template."""
    return resources.files(__name__).joinpath(f"{template}.py").read_text("utf-8")
