"""Guards over the source: no shell, no code from text, pickles read in named places only, SQL only with bound values."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "fairway"
READS_PICKLES = {"formats/pickled.py", "runner/project.py"}
OPENS_MODELS = {
    "formats/torch.py", "formats/keras.py", "formats/xgboost.py",
    "formats/models/predictor.py", "runner/values.py", "server/sessions.py", "wiring/there.py",
}  # fmt: skip
"""`xgboost.py` reads data. The others read what can be code only where the record of a run says that it may be trusted."""
COMPILES = {"author/source.py", "author/task.py"}
"""To look at the project's own functions; nothing there is run."""

EVALUATES = {"author/task.py"}
"""An annotation of the project's own file, where `typing.get_type_hints` would do the same."""

WRITES_ARCHIVES = {"cluster/canary.py", "cluster/images/layers.py"}
"""Layers of images are tar archives. They are only written there."""

READS_ARCHIVES = {"cluster/images/standard.py"}
"""A layer of a base is read there. Modules are copied under numbers, so no name of the archive becomes a path."""

UNPACKS_ARCHIVES = {"runner/layers.py"}
"""In a pod, after their digest was compared. Each entry is looked at: nothing leaves the folder or goes through a link."""

READS_YAML = {"cluster/client/kubeconfig.py"}
"""With a safe loader, as `test_kubeconfigs_are_read_as_plain_data` holds."""

SQL = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|DROP|PRAGMA|REPLACE|CREATE)\b")

COMPOSES_SQL = {"stores/listing.py"}
"""From its own constants. `test_listing` holds that no text of a person becomes a part of a query."""

READS_ENVIRONMENT = {
    "wiring/settings.py", "wiring/headstart.py", "wiring/runs.py",
    "author/files.py", "author/redaction.py", "runner/attempt.py", "runner/host.py",
    "runner/project.py", "local/engines.py", "local/launching.py",
    "local/listening.py", "local/workers.py", "server/__main__.py", "cli/progress.py",
    "author/code.py", "author/lookups.py", "cli/completing.py", "cli/main.py", "local/descent.py",
    "local/environments.py", "local/gpus.py", "local/projects.py", "local/sharing.py", "runner/proof.py",
    "stores/ownkey.py", "local/project_listing.py", "runner/pod.py", "wiring/clusters.py", "wiring/images.py",
    "wiring/namespace.py", "wiring/plane.py", "wiring/targets.py", "stores/bucket.py",
    "cli/ui.py", "local/git.py", "runner/debugging.py", "runner/inline.py", "cli/webhooks.py", "local/descriptions.py",
    "local/posting.py", "runner/pod_forking.py",
}  # fmt: skip


