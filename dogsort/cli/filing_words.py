"""Filing as it is done and told, for ``dogsort PATH... --move`` and ``dogsort file``."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable

from dogsort.cli.options import Talk, stdout_for_rows
from dogsort.cli.taking_back import undo_command
from dogsort.errors import FilingError
from dogsort.results.output import complete_file, writing
from dogsort.results.summary import printable, size_text
from dogsort.results.tables import open_text
from dogsort.sorting.journal import Journal
from dogsort.sorting.plan import Action, Filing, Planner
from dogsort.sorting.preview import sizes_of, write_plan
from dogsort.sorting.runs import carry_out, filing_into

__all__ = ["file_photos", "passed_over", "show_plan"]

PAST: dict[Action, str] = {
    "move": "moved",
    "copy": "copied",
    "link": "linked",
    "hardlink": "linked",
}


def show_plan(planner: Planner, output: str | None, talk: Talk) -> None:
    """Say what would be done: how much, to stderr; each step, as the table of this run."""
    filings, action = _filings(planner, talk), planner.wishes.action
    sizes = sizes_of(filings)
    if output is not None and output != "-":
        with complete_file(output) as partial, writing(output), open_text(partial) as file:
            write_plan(filings, sizes, action, file)
    elif output == "-" or sys.stdout is None or not sys.stdout.isatty():
        with writing("standard output"):
            write_plan(filings, sizes, action, stdout_for_rows())
    else:
        for filing in filings:
            talk.data(f"{action} {printable(filing.source)} -> {printable(filing.target)}")
    _say_what_stays(planner, talk)
    counts = Counter(_kind(filing) for filing in filings)
    talk.say(f"would be {PAST[action]}: {_counted(counts)}, {size_text(sum(sizes))}")


def file_photos(planner: Planner, talk: Talk) -> int:
    """Carry out a plan; return how many files could not be filed.

    Raises:
        KeyboardInterrupt: if interrupted; it says how far the filing came.
    """
    filings, wishes = _filings(planner, talk), planner.wishes
    _say_what_stays(planner, talk)
    past = PAST[wishes.action]
    if not filings:
        talk.say(f"{past}: nothing")
        return 0
    undo = undo_command(wishes.folder)
    done: Counter[str] = Counter()
    failed = 0
    journal: Journal | None = None
    try:
        with (
            talk.bar("file", len(filings)) as advance,
            filing_into(wishes.folder, wishes.action) as journal,
        ):
            for filing, error in carry_out(filings, journal):
                source = printable(filing.source)
                if error is not None:
                    talk.warn(f"{source}: not filed: {printable(str(error))}")
                    failed += 1
                else:
                    done[_kind(filing)] += 1
                    talk.detail(f"{wishes.action} {source} -> {printable(filing.target)}")
                advance()
    except (KeyboardInterrupt, FilingError) as error:
        # The journal's count has the one that was interrupted, too, if it was filed.
        count = journal.outcomes.count("done") if journal else 0
        so_far = f"{count} of {len(filings)} files were {past}"
        others = f"the others are as they were; to take it back: {undo}"
        if isinstance(error, FilingError):
            raise FilingError(f"{error}; {so_far}, {others}") from error
        raise KeyboardInterrupt(f"{so_far}, {others}") from None
    talk.say(f"{past}: {_counted(done)}" + (f"; {failed} could not be" if failed else ""))
    if done:
        talk.say(f"to take it back: {undo}")
    return failed


def passed_over(folder: str, talk: Talk) -> Callable[[str], None]:
    """Return what says that earlier runs filed into a place, once for many that lie together."""
    real = os.path.join(os.path.realpath(folder), "")
    said: set[str] = set()

    def say(place: str) -> None:
        if os.path.realpath(place).startswith(real):
            first, _, inner = os.path.realpath(place).removeprefix(real).partition(os.sep)
            outer = os.path.join(folder, first)
            if not inner:
                talk.say(f"{printable(outer)}: an earlier run filed into it, passed over")
                return
        else:  # such a run filed elsewhere
            outer = os.path.dirname(place)
        if outer not in said:  # with --keep-tree, there may be hundreds
            talk.say(
                f"{printable(outer)}: folders in it that earlier runs filed into are passed over"
            )
        said.add(outer)
        talk.detail(f"{printable(place)}: passed over")

    return say


def _say_what_stays(planner: Planner, talk: Talk) -> None:
    for target, link in planner.links.items():
        talk.say(f"{printable(link)}: a link to {printable(target)}; both stay where they are")
    for link, target in planner.outward.items():
        talk.detail(f"{printable(link)}: a link out of the folders named, to {printable(target)}")
    if planner.outward:
        count = len(planner.outward)
        talk.say(f"links that lead out of the folders named, so left where they are: {count}")
    for path in planner.shared:
        talk.say(f"{printable(path)}: stays, since not all photos of its name go the same way")
    if planner.in_place:
        talk.say(f"in the folder of their label already: {planner.in_place}")
    for source, name in planner.already.items():
        talk.detail(f"{printable(source)}: already there as {printable(name)}")
    if planner.already:
        count = len(planner.already)
        talk.say(f"already there, or the same as another one, so not filed again: {count}")
    _name_conflicts(planner, talk)
    if planner.conflicts:
        stay = planner.wishes.on_conflict == "skip"
        what = "so left where they are" if stay else "so filed under other names"
        talk.say(f"names that another file has, {what}: {len(planner.conflicts)}")


def _filings(planner: Planner, talk: Talk) -> list[Filing]:
    try:
        return planner.filings()
    except FilingError as error:
        if talk.verbose:
            _name_conflicts(planner, talk)
            raise
        raise FilingError(f"{error}; -v names them all") from None


def _name_conflicts(planner: Planner, talk: Talk) -> None:
    for source, name in planner.conflicts.items():
        talk.detail(f"{printable(source)}: another file has the name {printable(name)}")


def _kind(filing: Filing) -> str:
    return "sidecar" if filing.belongs_to else filing.label


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "nothing"
