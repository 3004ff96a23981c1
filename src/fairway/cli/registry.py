"""Commands on registered models."""

from pathlib import Path

import click

from fairway.cli import downloading, looking, targeting, views
from fairway.cli.arguments import Argument
from fairway.cli.asking import ask
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted
from fairway.cli.whereabouts import elsewhere
from fairway.spec.errors import EXIT_DONE
from fairway.spec.model import ModelVersion
from fairway.spec.quantities import format_memory


@targeted
@click.group("models", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
@click.pass_context
def models_command(ctx: click.Context, as_json: bool) -> int:
    """List registered models; show, alias and compare them.

    \b
    Example:
      fairway models show churn
    """
    if ctx.invoked_subcommand is not None:
        return EXIT_DONE
    platform = looking.opened()
    found = ask(platform.models())
    if as_json:
        show_json(found)
    elif not found:
        hint = elsewhere() or "a pipeline registers one with `fw.register(…)`"
        report(f"no models yet in {platform.place}", f"hint: {hint}")
    else:
        rows = [
            (
                model.name,
                str(model.newest.version),
                " ".join(f"{alias}={version}" for alias, version in sorted(model.aliases.items())),
                headline(model.newest),
                model.newest.candidate.framework,
                views.when(model.newest.created),
            )
            for model in found
        ]
        show(*views.table(("model", "newest", "aliases", "evaluation", "framework", "registered"), rows))
    return EXIT_DONE


@targeted
@models_command.command("show")
@click.argument("model", cls=Argument, completes="model")
@click.option("--source", is_flag=True, help="Print the project's source files that travel with the version.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def show_command(model: str, source: bool, as_json: bool) -> int:
    """Show all versions of MODEL, or one by MODEL:VERSION or MODEL@ALIAS in full.

    \b
    Example:
      fairway models show churn@champion
    """
    platform = looking.opened()
    if source:
        sources = ask(platform.sources(model))
        if as_json:
            show_json(sources)
        else:
            show(*_listing(sources))
        return EXIT_DONE
    if ":" in model or "@" in model:
        version = ask(platform.resolve(model))
        if as_json:
            show_json(version)
        else:
            show(*_version(version))
        return EXIT_DONE
    versions = ask(platform.versions(model))
    if as_json:
        show_json(versions)
        return EXIT_DONE
    aliases = ask(platform.aliases(model))
    rows = [
        (
            str(version.version),
            " ".join(
                sorted(
                    name.partition("@")[2] for name, number in aliases.items() if number == version.version
                )
            ),
            headline(version),
            "onnx" if version.candidate.compiled else version.candidate.artifact.format,
            version.lineage.run,
            views.when(version.created),
        )
        for version in versions
    ]
    show(*views.table(("version", "aliases", "evaluation", "served as", "run", "registered"), rows))
    return EXIT_DONE


@targeted
@models_command.command("alias")
@click.argument("model", cls=Argument, completes="model")
@click.argument("alias", cls=Argument, completes="alias")
@click.argument("version", type=click.IntRange(0, 2**31 - 1))
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def alias_command(model: str, alias: str, version: int, as_json: bool) -> int:
    """Let ALIAS name VERSION of MODEL; version 0 removes the alias.

    \b
    Example:
      fairway models alias churn champion 4
    """
    platform = targeting.acting()
    served = ask(platform.alias(model, alias, version)).can_be_served or not version
    ask(platform.close())
    if as_json:
        show_json({"model": model, "alias": alias, "version": version})
    else:
        report(f"{model}@{alias} is version {version}" if version else f"{model}@{alias} is gone")
        if not served:
            report(
                "it has no sample, so it cannot be served: give `fw.register` rows of its input as `sample=`"
            )
    return EXIT_DONE


@targeted
@models_command.command("download")
@click.argument("model", cls=Argument, completes="model")
@click.option("--output", "-o", default=".", metavar="DIR", help="The folder to write to.")
@click.option("--native", is_flag=True, help="Write the model in the format of its framework instead.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def download_command(model: str, output: str, native: bool, as_json: bool) -> int:
    """Write the ONNX form of MODEL, MODEL:VERSION or MODEL@ALIAS to a folder. Nothing of the model is run.

    \b
    Example:
      fairway models download churn@champion -o models
    """
    platform = looking.opened()
    version = ask(platform.resolve(model))
    target = downloading.download(platform, version, Path(output), native=native)
    if as_json:
        show_json({"model": version.name, "version": version.version, "file": str(target)})
    else:
        report(f"{version} is written to {target}")
    return EXIT_DONE


@targeted
@models_command.command("compare")
@click.argument("model", cls=Argument, completes="model")
@click.argument("other", cls=Argument, completes="model")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def compare_command(model: str, other: str, as_json: bool) -> int:
    """Compare two versions: metrics, parameters, code, environment and data; only what differs is listed.

    \b
    Example:
      fairway models compare churn:3 churn:4
    """
    platform = looking.opened()
    first, second = (_facts(ask(platform.resolve(name))) for name in (model, other))
    keys = [key for key in dict.fromkeys([*first, *second]) if first.get(key) != second.get(key)]
    differing = {key: (first.get(key, ""), second.get(key, "")) for key in keys}
    if as_json:
        show_json({"models": [model, other], "differences": differing})
    elif not differing:
        show("no differences in metrics, parameters, code, environment or data")
    else:
        show(*views.table(("", model, other), [(key, *pair) for key, pair in differing.items()]))
    return EXIT_DONE


def headline(version: ModelVersion) -> str:
    """Return the most important metric of a version, such as "accuracy 0.912"."""
    if version.evaluation is None or not version.evaluation.metrics:
        return ""
    metrics = version.evaluation.metrics
    gates = version.candidate.gates
    chosen = next(
        (name for name in (gates.metric, *gates.at_least, *gates.at_most) if name in metrics),
        next(iter(metrics)),
    )
    return f"{chosen} {metrics[chosen]:.3g}"


def _facts(version: ModelVersion) -> dict[str, str]:
    lineage = version.lineage
    facts = {"run": lineage.run, "code": lineage.code[:12], "environment": lineage.environment[:12]}
    facts["framework"] = version.candidate.framework
    facts |= {f"source {file.path}": file.digest[:12] for file in version.candidate.sources}
    facts |= {f"parameter {key}": value for key, value in lineage.parameters.items()}
    facts |= {f"data {key}": value[:24] for key, value in lineage.data.items()}
    if version.evaluation is not None:
        facts |= {f"metric {key}": f"{value:.6g}" for key, value in version.evaluation.metrics.items()}
    return facts


def _listing(sources: dict[str, str]) -> list[str]:
    if not sources:
        return ["no source files travel with this version"]
    return views.sources(sources)


def _carried(version: ModelVersion) -> list[str]:
    """Return lines about the code of the project that travels with a version."""
    candidate = version.candidate
    lines = [
        f"  with it     {file.path}  {format_memory(file.size)}, sha256 {file.digest[:16]}"
        for file in candidate.sources
    ]
    return lines + [f"  inside it   {name}" for name in candidate.inside]


def _version(version: ModelVersion) -> list[str]:
    candidate, lineage = version.candidate, version.lineage
    lines = [f"{version.name} version {version.version}  {candidate.framework}".rstrip()]
    lines += [f"  {line}" for line in candidate.description.splitlines()]
    lines.append(
        f"  registered  {views.when(version.created)} by run {lineage.run}, step {lineage.producer or lineage.step}"
    )
    lines.append(f"  model       {candidate.artifact.format}, sha256 {candidate.artifact.digest[:16]}")
    lines += _carried(version)
    served = "onnx" if candidate.compiled else candidate.artifact.format
    lines.append(
        f"  served as   {served}" + (f" ({candidate.compile_note})" if candidate.compile_note else "")
    )
    if candidate.sample_rows:
        lines.append(f"  samples     {candidate.sample_rows} rows that every server must reproduce")
    if candidate.signature is not None:
        for tensor in candidate.signature.inputs[:40]:
            lines.append(f"  input       {tensor.name}  {tensor.datatype} {list(tensor.shape)}")
        for tensor in candidate.signature.outputs:
            lines.append(f"  output      {tensor.name}  {tensor.datatype} {list(tensor.shape)}")
    lines.append(f"  code        sha256 {lineage.code[:16]}")
    lines.append(f"  environment sha256 {lineage.environment[:16]}")
    lines += [f"  data        {name} {digest[:30]}" for name, digest in lineage.data.items()]
    if version.evaluation is not None:
        lines += ["", *str(version.evaluation).split("\n")]
    return lines
