"""The resuming half of ``dogsort PATH... -o FILE --resume``: look back, and say what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from dogsort.cli.options import Talk
from dogsort.results.resume import Run
from dogsort.results.summary import printable

if TYPE_CHECKING:
    from dogsort.classifier import Classifier

__all__ = ["begin_run", "end_run"]


def begin_run(
    output: str | None, paths: Sequence[str], classifier: Classifier, resume: bool, talk: Talk
) -> Run | None:
    """Return a run into a file, with ``resume`` one that knows what earlier ones found out."""
    if output is None or output == "-":
        return None
    run = Run(output, paths, classifier)
    if resume:
        if run.look_back():
            talk.say(f"{printable(output)}: rows made with other weights are not taken over")
        elif not run.known:
            talk.say(f"{printable(output)}: no rows of an earlier run are known")
    return run


def end_run(run: Run | None, resume: bool, talk: Talk) -> None:
    """Say what came of looking back."""
    if run is None or not resume:
        return
    talk.say(f"rows taken over from earlier runs: {run.taken_over}")
    if run.known:
        talk.say(
            f"known, but not among the photos now, so kept for --resume and left out of the table: "
            f"{len(run.known)}"
        )
    for partial in run.removed:
        talk.say(f"{printable(partial)}: removed, as all its photos are in {printable(run.table)}")