def dotted(node: ast.expr) -> str:
    """`a.b.c` of an expression, as far as it is one."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def built(text: ast.JoinedStr) -> bool:
    """Whether it is SQL with something else in it than a constant of a module, a name of the schema or question marks."""
    start = text.values[0].value if text.values and isinstance(text.values[0], ast.Constant) else ""
    if not SQL.match(str(start)):
        return False
    parts = [dotted(part.value) for part in text.values if isinstance(part, ast.FormattedValue)]
    return not all(
        part in ("table", "pragma", "columns", "conditions", "marks") or part.rpartition(".")[2].isupper()
        for part in parts
    )


def faults(tree: ast.AST, file: str) -> Iterator[str]:
    """What a file does that no file may."""
    for node in ast.walk(tree):
        environment = isinstance(node, ast.Attribute) and dotted(node) in (
            "os.environ",
            "os.environb",
            "os.getenv",
        )
        if environment and file not in READS_ENVIRONMENT:
            yield f"{file}:{node.lineno} reads the environment"
        if isinstance(node, ast.JoinedStr) and built(node) and file not in COMPOSES_SQL:
            yield f"{file}:{node.lineno} builds SQL from parts"
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        where = f"{file}:{node.lineno}"
        if name in ("eval", "exec", "builtins.eval", "builtins.exec", "__import__") and file not in EVALUATES:
            yield f"{where} runs code from text"
        if name == "compile" and file not in COMPILES:
            yield f"{where} runs code from text"
        if name in ("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"):
            yield f"{where} starts a shell"
        if name.endswith(("create_subprocess_shell", "subprocess_shell")):
            yield f"{where} starts a shell"
        if any(word.arg == "shell" for word in node.keywords):
            yield f"{where} starts a shell"
        unpickles = (
            "pickle.load",
            "pickle.loads",
            "pickle.Unpickler",
            "marshal.loads",
            "shelve.open",
            "joblib.load",
        )
        if name.endswith(unpickles) and file not in READS_PICKLES:
            yield f"{where} reads a pickle"
        risky = ("torch.load", "tarfile.open", "extractall", "unpack_archive", "yaml.load", "unsafe_load")
        known = (name == "tarfile.open" and file in WRITES_ARCHIVES | READS_ARCHIVES | UNPACKS_ARCHIVES) or (
            name == "yaml.load" and file in READS_YAML
        )
        if name.endswith(risky) and not known:
            yield f"{where} opens what can run code or leave its folder"
        if name.endswith(("jit.load", "load_model")) and file not in OPENS_MODELS:
            yield f"{where} opens a model that can be code"
        if any(
            word.arg == "allow_pickle" and getattr(word.value, "value", None) is True
            for word in node.keywords
        ):
            yield f"{where} allows pickles"
        if name.endswith((".execute", ".executemany", ".executescript")) and node.args:
            first = node.args[0]
            if isinstance(first, ast.BinOp):
                yield f"{where} builds SQL from parts"
            if isinstance(first, ast.Call) and dotted(first.func).endswith("format"):
                yield f"{where} builds SQL from parts"


def all_faults() -> list[str]:
    found: list[str] = []
    for path in sorted(SOURCE.rglob("*.py")):
        file = path.relative_to(SOURCE).as_posix()
        if not file.startswith("templates/"):
            found += faults(ast.parse(path.read_text("utf-8")), file)
    return found


def test_the_source_keeps_out_of_shells_code_from_text_and_foreign_pickles() -> None:
    assert all_faults() == []


@pytest.mark.parametrize(
    "line",
    [
        "eval('1')", "exec(text)", "compile(text, 'x', 'exec')", "__import__(name)", "os.system('x')", "os.popen('x')",
        "subprocess.run('x', shell=True)", "asyncio.create_subprocess_shell('x')", "pickle.loads(x)",
        "pickle.load(x)", "cloudpickle.loads(x)", "marshal.loads(x)", "joblib.load(x)", "torch.load(x)",
        "tarfile.open(x)", "archive.extractall()", "shutil.unpack_archive(x)", "np.load(x, allow_pickle=True)",
        "db.execute(f'SELECT {x}')", "db.execute('SELECT ' + x)", "db.execute('SELECT {}'.format(x))",
        "print(os.environ)", "os.getenv('X')",
    ],
)  # fmt: skip
def test_a_planted_line_is_seen(line: str) -> None:
    assert list(faults(ast.parse(line), "engine/planted.py"))


def test_tokens_are_compared_in_constant_time_by_their_digest() -> None:
    for file in ("control/known.py", "server/gate.py"):
        tree = ast.parse((SOURCE / file).read_text("utf-8"))
        names = {dotted(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        assert {"hmac.compare_digest", "hashlib.sha256"} <= names, file


def test_kubeconfigs_are_read_as_plain_data() -> None:
    text = (SOURCE / "cluster/client/kubeconfig.py").read_text("utf-8")
    assert re.findall(r"yaml\.load\([^\n]*, (\w+)\(\)\)", text) == ["_loader"]
    assert "SafeLoader" in text
    assert not re.search(r"\b(Full|Unsafe)Loader|yaml\.C?Loader\b", text)


def test_archives_are_only_written() -> None:
    for file in WRITES_ARCHIVES:
        for node in ast.walk(ast.parse((SOURCE / file).read_text("utf-8"))):
            if isinstance(node, ast.Call) and dotted(node.func) == "tarfile.open":
                modes = [getattr(word.value, "value", "") for word in node.keywords if word.arg == "mode"]
                assert modes in (["w"], ["w|"]), f"{file}:{node.lineno}"


def test_servers_bind_to_this_machine_only() -> None:
    for file in SOURCE.rglob("*.py"):
        text = file.read_text("utf-8")
        assert '"0.0.0.0"' not in text, file
        assert '"::"' not in text, file


def test_mutating_calls_of_the_platform_leave_events() -> None:
    tree = ast.parse((SOURCE / "engine" / "endpoints.py").read_text("utf-8"))
    changing = {"deploy", "rollback", "undeploy"}
    called = {
        function.name: {dotted(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
        for function in ast.walk(tree)
        if isinstance(function, ast.AsyncFunctionDef)
    }
    assert changing <= set(called)

    def recorded(name: str, seen: frozenset[str] = frozenset()) -> bool:
        calls = called.get(name, set())
        return any(call.endswith(("_metadata.append", "._point")) for call in calls) or any(
            recorded(call.rpartition(".")[2], seen | {name})
            for call in calls
            if call.startswith("self.") and call.rpartition(".")[2] not in seen | {name}
        )

    assert all(recorded(name) for name in changing)
