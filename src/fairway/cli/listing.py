"""The commands `runs` and `compare`: runs in a list with the columns that a person chose, and runs beside one another."""

import time

import click

from fairway.cli import comparing, looking, views
from fairway.cli.arguments import Argument
from fairway.cli.asking import ask
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted
from fairway.cli.whereabouts import elsewhere
from fairway.spec import comparison
from fairway.spec.errors import EXIT_DONE, UsageError
from fairway.spec.history import Facts, RunQuery, RunRecord, parse_phase
from fairway.spec.quantities import format_duration
from fairway.spec.times import parse_moment

_MOST_COLUMNS = 4


@targeted
@click.command("runs")
@click.option(
    "--limit", type=click.IntRange(1, 10**6), default=20, show_default=True, help="How many, newest first."
)
@click.option("--pipeline", default="", help="Only runs of this pipeline.")
@click.option(
    "--where", default="", help='Only runs for which this holds, such as "accuracy > 0.9 and depth < 8".'
)
@click.option("--since", default="", help='Only runs that started since then: "7d", "2h" or a date.')
@click.option("--tag", default="", help="Only runs with this word on them.")
@click.option("--phase", default="", help="Only runs in this phase, such as failed.")
@click.option("--text", default="", help="Only runs with this text in their name, pipeline, note or cause.")
@click.option(
    "--sort",
    default="",
    help="`started`, `took`, or a metric or parameter; with `-` before it, the greatest first.",
)
@click.option(
    "--columns", default="", help='Metrics and parameters to show, such as "accuracy,depth"; `all` for all.'
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def runs_command(limit: int, columns: str, as_json: bool, **asked: str) -> int:
    """List runs, newest first, with the last values of their metrics.

    \b
    Example:
      fairway runs --where "accuracy > 0.9" --columns accuracy,depth
    """
    platform = looking.opened()
    since = parse_moment(asked["since"], time.time()) if asked["since"] else 0.0
    query = RunQuery(
        pipeline=asked["pipeline"],
        where=asked["where"],
        since=since,
        tag=asked["tag"],
        phase=parse_phase(asked["phase"]),
        text=asked["text"],
        sort=asked["sort"],
        limit=limit,
    )
    found = ask(platform.past(query))
    if as_json:
        show_json(found)
    elif found:
        show(*_table(found, columns))
    elif any(asked.values()):
        report("no run is like that", "hint: `fairway runs` lists all")
    else:
        report(f"no runs yet in {platform.place}", f"hint: {elsewhere() or '`fairway run FILE`'}")
    return EXIT_DONE


def _table(runs: list[RunRecord], columns: str) -> list[str]:
    """Return the table of runs. Columns of which every cell is empty are left out."""
    known = [run.known for run in runs]
    chosen = _chosen(known, columns)
    head = ["run", "pipeline", "phase", "steps", "started", "took", *chosen, "tags", "note"]
    rows = [
        [
            run.name,
            run.pipeline,
            views.run_word(run.phase, alive=run.alive),
            str(run.steps),
            views.when(run.started),
            format_duration(max(0.0, run.ended - run.started)) if run.ended else "",
            *(_cell(facts, name) for name in chosen),
            " ".join(run.tags),
            (run.message or run.note)[:60],
        ]
        for run, facts in zip(runs, known, strict=True)
    ]
    kept = [place for place in range(len(head)) if place < 6 or any(row[place] for row in rows)]
    head = [name if name != "note" else "" for name in head]
    return views.table([head[place] for place in kept], [[row[place] for place in kept] for row in rows])


def _chosen(known: list[Facts], columns: str) -> list[str]:
    """Return the names of the columns: those that were named, or else the metrics that most runs have."""
    metrics: dict[str, int] = {}
    for facts in known:
        for name in facts.metrics:
            metrics[name] = metrics.get(name, 0) + 1
    if not columns:
        return sorted(metrics, key=lambda name: -metrics[name])[:_MOST_COLUMNS]
    parameters = dict.fromkeys(name for facts in known for name in facts.parameters)
    if columns == "all":
        return [*parameters, *(name for name in metrics if name not in parameters)]
    named = [name.strip() for name in columns.split(",") if name.strip()]
    for name in named:
        if (
            name not in metrics
            and name not in parameters
            and name.partition(".")[2] not in (*metrics, *parameters)
        ):
            raise UsageError(
                f"no run here has a metric or parameter {name!r}",
                hint=f"they have {', '.join(sorted({*metrics, *parameters})[:12]) or 'none'}",
            )
    return named


def _cell(facts: Facts, name: str) -> str:
    value: object = facts.metrics.get(name, facts.parameters.get(name, ""))
    if name.startswith("parameter."):
        value = facts.parameters.get(name.partition(".")[2], "")
    if value is None:
        return "nan"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)[:40].lower() if isinstance(value, bool) else str(value)[:40]
    return f"{value:.6g}"


@targeted
@click.command("compare")
@click.argument("runs", nargs=-1, cls=Argument, completes="run")
@click.option("--all", "everything", is_flag=True, help="List what is equal too.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def compare_command(runs: tuple[str, ...], everything: bool, as_json: bool) -> int:
    """Compare runs: what differs in metrics, parameters, data, code and environment, the most telling first.

    Without a name, these are the last two runs of the newest pipeline. With one, it is that run and the one before it.

    \b
    Example:
      fairway compare k7m2 p3x8
    """
    platform = looking.opened()
    names = [ask(platform.find(name)) for name in runs]
    if len(names) < 2:
        newest = names[0] if names else ask(platform.find(""))
        pipeline = ask(platform.run(newest)).spec.pipeline
        before = ask(platform.past(RunQuery(pipeline=pipeline, before=newest, limit=1)))
        if not before:
            raise UsageError(
                f"run {newest} is the only one of {pipeline}, so there is nothing to compare it with",
                hint="name the runs: `fairway compare RUN RUN`",
            )
        names = [before[0].name, newest]
    facts = [comparing.facts_of(platform, name) for name in names]
    differ, equal = comparison.differing(facts)
    keys = comparison.ordered([*differ, *equal]) if everything else differ
    found = {key: tuple(one.get(key, "") for one in facts) for key in keys}
    if as_json:
        show_json({"runs": list(runs) if len(runs) > 1 else names, "differences": found})
        return EXIT_DONE
    if not found:
        show("no differences in parameters, metrics, data, code or environment")
        return EXIT_DONE
    show(*views.table(("", *names), [(key, *cells) for key, cells in found.items()]))
    curves = comparing.curves(platform, names)
    show(*(["", *curves] if curves else []))
    changed = comparing.changed_files(platform, names)
    changed += comparing.changed_circumstances(platform, names)
    show(*(["", *changed] if changed else []))
    return EXIT_DONE
