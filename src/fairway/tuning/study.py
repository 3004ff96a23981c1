"""Optuna behind one class: it proposes parameters, learns what became of them, and judges trials while they run.

Each proposal draws from random numbers that come from the seed and the number of the trial alone. So a proposal
depends on what it learned before and on nothing else, in whatever order trials ended. Scores are given so that higher is
better.
"""

import contextlib
import itertools
import math
import warnings
from collections.abc import Generator, Mapping
from typing import Any, cast

from fairway.spec.errors import UsageError
from fairway.tuning.space import Choice, Dimension, Space

SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("asha", "median", "hyperband", "none")
_LARGEST_SEED = 2**32
_MOST_POINTS = 10_000


class Study:
    """A study of Optuna in memory.

    Args:
        sampler: a name out of `SAMPLERS`, or a sampler of Optuna.
        pruner: a name out of `PRUNERS`, or a pruner of Optuna.

    Raises:
        UsageError: there is no such sampler or pruner, or Optuna is not installed.
    """

    def __init__(self, space: Space, sampler: object, pruner: object, seed: int) -> None:
        self._optuna = optuna = _optuna()
        self._space = space
        self._sampler = sampler
        self._seed = seed
        _check("sampler", sampler, SAMPLERS, optuna.samplers.BaseSampler)
        _check("pruner", pruner, PRUNERS, optuna.pruners.BasePruner)
        self._distributions = {name: _distribution(optuna, one) for name, one in space.items()}
        self._trials: dict[int, Any] = {}
        self._tpe = _sampler_of_one_space(optuna.samplers.TPESampler)
        self._points = points(space) if sampler == "grid" else []
        with _quiet(optuna):
            self._study = optuna.create_study(
                direction="maximize", sampler=self._sampler_for(0), pruner=_pruner(optuna, pruner)
            )

    def most(self, trials: int) -> int:
        """Return the number of trials that there can be. A grid may have fewer points."""
        return min(trials, len(self._points)) if self._points else trials

    def ask(self, number: int) -> dict[str, int | float]:
        """Choose the parameters of a trial."""
        if self._points:
            self.take(number, self._points[number - 1])
            return self._points[number - 1]
        with _quiet(self._optuna):
            if isinstance(self._sampler, str):
                self._study.sampler = self._sampler_for(number)
            trial = self._trials[number] = self._study.ask(self._distributions)
        return dict(trial.params)

    def take(self, number: int, parameters: Mapping[str, int | float]) -> None:
        """Take the parameters of a trial that is on record."""
        with _quiet(self._optuna):
            self._study.enqueue_trial(dict(parameters))
            self._trials[number] = self._study.ask(self._distributions)

    def report(self, number: int, step: int, score: float) -> bool:
        """Note the score of a trial that runs. Return True when the trial should be given up."""
        if not math.isfinite(score):
            return False
        trial = self._trials[number]
        with _quiet(self._optuna):
            trial.report(score, step)
            return bool(trial.should_prune())

    def end(self, number: int, score: float | None, *, pruned: bool = False) -> None:
        """Note the end of a trial. It failed if it has no score and was not pruned."""
        states = self._optuna.trial.TrialState
        with _quiet(self._optuna):
            if pruned:
                self._study.tell(self._trials[number], state=states.PRUNED)
            elif score is None:
                self._study.tell(self._trials[number], state=states.FAIL)
            else:
                self._study.tell(self._trials[number], score)

    def importance(self) -> dict[str, float]:
        """Return the share of each parameter in the differences of the scores; empty if there are too few trials."""
        importance = self._optuna.importance
        with _quiet(self._optuna), contextlib.suppress(ValueError, RuntimeError):
            evaluator = importance.PedAnovaImportanceEvaluator()
            found = importance.get_param_importances(self._study, evaluator=evaluator)
            return {name: float(share) for name, share in found.items() if math.isfinite(share)}
        return {}

    def _sampler_for(self, number: int) -> Any:
        samplers, seed = self._optuna.samplers, (self._seed * 1_000_003 + number) % _LARGEST_SEED
        if not isinstance(self._sampler, str):
            return self._sampler
        if self._sampler in ("random", "grid"):
            return samplers.RandomSampler(seed=seed)
        return self._tpe(seed=seed, constant_liar=True)


def _sampler_of_one_space(kind: Any) -> Any:
    """Return a sampler class that asks Optuna for the space of earlier trials once, and keeps it.

    Optuna would compare the spaces of all earlier trials for each new one. Here every trial has the same space.
    """
    known: dict[str, Any] = {}

    class Sampler(kind):
        def infer_relative_search_space(self, study: Any, trial: Any) -> dict[str, Any]:
            if not known:
                known.update(kind.infer_relative_search_space(self, study, trial))
            return dict(known)

    return Sampler


def points(space: Space) -> list[dict[str, int | float]]:
    """Return every point of a space, the last parameter changing first. Raises UsageError for a range without distances."""
    values = [_values(name, one) for name, one in space.items()]
    if math.prod(map(len, values)) > _MOST_POINTS:
        raise UsageError(
            f"search: the grid has {math.prod(map(len, values)):,} points",
            hint='write down fewer values, or leave the choice to `sampler="tpe"`',
        )
    return [dict(zip(space, point, strict=True)) for point in itertools.product(*values)]


def _values(name: str, one: Dimension) -> list[int | float]:
    if isinstance(one, Choice):
        return list(range(len(one.options)))
    step = one.step or (1.0 if one.whole and not one.log else 0.0)
    if not step:
        raise UsageError(
            f"search: a grid needs the values of {name}",
            hint="`[0.01, 0.1, 1]`, or `(0, 1, 0.1)` with a distance",
        )
    count = min(_MOST_POINTS, int((one.high - one.low) / step + 1e-9)) + 1
    return [int(one.low + place * step) if one.whole else one.low + place * step for place in range(count)]


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise UsageError(
            f"fw.search asks Optuna, which cannot be imported here: {error}",
            hint="`pip install 'fairway-ml[tune]'`",
        ) from None
    return optuna


def _distribution(optuna: Any, one: Dimension) -> Any:
    made = optuna.distributions
    if isinstance(one, Choice):
        return made.CategoricalDistribution(tuple(range(len(one.options))))
    if one.whole:
        return made.IntDistribution(int(one.low), int(one.high), log=one.log, step=int(one.step) or 1)
    return made.FloatDistribution(one.low, one.high, log=one.log, step=one.step or None)


def _pruner(optuna: Any, pruner: object) -> Any:
    if not isinstance(pruner, str):
        return pruner
    made = {"median": "MedianPruner", "hyperband": "HyperbandPruner", "none": "NopPruner"}
    return getattr(optuna.pruners, made.get(pruner, "SuccessiveHalvingPruner"))()


def _check(what: str, given: object, known: tuple[str, ...], kind: type) -> None:
    if given in known if isinstance(given, str) else isinstance(given, kind):
        return
    raise UsageError(
        f"search: there is no {what} {cast('object', given)!r}",
        hint=f"one of {', '.join(known)}, or one of Optuna",
    )


@contextlib.contextmanager
def _quiet(optuna: Any) -> Generator[None]:
    """Keep Optuna from printing a line for each trial, and leave its settings to the user's own use of it."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(before)
