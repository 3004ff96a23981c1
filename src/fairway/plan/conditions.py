"""Conditions on runs, as people write them: `accuracy > 0.9 and (depth < 8 or kind == "deep")`.

A condition is read by a grammar of its own and never by Python. It holds comparisons, `and`, `or`, `not`, `in`, parentheses,
numbers, texts in quotes, `true` and `false`, and names of metrics and parameters. A comparison with a name that a run lacks
does not hold.

    condition  = any
    any        = all {"or" all}
    all        = single {"and" single}
    single     = "not" single | "(" any ")" | comparison
    comparison = term {operator term} | term ["not"] "in" "(" literal {"," literal} ")"
"""

import re
from collections.abc import Callable
from functools import partial

import msgspec

from fairway.spec.errors import UsageError
from fairway.spec.history import Comparison, Facts, Mark, RunRecord, Scalar


class _Seen(msgspec.Struct, frozen=True, gc=False):
    """A run whose facts are decoded."""

    run: RunRecord
    facts: Facts


_Test = Callable[[_Seen], bool]

_LONGEST = 2000
_DEEPEST = 50

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
    | (?P<text>"[^"]*"|'[^']*')
    | (?P<quoted>`[^`]+`)
    | (?P<name>[^\W\d][\w.-]*)
    | (?P<mark><=|>=|==|!=|<>|<|>|=|\(|\)|,)
    )""",
    re.VERBOSE,
)
_ORDERS = {"<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}
"""The order of two values, as the sign of their difference, for which each sign holds."""

_EQUAL, _UNEQUAL = ("==", "="), ("!=", "<>")
_WORDS = {"true": True, "false": False, "none": None, "null": None}
_OWN: dict[str, Callable[[RunRecord], Scalar]] = {
    "name": lambda run: run.name,
    "run": lambda run: run.name,
    "pipeline": lambda run: run.pipeline,
    "phase": lambda run: run.phase.value.lower(),
    "steps": lambda run: run.steps,
    "failed": lambda run: run.failed,
    "note": lambda run: run.note,
    "took": lambda run: max(0.0, run.ended - run.started) if run.ended else None,
}
"""The facts of a run that every run has, by name. A metric or parameter of the same name comes first."""


class _Token(msgspec.Struct, frozen=True):
    kind: str
    text: str
    at: int


class _Lacking:
    """The value of a name that a run lacks."""


_LACKING = _Lacking()
_Value = Callable[[_Seen], object]


class _Term(msgspec.Struct, frozen=True):
    """A side of a comparison: a literal, which is `known`, or a name, whose `kind` is "metric" or "parameter" if it says so."""

    value: _Value
    kind: str = ""
    name: str = ""
    known: object = _LACKING


class _Part(msgspec.Struct, frozen=True):
    """A part of a condition, with the comparisons that hold wherever it holds."""

    test: _Test
    bounds: tuple[Comparison, ...] = ()


class Condition(msgspec.Struct, frozen=True):
    """A condition on runs.

    Attributes:
        test: tells whether it holds for a run that was looked at.
        names: the names of metrics and parameters in it.
        bounds: comparisons that hold for every run for which the condition holds. A store narrows its search by them.
    """

    test: Callable[[_Seen], bool]
    names: frozenset[str]
    bounds: tuple[Comparison, ...] = ()

    def holds(self, run: RunRecord) -> bool:
        """Tell whether it holds for a run."""
        return self.test(_Seen(run, run.known))


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
        UsageError: it does not follow the grammar. The message names the place.
    """
    if len(text) > _LONGEST:
        raise UsageError(f"the condition has {len(text)} characters, and {_LONGEST} are allowed")
    reader = _Reader(text)
    holds = reader.any(0)
    reader.expect_end()
    return Condition(holds.test, frozenset(reader.names), holds.bounds)


class _Reader:
    """A reader of one condition, from its first word to its last."""

    def __init__(self, text: str) -> None:
        self.names: set[str] = set()
        self._text = text
        self._tokens = _tokens(text)
        self._at = 0

    def any(self, depth: int) -> _Part:
        """Read conditions that are joined by `or`."""
        if depth > _DEEPEST:
            raise UsageError("the condition has too many parentheses inside one another")
        parts = [self._all(depth)]
        while self._take_word("or"):
            parts.append(self._all(depth))
        return parts[0] if len(parts) == 1 else _Part(partial(_any, [part.test for part in parts]))

    def expect_end(self) -> None:
        """Refuse whatever follows. Raises UsageError."""
        if self._at < len(self._tokens):
            raise self._refused("`and`, `or` or the end")

    def _all(self, depth: int) -> _Part:
        parts = [self._single(depth)]
        while self._take_word("and"):
            parts.append(self._single(depth))
        return _together(parts)

    def _single(self, depth: int) -> _Part:
        if depth > _DEEPEST:
            raise UsageError("the condition has too many parts inside one another")
        if self._take_word("not"):
            return _Part(partial(_not, self._single(depth + 1).test))
        if self._take_mark("("):
            inner = self.any(depth + 1)
            if not self._take_mark(")"):
                raise self._refused("`)`")
            return inner
        return self._comparison()

    def _comparison(self) -> _Part:
        left = self._term()
        if (negated := self._take_word("not")) or self._is_word("in"):
            if not self._take_word("in"):
                raise self._refused("`in`")
            among = partial(_among, left.value, self._literals())
            return _Part(partial(_not_among, left.value, among) if negated else among)
        parts: list[_Part] = []
        while (token := self._next("mark")) is not None and token.text in (*_ORDERS, *_EQUAL, *_UNEQUAL):
            self._at += 1
            right = self._term()
            test = partial(_compare, left.value, token.text, right.value)
            parts.append(_Part(test, _bounds(left, token.text, right)))
            left = right
        if not parts:
            raise self._refused("a comparison such as `> 0.9`")
        return _together(parts)

    def _literals(self) -> tuple[object, ...]:
        if not self._take_mark("("):
            raise self._refused("`(`")
        found: list[object] = []
        while True:
            token = self._next()
            if token is None or (known := _literal(token)) is _LACKING:
                raise self._refused("a number or a text in quotes")
            found.append(known)
            self._at += 1
            if self._take_mark(")"):
                return tuple(found)
            if not self._take_mark(","):
                raise self._refused("`,` or `)`")

    def _term(self) -> _Term:
        token = self._next()
        if token is None or token.kind == "mark":
            raise self._refused("the name of a metric or parameter, a number, or a text in quotes")
        self._at += 1
        known = _literal(token)
        if known is not _LACKING:
            return _Term(lambda run: known, known=known)
        name = token.text.strip("`")
        kind, dot, rest = name.partition(".")
        if dot and kind in ("metric", "metrics"):
            self.names.add(rest)
            return _Term(lambda run: run.facts.metrics.get(rest, _LACKING), "metric", rest)
        if dot and kind in ("parameter", "parameters", "params", "param"):
            self.names.add(rest)
            return _Term(lambda run: run.facts.parameters.get(rest, _LACKING), "parameter", rest)
        if name not in _OWN:
            self.names.add(name)
        return _Term(partial(_value, name), "", name)

    def _next(self, kind: str = "") -> _Token | None:
        token = self._tokens[self._at] if self._at < len(self._tokens) else None
        return token if token is None or kind in ("", token.kind) else None

    def _is_word(self, word: str) -> bool:
        token = self._next("name")
        return token is not None and token.text.lower() == word

    def _take_word(self, word: str) -> bool:
        if not self._is_word(word):
            return False
        self._at += 1
        return True

    def _take_mark(self, mark: str) -> bool:
        token = self._next("mark")
        if token is None or token.text != mark:
            return False
        self._at += 1
        return True

    def _refused(self, wanted: str) -> UsageError:
        token = self._next()
        found = f"{token.text[:40]!r} at character {token.at + 1}" if token is not None else "the end"
        return UsageError(
            f"the condition {self._text[:80]!r} has {found} where {wanted} is expected",
            hint='write it like "accuracy > 0.9 and depth < 8"; a name with other characters stands in backticks',
        )


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            place = at + len(text[at:]) - len(text[at:].lstrip())
            raise UsageError(
                f"the condition {text[:80]!r} has {text[place]!r} at character {place + 1}, which means nothing in it",
                hint='write it like "accuracy > 0.9 and depth < 8"; texts stand in quotes',
            )
        kind = str(match.lastgroup)
        found.append(_Token(kind, match[kind], match.start(kind)))
        at = match.end()
    if not found:
        raise UsageError("the condition is empty", hint='write it like "accuracy > 0.9 and depth < 8"')
    return found


