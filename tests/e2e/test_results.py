"""Values of a run in a person's hands: what `run` and `show` end with, and what `get` brings back."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from projects import Project

TEXT = """
import numpy as np
import pandas as pd
from dataclasses import dataclass

@dataclass
class Point:
    x: int
    y: int

class Odd:
    def __reduce__(self):
        return (os.system, ("touch opened",))

@fw.task
def table(rows: int) -> pd.DataFrame:
    return pd.DataFrame({"a": range(rows), "b": [f"w{number}" for number in range(rows)]})

@fw.task
def halves(rows: int) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(float(rows)), np.arange(rows, dtype="uint8").reshape(1, -1)

@fw.task
def report() -> fw.Evaluation:
    return fw.evaluate([0, 1, 1, 0], [0, 1, 0, 0])

@fw.task
def note() -> fw.File:
    with open("note.txt", "w") as file:
        file.write("first\\nsecond\\n")
    return fw.File("note.txt")

@fw.task
def tree() -> fw.Folder:
    os.makedirs("made/deep", exist_ok=True)
    with open("made/deep/x.bin", "wb") as file:
        file.write(bytes(range(256)))
    return fw.Folder("made")

@fw.task
def odd() -> Odd:
    return Odd()

@fw.pipeline
def main(rows: int = 12):
    first = table(rows)
    halves(rows), report(), note(), tree(), odd()
    fw.show("<svg xmlns='http://www.w3.org/2000/svg'><rect width='1' height='1'/></svg>", title="box")
    return first

@fw.pipeline
def several(rows: int = 12):
    return {"point": Point(1, 2), "report": report(), "table": table(rows), "note": note()}

@fw.pipeline
def nothing():
    report()

@fw.pipeline
def broken() -> int:
    raise ValueError("no luck")
