"""``dogsort undo [FOLDER]``: put back what the last run filed."""

from __future__ import annotations

import os
from itertools import zip_longest

import click

from dogsort.cli.options import HELP, SOME_FAILED, Talk, talk_options
from dogsort.cli.taking_back import described, put_back
from dogsort.errors import FilingError
from dogsort.photos.scan import check_paths
from dogsort.results.summary import printable
from dogsort.sorting.journals import journals_of, sources_of
from dogsort.sorting.lock import at_work

__all__ = ["undo"]


@click.command("undo", context_settings=HELP)
@click.argument("folder", metavar="[FOLDER]", default=".")
@click.option("--list", "only_list", is_flag=True, help="Only tell which runs there were.")
@talk_options
def undo(folder: str, only_list: bool, quiet: bool, verbose: bool, no_progress: bool) -> int:
    """Put back what the last --move, --copy, --link or --hardlink into FOLDER filed.

    Once more goes back to the run before. A file that was changed since stays where it is, nothing
    is overwritten, and what could not be put back is named.
    """
    check_paths([folder])
    if not os.path.isdir(folder):
        raise FilingError(f"{folder}: is not a folder; name the one that was filed into")
    talk = Talk(quiet, verbose, no_progress)
    if only_list:
        for journal in journals_of(folder):
            talk.data(described(journal))
        return 0
    journals = journals_of(folder)
    if not journals:
        raise FilingError(
            f"{folder}: nothing was filed into it; name the folder of photos, or what --to named"
        )
    with at_work(folder, sources_of(journals)) as found:
        for line in found:
            talk.warn(printable(line))
        journals = [journal for journal in journals_of(folder) if not journal.closed]
        if not journals:
            raise FilingError(f"{folder}: everything that was filed is undone already")
        code = 0
        # What was killed comes first.
        journals.sort(key=lambda one: (one.stopped, one.run), reverse=True)
        for journal, other in zip_longest(journals, journals[1:]):
            was_stuck = journal.stuck
            back, left = put_back(journal, talk)
            code = SOME_FAILED if left else code
            if back or not left or other is None:
                break
            # Said once before an older run is taken back, which may not be what is wanted.
            journal.note_stuck()
            journal.close()
            if not was_stuck:
                talk.say(f"to go on to the run begun {other.started}, call undo once more")
                break
            talk.say(f"nothing of it can be put back now; that begun {other.started} is next")
        return code