def _literal(token: _Token) -> object:
    """Return the value that a token writes; `_LACKING` for a name."""
    if token.kind == "number":
        return float(token.text)
    if token.kind == "text":
        return token.text[1:-1]
    return _WORDS.get(token.text.lower(), _LACKING) if token.kind == "name" else _LACKING


def _value(name: str, run: _Seen) -> object:
    found = run.facts.metrics.get(name, _LACKING)
    if found is _LACKING:
        found = run.facts.parameters.get(name, _LACKING)
    if found is _LACKING and name in _OWN:
        return _OWN[name](run.run)
    return found


def _together(parts: list[_Part]) -> _Part:
    """Return the part that holds where all of these hold."""
    if len(parts) == 1:
        return parts[0]
    return _Part(
        partial(_all, [part.test for part in parts]), tuple(b for part in parts for b in part.bounds)
    )


_BOUNDING: dict[str, Mark] = {"<": "<", "<=": "<=", ">": ">", ">=": ">=", "=": "=", "==": "="}
_TURNED: dict[Mark, Mark] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}


def _bounds(left: _Term, mark: str, right: _Term) -> tuple[Comparison, ...]:
    """Return the bound that a comparison is, if it is one of a name with a number or text."""
    bounding = _BOUNDING.get(mark)
    if bounding is None:
        return ()
    if right.name and not left.name:
        left, bounding, right = right, _TURNED[bounding], left
    value = right.known
    if not left.name or right.name or not isinstance(value, float | int | str):
        return ()
    return (Comparison(left.kind, left.name, bounding, value if isinstance(value, str) else float(value)),)


def _compare(left: _Value, mark: str, right: _Value, run: _Seen) -> bool:
    one, other = left(run), right(run)
    if one is _LACKING or other is _LACKING:
        return False
    if mark in _EQUAL:
        return one == other
    if mark in _UNEQUAL:
        return one != other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return (one > other) - (one < other) in _ORDERS[mark]
    if isinstance(one, str) and isinstance(other, str):
        return (one > other) - (one < other) in _ORDERS[mark]
    return False


def _among(left: _Value, values: tuple[object, ...], run: _Seen) -> bool:
    return left(run) in values


def _not_among(left: _Value, among: _Test, run: _Seen) -> bool:
    return left(run) is not _LACKING and not among(run)


def _any(tests: list[_Test], run: _Seen) -> bool:
    return any(test(run) for test in tests)


def _all(tests: list[_Test], run: _Seen) -> bool:
    return all(test(run) for test in tests)


def _not(test: _Test, run: _Seen) -> bool:
    return not test(run)