"""


@pytest.fixture
def run(project: Project) -> str:
    """The name of a run of `main`."""
    project.write(TEXT)
    project.fairway("run", "project.py:main")
    return project.newest()


def test_a_run_ends_with_the_head_of_the_table_that_it_returned(project: Project) -> None:
    project.write(TEXT)
    shown = project.fairway("run", "project.py:main").stdout.splitlines()
    assert shown[0] == "result"
    assert shown[1].split() == ["pandas.DataFrame", "12", "×", "2"]
    assert [line.split() for line in shown[2:5]] == [["a", "b"], ["0", "w0"], ["1", "w1"]]
    assert shown[-1].strip() == "… 4 more rows"
    assert project.fairway("show").stdout.endswith("\n".join(shown) + "\n")


def test_a_run_ends_with_one_line_for_an_evaluation_and_with_the_name_of_a_file(project: Project) -> None:
    project.write(TEXT)
    shown = project.fairway("run", "project.py:several").stdout
    assert '  point: {"x":1,"y":2}\n' in shown
    assert "  report: Evaluation(classification, 4 rows, accuracy=0.75" in shown
    assert "  note: note.txt  13 B\n" in shown


def test_a_run_that_returned_nothing_ends_without_a_result(project: Project) -> None:
    project.write(TEXT)
    assert project.fairway("run", "project.py:nothing").stdout == ""
    assert "result" not in project.fairway("show").stdout


def test_get_writes_a_table_as_parquet_and_as_csv(project: Project, run: str) -> None:
    project.fairway("get", run, "-o", "whole.parquet")
    frame = pd.read_parquet(project.folder / "whole.parquet")
    assert frame["b"].tolist()[-1] == "w11"
    project.fairway("get", f"{run}/table", "-o", "deep/whole.csv")
    assert (project.folder / "deep" / "whole.csv").read_text().splitlines()[:2] == ["a,b", "0,w0"]
    assert pd.read_feather(_written(project, f"{run}/table", "whole.arrow")).shape == (12, 2)
    assert len(json.loads(_written(project, f"{run}/table", "whole.json").read_text())) == 12


def test_get_writes_one_of_several_outputs_as_npy_csv_or_png(project: Project, run: str) -> None:
    assert np.load(_written(project, f"{run}/halves/0", "half.npy")).tolist() == list(map(float, range(12)))
    assert _written(project, f"{run}/halves/0", "half.csv").read_text().splitlines()[1] == "1.0"
    assert _written(project, f"{run}/halves/1", "half.png").read_bytes()[1:4] == b"PNG"
    refused = project.fairway("get", f"{run}/halves/0", "-o", "half.png", expect=1).stderr
    assert "uint8" in refused


def test_get_prints_inputs_and_outputs(project: Project, run: str) -> None:
    assert project.fairway("get", f"{run}/table/rows").stdout == "12\n"
    assert project.fairway("get", f"{run}/pipeline/rows").stdout == "12\n"
    assert "accuracy           0.750" in project.fairway("get", f"{run}/report").stdout
    assert project.fairway("get", f"{run}/note").stdout == "first\nsecond\n"
    assert json.loads(project.fairway("get", f"{run}/report", "--json").stdout)["metrics"]["accuracy"] == 0.75
    assert project.fairway("get", f"{run}/table", "-o", "-").stdout.startswith("a,b\n0,w0\n")


def test_get_brings_files_folders_and_pictures_as_they_are(project: Project, run: str) -> None:
    project.fairway("get", f"{run}/note", "-o", ".")
    assert (project.folder / "note.txt").read_text() == "first\nsecond\n"
    project.fairway("get", f"{run}/tree", "-o", "copy")
    assert (project.folder / "copy" / "deep" / "x.bin").read_bytes() == bytes(range(256))
    assert "<rect" in _written(project, f"{run}/pipeline/box", "box.svg").read_text()


def test_get_of_a_file_loads_nothing_that_converts_or_draws(project: Project, run: str) -> None:
    words = [sys.executable, "-X", "importtime", "-m", "fairway", "get", f"{run}/note", "-o", "copy.txt"]
    done = subprocess.run(
        words, cwd=project.folder, capture_output=True, text=True, timeout=240, check=True
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert (project.folder / "copy.txt").read_text() == "first\nsecond\n"
    assert "fairway.engine.bringing" in loaded
    drawing = {
        "fairway.evaluation",
        "fairway.formats.exporting",
        "fairway.formats.svg",
        "html",
        "csv",
        "tempfile",
    }
    assert loaded & drawing == set()


def test_get_writes_several_values_into_a_folder(project: Project) -> None:
    project.write(TEXT)
    project.fairway("run", "project.py:several")
    project.fairway("get", project.newest(), "-o", "all")
    found = sorted(path.name for path in (project.folder / "all").iterdir())
    assert found == ["note.txt", "point.json", "report.json", "table.parquet"]
    assert json.loads((project.folder / "all" / "point.json").read_text()) == {"x": 1, "y": 2}


def test_get_copies_a_pickle_and_never_opens_it(project: Project, run: str) -> None:
    assert "kept as a pickle" in project.fairway("get", f"{run}/odd").stdout
    project.fairway("get", f"{run}/odd", "-o", "odd.pickle")
    assert b"touch opened" in (project.folder / "odd.pickle").read_bytes()
    assert (
        "cannot become a file .csv" in project.fairway("get", f"{run}/odd", "-o", "odd.csv", expect=2).stderr
    )
    assert json.loads(project.fairway("get", f"{run}/odd", "--json").stdout)["format"] == "pickle"
    assert not list(project.folder.rglob("opened"))


def test_get_says_what_there_is_instead(project: Project, run: str) -> None:
    assert f"did you mean `{run}/table`?" in project.fairway("get", f"{run}/tabel", expect=4).stderr
    assert "it has rows, output" in project.fairway("get", f"{run}/table/x", expect=4).stderr
    project.fairway("run", "project.py:broken", expect=1)
    failed = project.fairway("get", project.newest(), expect=4).stderr
    assert "did not succeed" in failed
    assert "fairway why" in failed


def test_get_leaves_no_file_if_the_content_is_damaged(project: Project) -> None:
    project.write("@fw.pipeline\ndef main():\n    return b'x' * 100_000\n")
    project.fairway("run", "project.py")
    (blob,) = [
        path
        for path in (project.folder / ".fairway/blobs").rglob("*")
        if path.is_file() and path.stat().st_size > 99_999
    ]
    blob.chmod(0o600)
    blob.write_bytes(b"y" + blob.read_bytes()[1:])
    assert (
        "does not match its digest"
        in project.fairway("get", project.newest(), "-o", "x.json", expect=1).stderr
    )
    assert not (project.folder / "x.json").exists()
    assert [path.name for path in project.folder.iterdir() if path.name.startswith(".x")] == []


def test_get_works_through_the_platform_process(project: Project, run: str) -> None:
    """A file larger than a piece arrives whole over HTTP."""
    project.write(
        "@fw.task\ndef large() -> fw.File:\n"
        "    open('large.bin', 'wb').write(os.urandom(9_000_000))\n    return fw.File('large.bin')\n"
        "@fw.pipeline\ndef main():\n    return large()\n",
        "large.py",
    )
    project.fairway("run", "large.py")
    name = project.newest()
    project.fairway("up")
    try:
        script = (
            "import asyncio, sys, pathlib\n"
            "from fairway.wiring import target\n"
            "from fairway.engine import addresses, bringing\n"
            "async def main():\n"
            "    platform = target.apart(pathlib.Path('.fairway').absolute())\n"
            f"    node = addresses.find(await platform.run('{name}'), '').node\n"
            "    await bringing.bring(platform, node, pathlib.Path('came.bin'))\n"
            "asyncio.run(main())\n"
        )
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=project.folder,
            env=project.environment,
            check=True,
            timeout=240,
        )
    finally:
        project.fairway("down")
    local = _written(project, name, "here.bin").read_bytes()
    assert len(local) == 9_000_000
    assert (
        hashlib.sha256((project.folder / "came.bin").read_bytes()).digest() == hashlib.sha256(local).digest()
    )


def _written(project: Project, value: str, name: str) -> Path:
    """The file to which `get` wrote a value."""
    project.fairway("get", value, "-o", name)
    return project.folder / name
