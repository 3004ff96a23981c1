"""The rules for docstrings, as far as a program can check them.

A docstring is plain English: subject, verb, object. A function's is imperative, a type's is a noun phrase, and each one
stands alone.
"""

import ast
from functools import cache
from pathlib import Path

import pytest

import fairway

ROOT = Path(fairway.__file__).parent


def words(text: str) -> frozenset[str]:
    """Return the words of a text."""
    return frozenset(text.split())


OPENINGS = words("what whether where when how who whose why as so one that ditto likewise")
"""First words of sentences that lean on something before them, or have no verb of their own."""

VERBS = words(
    """
    Accept Add Allow Answer Append Apply Ask Average Begin Bind Book Bring Build Call Cancel Carry Change Check
    Checkpoint Choose Clean Clear Close Collect Commit Compare Compile Complete Compress Compute Configure
    Connect Convert Copy Count Create Cut Decide Declare Decode Delete Deploy Describe Divide Do Draw Drop Encode End
    Enter Estimate Evaluate Explain Export Fill Find Follow Forget Fork Format Forward Free Get Give Go Group Guess
    Handle Hash Hide Hold Import Infer Install Join Judge Keep Kill Leave Let Limit Link List Load Lock Log Look Make
    Mark Match Measure Merge Move Name Note Notice Number Open Order Outline Parse Pass Pick Pickle Point
    Post Prepare Print Process Publish Put Queue Raise Read Reap Rebuild Receive Reconcile Record Refuse Register
    Release Remember Remove Rename Render Replace Report Reserve Reset Resolve Restart Restore Resume Return Run Save
    Seal Search Send Serialise Serve Set Settle Show Sign Sort Split Start Stop Store Strip Submit Sum Take Tell
    Treat Trust Try Turn Undeploy Unpack Update Use Validate Verify Wait Warn Watch Write Yield
    """
)
"""Verbs that open the docstring of a function. Add a verb here when a function does something else."""

SPEECH = words("say said tell told hear obey overhear converse pass_on gossip whisper")
"""Names that stand for sending, reading or handling something."""

Found = tuple[str, ast.AST, str]


def files() -> list[Path]:
    """Return the files of the package, without the project files that it writes for people."""
    return sorted(path for path in ROOT.rglob("*.py") if "templates" not in path.parts)


def docstrings(path: Path) -> list[Found]:
    """Return place, definition and text of every docstring in a file, those of constants included."""
    found: list[Found] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        body: list[ast.stmt] = getattr(node, "body", None) or []
        if not isinstance(body, list):
            continue
        for place, line in enumerate(body):
            if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)):
                continue
            text = line.value.value
            if isinstance(text, str):
                owner = node if place == 0 else body[place - 1]
                found.append((f"{path.relative_to(ROOT)}:{line.lineno}", owner, text))
    return found


def is_command(node: ast.AST) -> bool:
    """Tell whether a function's docstring is what `--help` prints, where an argument's name may stand for a subject."""
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return any(
        isinstance(one, ast.Call)
        and isinstance(one.func, ast.Attribute)
        and one.func.attr in ("command", "group")
        for one in decorators
    )


@cache
def everything() -> list[Found]:
    """Return the docstrings of all files that the rules hold for."""
    return [found for path in files() for found in docstrings(path) if not is_command(found[1])]


def is_property(node: ast.AST) -> bool:
    """Tell whether a function is read like an attribute, so that its docstring names a value."""
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return any(
        (isinstance(one, ast.Name) and one.id in ("property", "cached_property"))
        or (isinstance(one, ast.Attribute) and one.attr == "cached_property")
        for one in decorators
    )


def first_line(text: str) -> str:
    """Return the first line of a docstring."""
    return text.strip().split("\n", 1)[0].strip()


def first_word(text: str) -> str:
    """Return the first word of a docstring without its punctuation."""
    return (text.split() or [""])[0].strip(".,:;")


def test_there_is_something_to_check() -> None:
    assert len(everything()) > 2_000


def test_docstrings_lean_on_nothing_before_them() -> None:
    assert [f"{place}: {first_line(text)}" for place, _, text in everything() if leans(text)] == []


def leans(text: str) -> bool:
    """Tell whether a docstring opens with a word that needs its neighbour."""
    return first_word(text).lower() in OPENINGS or text.strip().lower().startswith(("the same,", "the same."))


def test_docstrings_open_with_one_whole_sentence() -> None:
    assert [
        f"{place}: {first_line(text)}"
        for place, _, text in everything()
        if not first_line(text).endswith((".", ":"))
    ] == []


def test_functions_are_described_in_the_imperative() -> None:
    assert [
        f"{place}: {first_line(text)}"
        for place, node, text in everything()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and not is_property(node)
        and first_word(text) not in VERBS
    ] == []


def test_a_question_is_described_as_one() -> None:
    assert [
        f"{place}: {first_line(text)}"
        for place, node, text in everything()
        if isinstance(node, ast.FunctionDef)
        and node.name.strip("_").startswith(("is_", "has_", "are_"))
        and isinstance(node.returns, ast.Name)
        and node.returns.id == "bool"
        and not is_property(node)
        and not text.startswith(("Tell whether ", "Return whether "))
    ] == []


def test_types_are_described_by_a_noun() -> None:
    actions = VERBS | {f"{verb}s" for verb in VERBS} | {f"{verb}es" for verb in VERBS}
    nouns = {"Counts", "Names", "Rows", "Values"}
    assert [
        f"{place}: {first_line(text)}"
        for place, node, text in everything()
        if isinstance(node, ast.ClassDef) and first_word(text) in actions - nouns
    ] == []


def test_functions_and_modules_have_the_names_of_the_field() -> None:
    found = [path.stem for path in files() if path.stem in SPEECH]
    for path in files():
        found += [f"{path.relative_to(ROOT)}: {name}" for name in spoken(ast.parse(path.read_text("utf-8")))]
    assert found == []


def spoken(tree: ast.Module) -> list[str]:
    """Return the names of functions that are verbs of speech. An open file has a method `tell`, which is fine."""
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    file_like = not {"seekable", "writable", "flush"}.isdisjoint(function.name for function in functions)
    names = [function.name for function in functions if function.name.strip("_") in SPEECH]
    return [name for name in names if not (file_like and name == "tell")]


@pytest.mark.parametrize(
    "text",
    [
        "So does XGBoost.",
        "Whether it is a Booster.",
        "What a step needs.",
        "As `kind_of`, of a type.",
        "The same.",
    ],
)
def test_a_docstring_that_leans_on_its_neighbour_is_found(text: str) -> None:
    assert leans(text)
