"""Hostile model files, each of which makes a marker file if anything in it is run."""

import base64
import gzip
import io
import json
import marshal
import pickle
import stat
import struct
import subprocess
import time
import timeit
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np


class Calls:
    """Pickles as a call of any function."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.made = (function, arguments)

    def __reduce__(self) -> Any:
        return self.made


def _text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _call(module: str, name: str, *arguments: bytes, how: str = "global") -> bytes:
    """Opcodes that find a function and call it."""
    found = f"c{module}\n{name}\n".encode() if how == "global" else _text(module) + _text(name) + b"\x93"
    return found + b"(" + b"".join(arguments) + b"tR"


def pickles(marker: Path) -> dict[str, bytes]:
    """27 pickles by name."""
    path = str(marker)
    code = f"open({path!r}, 'w').close()"
    line, shell = _text(code), _text(f"touch {path}")
    opened = _text(path) + _text("w")
    run = _call("builtins", "exec", line)
    made = {
        "system": _call("os", "system", shell) + b".",
        "posix": _call("posix", "system", shell) + b".",
        "exec": run + b".",
        "eval": _call("builtins", "eval", line) + b".",
        "open": _call("builtins", "open", opened) + b".",
        "io.open": _call("io", "open", opened) + b".",
        "stack global": b"\x80\x04" + _call("builtins", "exec", line, how="stack") + b".",
        "protocol 0": f"cbuiltins\nexec\n(V{code}\ntR.".encode(),
        "INST": b"(" + line + b"ibuiltins\nexec\n.",
        "OBJ": b"(cbuiltins\nexec\n" + line + b"o.",
        "NEWOBJ": b"\x80\x02cfunctools\npartial\n(cbuiltins\nexec\n" + line + b"t\x81)R.",
        "NEWOBJ_EX": b"\x80\x04" + _text("functools") + _text("partial") + b"\x93(cbuiltins\nexec\n" + line
        + b"t}\x92)R.",
        "memo": b"cbuiltins\nexec\np0\n0g0\n(" + line + b"tR.",
        "frame": b"\x80\x04\x95" + struct.pack("<Q", len(run) + 1) + run + b".",
        "cut off after the call": run,
        "rubbish after the call": run + b"\xff\xfe\xfd",
        "subprocess": pickle.dumps(Calls(subprocess.call, ["touch", path])),
        "run code": pickle.dumps(Calls(timeit.timeit, code, "pass", time.perf_counter, 1)),
        "import and get": _call("operator", "call", _call("operator", "attrgetter", _text("system"))
                                + b"(" + _call("importlib", "import_module", _text("os")) + b"tR", shell) + b".",
        "pathlib": _call("operator", "methodcaller", _text("touch")) + b"(" + _call("pathlib", "Path", _text(path))
        + b"tR.",
        "map": _call("builtins", "list", _call("builtins", "map", b"cbuiltins\nexec\n", b"(" + line + b"t")) + b".",
        "profile": _call("cProfile", "run", line) + b".",
        "behind a harmless object": b"cdecimal\nDecimal\n)R0" + run + b".",
        "behind an import": b"cthis\nd\n0" + run + b".",
        "nested": _call("pickle", "loads", b"B" + struct.pack("<I", len(run) + 1) + run + b".") + b".",
        "numpy": pickle.dumps(np.array([Calls(exec, code)], dtype=object)),
        "array in a list": pickle.dumps([1.0, {"weights": np.zeros(3), "state": Calls(exec, code)}]),
    }  # fmt: skip
    assert len(made) == 27
    return made


def wrapped(marker: Path) -> dict[str, tuple[str, bytes]]:
    """Pickles in other clothes, by the format that they are given out as."""
    code = pickle.dumps(Calls(exec, f"open({str(marker)!r}, 'w').close()"))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", code)
        archive.writestr("archive/version", "3")
    saved = io.BytesIO()
    np.save(
        saved, np.array([Calls(exec, f"open({str(marker)!r}, 'w').close()")], dtype=object), allow_pickle=True
    )
    leaf = json.dumps({"$leaf": "pickle", "kind": "x", "data": base64.b64encode(code).decode()})
    made = {f"pickle as {form}": (form, code) for form in (
        "pickle", "npy", "onnx", "skops", "safetensors", "keras", "torchscript", "arrow", "ubj", "lightgbm-text",
        "json", "bundle", "sparse", "xgboost", "lightgbm", "nonsense")}  # fmt: skip
    return made | {
        "torch zip": ("torchscript", stream.getvalue()),
        "torch zip as skops": ("skops", stream.getvalue()),
        "gzip": ("pickle", gzip.compress(code)),
        "zlib": ("pickle", zlib.compress(code)),
        "object array": ("npy", saved.getvalue()),
        "pickle leaf in a bundle": ("bundle", leaf.encode()),
        "keras lambda": ("keras", keras_lambda(marker)),
    }


def keras_lambda(marker: Path) -> bytes:
    """A `.keras` file whose only layer is a function in marshalled code."""
    code = compile(f"lambda x: (open({str(marker)!r}, 'w').close(), x)[1]", "x", "eval").co_consts[0]
    function = {"class_name": "__lambda__", "config": {"code": base64.b64encode(marshal.dumps(code)).decode(),
                "defaults": None, "closure": None}}  # fmt: skip
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "l", "function": function}}
    model = {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("config.json", json.dumps(model))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
    return stream.getvalue()


def _zip(*entries: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return stream.getvalue()


def _node(module: str, name: str, loader: str = "ObjectNode") -> bytes:
    schema = {"__class__": name, "__module__": module, "__loader__": loader, "__id__": 1, "protocol": 2,
              "_skops_version": "0.12", "content": {"__class__": "dict", "__module__": "builtins",
              "__loader__": "DictNode", "content": {}, "key_types": {"__class__": "list", "__module__": "builtins",
              "__loader__": "ListNode", "content": [], "__id__": 3}, "__id__": 2}}  # fmt: skip
    return json.dumps(schema).encode()


def archives() -> dict[str, bytes]:
    """20 zip files by name, none of them an honest model."""
    good = ("schema.json", _node("builtins", "dict", "DictNode"))
    link = zipfile.ZipInfo("weights.npy")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    device = zipfile.ZipInfo("weights.npy")
    device.external_attr = (stat.S_IFCHR | 0o666) << 16
    packed = _zip(good, ("a.npy", b"\0" * 1000))
    encrypted = bytearray(packed)
    at = encrypted.rfind(b"PK\x01\x02")
    encrypted[at + 8] |= 1
    lying = bytearray(_zip(good, ("a.npy", b"x" * 1000)))
    at = lying.rfind(b"PK\x01\x02")
    lying[at + 20 : at + 28] = struct.pack("<II", 2**31 - 1, 2**31 - 1)
    with_twin = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(with_twin, "w") as archive:
        warnings.simplefilter("ignore")
        archive.writestr(*good)
        archive.writestr("schema.json", _node("os", "system", "FunctionNode"))
    made = {
        "leads up": _zip(good, ("../../evil.py", b"x")),
        "leads up in the middle": _zip(good, ("a/../../evil.py", b"x")),
        "absolute": _zip(good, ("/etc/cron.d/evil", b"x")),
        "backslashes": _zip(good, ("..\\..\\evil.py", b"x")),
        "drive": _zip(good, ("C:/evil.py", b"x")),
        "link": _zip(good, (link, b"/etc/passwd")),
        "device": _zip(good, (device, b"")),
        "bomb": _zip(("schema.json", b"\0" * (200 * 2**20)), method=zipfile.ZIP_DEFLATED),
        "many entries": _zip(good, *((f"{number}.npy", b"") for number in range(10_001))),
        "twin names": with_twin.getvalue(),
        "bzip": _zip(good, ("a.npy", b"\0" * 100_000), method=zipfile.ZIP_BZIP2),
        "lzma": _zip(good, ("a.npy", b"\0" * 100_000), method=zipfile.ZIP_LZMA),
        "encrypted": bytes(encrypted),
        "lying sizes": bytes(lying),
        "cut short": packed[: len(packed) // 2],
        "no zip at all": b"PK\x03\x04" + b"\0" * 100,
        "os.system": _zip(("schema.json", _node("os", "system", "FunctionNode"))),
        "builtins.eval": _zip(("schema.json", _node("builtins", "eval", "FunctionNode"))),
        "a class of its own": _zip(("schema.json", _node("subprocess", "Popen"))),
        "deep": _zip(("schema.json", b'{"content":' * 100_000 + b"1" + b"}" * 100_000)),
    }
    assert len(made) == 20
    return made


def safetensors() -> dict[str, bytes]:
    """Files with headers that lie."""

    def file(header: object, data: bytes, size: int | None = None) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return (len(text) if size is None else size).to_bytes(8, "little") + text + data

    def one(dtype: str = "F32", shape: object = (2,), places: object = (0, 8)) -> dict[str, object]:
        return {"w": {"dtype": dtype, "shape": list(shape), "data_offsets": list(places)}}  # type: ignore[call-overload]

    eight = b"\0" * 8
    return {
        "header longer than the file": file(one(), eight, 10**6),
        "header of 2^63": file(one(), eight, 2**63),
        "header of 2^64-1": file(one(), eight, 2**64 - 1),
        "empty": b"",
        "seven bytes": b"\1" * 7,
        "no JSON": file(b"\xff" * 16, eight),
        "a list": file([1, 2], eight),
        "deep": file(b"[" * 100_000, eight),
        "offsets behind the end": file(one(places=(0, 800)), eight),
        "offsets backwards": file(one(places=(8, 0)), eight),
        "negative offsets": file(one(places=(-8, 0)), eight),
        "shape too large": file(one(shape=(2**40,)), eight),
        "shape that overflows": file(one(shape=(2**32, 2**32)), eight),
        "negative shape": file(one(shape=(-2, -1)), eight),
        "unknown type": file(one(dtype="OBJ"), eight),
        "overlap": file(one() | {"v": one()["w"]}, eight),
        "hole": file(one(places=(8, 16)), eight * 2),
        "rest behind": file(one(), eight * 2),
        "cut short": file(one(), eight)[:-3],
    }
