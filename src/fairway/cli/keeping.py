"""Commands that keep house: words and notes on runs, and the removal of what is not needed any more."""

import click

from fairway.cli import targeting
from fairway.cli.arguments import Argument
from fairway.cli.asking import ask
from fairway.cli.story import report, show, show_json
from fairway.cli.targeting import targeted
from fairway.cli.views import table
from fairway.spec.errors import EXIT_DONE
from fairway.spec.quantities import format_memory


@targeted
@click.command("rm")
@click.argument("names", nargs=-1, required=True, cls=Argument, completes="run")
@click.option("--yes", is_flag=True, help="Really remove; without it, only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def rm_command(names: tuple[str, ...], yes: bool, as_json: bool) -> int:
    """Say what the removal of RUN or MODEL:VERSION would free, and with --yes remove it.

    A version that an alias names or an endpoint serves stays, and so does a run whose model is still there. The log keeps
    the record of what was done, and `fairway gc` frees the room.

    \b
    Example:
      fairway rm k7m2 churn:3
    """
    with targeting.acting() as platform:
        found = ask(platform.remove(list(names), really=yes))
    if as_json:
        show_json({"removed": yes, "items": found})
        return EXIT_DONE
    show(*table(("name", "frees"), [(one.name, format_memory(one.size)) for one in found]))
    if yes:
        report(f"removed {len(found)}", "hint: `fairway gc --delete` frees the room")
    else:
        report("nothing is removed yet", f"hint: `fairway rm {' '.join(names)} --yes` removes it")
    return EXIT_DONE


@targeted
@click.command("tag")
@click.argument("run", cls=Argument, completes="run")
@click.argument("words", nargs=-1, required=True)
@click.option("--remove", is_flag=True, help="Take the words off.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def tag_command(run: str, words: tuple[str, ...], remove: bool, as_json: bool) -> int:
    """Put WORDS on RUN, by which `fairway runs --tag WORD` finds it.

    \b
    Example:
      fairway tag k7m2 baseline
    """
    with targeting.acting() as platform:
        name = ask(platform.find(run))
        for word in words:
            ask(platform.tag(name, word, present=not remove))
        tags = ask(platform.run(name)).tags
    if as_json:
        show_json({"run": name, "tags": tags})
    else:
        report(f"run {name} has {'the tags ' + ' '.join(tags) if tags else 'no tags'}")
    return EXIT_DONE


@targeted
@click.command("note")
@click.argument("run", cls=Argument, completes="run")
@click.argument("text")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def note_command(run: str, text: str, as_json: bool) -> int:
    """Write TEXT on RUN, which `fairway show` and `fairway runs` print. An empty text removes it.

    \b
    Example:
      fairway note k7m2 "before the new features"
    """
    with targeting.acting() as platform:
        name = ask(platform.find(run))
        ask(platform.note(name, text))
    if as_json:
        show_json({"run": name, "note": text})
    else:
        report(f"run {name} has the note: {text}" if text else f"run {name} has no note")
    return EXIT_DONE
