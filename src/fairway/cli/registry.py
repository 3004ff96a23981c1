"""Commands on registered models."""

from pathlib import Path

import click

from fairway.cli import downloading, looking, targeting, views
from fairway.cli.arguments import Argument
from fairway.cli.asking import ask
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted
from fairway.cli.whereabouts import elsewhere
from fairway.engine import packages
from fairway.plan.versions import differences, headline
from fairway.spec.errors import EXIT_DONE
from fairway.spec.model import ModelVersion
from fairway.spec.quantities import format_memory
from fairway.wiring import packages as packaging
from fairway.wiring import settings


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
    with targeting.acting() as platform:
        served = ask(platform.alias(model, alias, version)).can_be_served or not version
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
@models_command.command("export")
@click.argument("model", cls=Argument, completes="model")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--sign",
    metavar="KEY",
    type=click.Path(path_type=Path),
    help="Sign the package with this SSH key of yours. ssh-keygen reads it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def export_command(model: str, folder: Path, sign: Path | None, as_json: bool) -> int:
    """Write MODEL, MODEL:VERSION or MODEL@ALIAS to FOLDER with everything that a server needs.

    The package has a digest, which stands for every byte in it. Nothing of the model is run.

    \b
    Example:
      fairway models export churn:3 ../churn-3 --sign ~/.ssh/id_ed25519
    """
    platform = looking.opened()
    version = ask(platform.resolve(model))
    digest = ask(packages.write(platform, version, folder, packaging.signing(sign)))
    if as_json:
        show_json(
            {
                "model": version.name,
                "version": version.version,
                "folder": str(folder),
                "digest": digest,
                "signed": sign is not None,
            }
        )
    else:
        report(f"{version} is written to {folder}{', signed' if sign else ''}, sha256 {digest}")
        report(
            f"hint: `fairway models import {folder} --trust ALLOWED_SIGNERS` takes it from signers that a file names"
            if sign
            else f"hint: `fairway models import {folder} --digest {digest}` takes exactly this package"
        )
    return EXIT_DONE


@models_command.command("import")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--digest", default="", help="The digest that the package must have, as the export printed it.")
@click.option(
    "--trust",
    metavar="ALLOWED_SIGNERS",
    type=click.Path(path_type=Path),
    help="Take the package only if one of the signers in this file has signed it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def import_command(folder: Path, digest: str, trust: Path | None, as_json: bool) -> int:
    """Register the model in FOLDER, which `fairway models export` wrote, as the next version of its name here.

    A package with a changed byte is refused, and so is a model that can only be served by running code of its own.

    \b
    Example:
      fairway models import ../churn-3 --trust ALLOWED_SIGNERS
    """
    version, package = packaging.take(settings.store_root(), folder, digest, trust)
    if as_json:
        show_json(version)
        return EXIT_DONE
    if package.signer:
        report(f"the package is signed by {package.signer}")
    elif package.signed:
        report(
            "the signature of the package is not checked",
            "hint: `--trust ALLOWED_SIGNERS` checks whose it is",
        )
    else:
        report("the package is not signed")
    name = f"{version.name}:{version.version}"
    report(f"{name} is registered", f"hint: `fairway deploy {name}` serves it")
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
    first, second = (ask(platform.resolve(name)) for name in (model, other))
    differing = differences(first, second)
    if as_json:
        show_json({"models": [model, other], "differences": differing})
    elif not differing:
        show("no differences in metrics, parameters, code, environment or data")
    else:
        show(*views.table(("", model, other), [(key, *pair) for key, pair in differing.items()]))
    return EXIT_DONE


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
