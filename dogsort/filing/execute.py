"""Carrying out: file, undo, and what recovers either, all by the same steps.

Steps go in batches. A batch is written down, taken, put on disk with every folder that it changed,
and only then marked as done. What was cut off in between is finished by whoever comes next: the
next run, an undo, or, after a Ctrl-C, the run itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache, partial

from dogsort.errors import FilingError
from dogsort.filing.fileops import PARTIAL_NAME, FolderGone, Place, drop_partial
from dogsort.filing.journal import FOLDER_NAME, MOST, Journal, Run, State, Step
from dogsort.filing.lock import locked
from dogsort.filing.naming import Filing
from dogsort.filing.options import Action
from dogsort.filing.steps import DiskFailed, Extra, Folders, Lost, Missing, Way, delete, take

__all__ = ["STRANGE", "at_work", "carry_out", "put_back"]

#: Most steps of a batch: putting each on disk by itself would take far longer than the filing.
BATCH_FILES = 4096
#: Most bytes of a batch that may have to be copied, so that a bar moves, and a stop comes soon.
BATCH_BYTES = 1 << 26
#: Most folders of a batch: each is held open, and some systems let a process open 256 files.
BATCH_FOLDERS = 64

OWN = f"{FOLDER_NAME} and {PARTIAL_NAME} are dogsort's own and cannot be filed"

#: Why an interrupted run is not recovered.
STRANGE = "it filed photos from outside this folder, and this user did not begin it"


@contextmanager
def at_work(folder: str, trusted: Run | None = None) -> Iterator[tuple[Journal, list[str]]]:
    """Keep others out of a folder, and finish what runs or undos in it were cut off in.

    On an error or a Ctrl-C, the batch that was begun is finished, too.

    Args:
        folder: to be filed into, or undone; it is made if it is not there.
        trusted: a run that is finished even if it is somebody else's, for the user said so.

    Yields:
        Its journal, and what there is to say of runs that were cut off.

    Raises:
        FilingError: if another dogsort is at work there, or the journal cannot be read or written.
    """
    with locked(folder), closing(Journal(folder, create=True)) as journal:
        try:
            yield journal, _recover(journal, trusted)
        except DiskFailed:
            raise
        except BaseException:
            with suppress(FilingError):  # what came first is what is told
                _recover(journal, trusted)
            raise  # the run has not ended: the next one goes on with it
        for run in journal.runs():
            if run.stopped:
                journal.mark(run._replace(state="filed"))


def carry_out(
    filings: Iterable[Filing], action: Action, journal: Journal
) -> Iterator[tuple[Filing, FilingError | None]]:
    """File photos, in a folder that ``at_work`` keeps for us; goes on with a run that was killed.

    Yields:
        Each filing once it is on disk, or with the reason why it could not be done: the photo is
        then where it was.

    Raises:
        FilingError: if the journal cannot be written, or a disk fails; nothing more is filed then.
    """
    run = journal.begin(action)
    batch = _Batch(action)
    planned: list[Filing] = []
    unfiled: set[str] = set()
    folders = cache(partial(_real_folder, journal.below))
    for filing in filings:
        # What belongs to a photo goes in the same batch, or a kill in between would part them.
        if batch.is_full and filing.photo is None:
            yield from zip(planned, _file(batch.steps, journal, run), strict=True)
            batch, planned = _Batch(action), []
        try:
            if filing.belongs_to in unfiled:
                raise FilingError("its photo was not filed")
            batch.add(_step_of(filing, action, folders))
            planned.append(filing)
        except (FilingError, OSError) as error:
            unfiled.add(filing.source)
            yield filing, FilingError(str(getattr(error, "strerror", None) or error))
    if planned:
        ended = run._replace(state="filed")
        yield from zip(planned, _file(batch.steps, journal, ended), strict=True)


def put_back(journal: Journal, run: Run) -> Iterator[tuple[Step, FilingError | None]]:
    """Undo a run, the newest step first, in a folder that ``at_work`` keeps for us.

    What was done since is respected: a file that is not the one that was filed stays, nothing is
    overwritten, and a copy whose original is gone is kept. It may be stopped and begun again.

    Yields:
        Each step once it is undone, or with the reason why not.

    Raises:
        FilingError: if the journal cannot be written, or a disk fails; nothing more is undone then.
    """
    run = run._replace(state="undoing")
    left = journal.steps(run, "planned")
    for step in left:
        yield step, FilingError("cannot be reached, so it is unknown whether it was filed")
    missing: list[Step] = []
    back, before = 0, MOST
    while steps := journal.steps(run, "done", most=BATCH_FILES, before=before):
        batch = _Batch(run.action)
        for step in steps:
            if not batch.is_full:
                batch.add(step)
        before = batch.steps[-1].number
        journal.mark(run, batch.steps, "done", "returning")
        for step, error in _take(batch.steps, journal, run, "back", again=False):
            back += error is None
            missing += [step] * isinstance(error, Missing)
            left += [step] * (error is not None and not isinstance(error, Lost))
            yield step, error
    # If a later run has them, or it is as if a disk were not there, they may be there next time.
    later = [step for step in missing if not back or journal.moved_from(step.target)]
    if later:
        journal.mark(run, others=[(step, "done") for step in later])
        left += later
    if not left:
        _remove_folders(journal, run)
        journal.mark(run._replace(state="undone"))


class _Batch:
    """Steps that go together, and whether there are enough."""

    def __init__(self, action: Action) -> None:
        self.steps: list[Step] = []
        self._action = action
        self._bytes = 0
        self._devices: dict[str, int] = {}  # what the folders to be opened are, or will be, on

    @property
    def is_full(self) -> bool:
        return (
            len(self.steps) >= BATCH_FILES
            or self._bytes >= BATCH_BYTES
            or len(self._devices) >= BATCH_FOLDERS
        )

    def add(self, step: Step) -> None:
        self.steps.append(step)
        for folder in (step.place, step.folder):
            if folder not in self._devices:
                self._look(folder)
        if self._action == "copy" or self._devices[step.place] != self._devices[step.folder]:
            self._bytes += step.size

    def _look(self, folder: str) -> None:
        """Look at a folder, or the innermost around it that is there: the others are made."""
        paths = [folder]
        while not os.path.lexists(paths[-1]) and os.path.dirname(paths[-1]) != paths[-1]:
            paths.append(os.path.dirname(paths[-1]))
        device = -1
        with suppress(OSError):
            device = os.stat(paths[-1]).st_dev
        self._devices.update(dict.fromkeys(paths, device))


def _step_of(filing: Filing, action: Action, folders: Callable[[str, bool], str]) -> Step:
    """Make the step of a filing.

    Raises:
        FilingError: as ``_real_folder`` does, or if it is no file or one of our own.
        OSError: if it cannot be looked at.
    """
    place, folder = folders(filing.place, False), folders(filing.folder, True)
    if filing.name.casefold() in (FOLDER_NAME, PARTIAL_NAME):
        raise FilingError(OWN)
    status = os.stat(os.path.join(place, filing.name), follow_symlinks=action != "move")
    if not stat.S_ISREG(status.st_mode):
        raise FilingError("not a file")
    return Step(
        *(0, place, filing.name, folder, filing.new_name, filing.label, filing.photo is not None),
        *(status.st_size, status.st_mtime_ns, stat.S_IMODE(status.st_mode)),
    )


def _real_folder(below: str, folder: str, receives: bool) -> str:
    """Return a folder without links.

    Raises:
        FilingError: if it is to receive files, but leads out of the folder filed into; or is our
            own.
    """
    real = os.path.realpath(folder or os.curdir)
    if receives and not real.startswith(below):
        raise FilingError(f"{folder} is a link that leads elsewhere")
    if FOLDER_NAME in real.removeprefix(below).casefold().split(os.sep):
        raise FilingError(OWN)
    return real


def _file(steps: Sequence[Step], journal: Journal, run: Run) -> Iterator[FilingError | None]:
    """Put on disk what is about to be done, and do it."""
    new: dict[str, None] = {}
    for folder in {step.folder: None for step in steps}:
        outer = folder
        while outer not in new and not os.path.lexists(outer):
            new[outer] = None
            outer = os.path.dirname(outer)
    steps = journal.plan(run._replace(state="filing"), steps, new)
    return (error for _, error in _take(steps, journal, run, "there", again=False))


def _take(
    steps: Sequence[Step], journal: Journal, run: Run, way: Way, again: bool
) -> list[tuple[Step, FilingError | None]]:
    """Take the steps of a batch, and mark what became of each."""
    errors: list[FilingError | None] = []
    extras: dict[int, Extra] = {}
    photo_error: FilingError | None = None
    with closing(Folders(journal.folder)) as folders:
        if again:
            _drop_partials(steps, way, folders)
        for index, step in enumerate(steps):
            error = None
            try:
                # What went before a kill is taken all the same, or undo would not know of it.
                went = again and os.path.lexists(step.target)
                if way == "there" and step.sidecar and photo_error is not None and not went:
                    raise type(photo_error)("its photo was not filed")
                if (extra := take(step, run.action, way, again, folders)) is not None:
                    extras[index] = extra
            except FilingError as reason:
                error = reason
            photo_error = photo_error if step.sidecar else error
            errors.append(error)
        folders.sync()
        if extras:
            _delete(extras, steps, errors, way)
            folders.sync()
    usual: State = "done" if way == "there" else "undone"
    outcomes = list(zip(steps, errors, strict=True))
    others = [
        (step, _state_after(way, again or index in extras, error))
        for index, (step, error) in enumerate(outcomes)
        if error
    ]
    journal.mark(run, steps, "planned" if way == "there" else "returning", usual, others)
    return outcomes


def _delete(
    extras: Mapping[int, Extra], steps: Sequence[Step], errors: list[FilingError | None], way: Way
) -> None:
    """Delete what has two names, and note the errors: then it keeps both, or only the old one."""
    photo_error: FilingError | None = None
    for index, step in enumerate(steps):
        # If a disk does not answer, the photo still goes there.
        was_filed = photo_error is None or isinstance(photo_error, FolderGone)
        stays = way == "there" and step.sidecar and not was_filed
        try:
            if index in extras:
                reason = FilingError("its photo was not filed") if stays else None
                delete(extras[index], reason)
        except DiskFailed:
            raise
        except FilingError as error:
            errors[index] = error
        photo_error = photo_error if step.sidecar else errors[index]


def _state_after(way: Way, begun: bool, error: FilingError) -> State | None:
    if way == "back":
        return "lost" if isinstance(error, Lost) else "done"
    # Until its disk is there.
    return "planned" if begun and isinstance(error, FolderGone) else None


def _recover(journal: Journal, trusted: Run | None) -> list[str]:
    """Finish the batches that were cut off; return what there is to say of it."""
    said = []
    for run in journal.cut_off():
        planned, returning = journal.steps(run, "planned")[::-1], journal.steps(run, "returning")
        is_trusted = trusted is not None and run.token == trusted.token
        if (planned or returning) and not (is_trusted or journal.is_trusted(run)):
            said.append(f"the run of {run.started} was interrupted and is not recovered: {STRANGE}")
            continue
        outcomes = _take(planned, journal, run, "there", again=True) if planned else []
        outcomes += _take(returning, journal, run, "back", again=True) if returning else []
        if run.stopped:
            done = sum(error is None for _, error in outcomes)
            said.append(f"the run of {run.started} was interrupted; it is recovered: {done} files")
        said += [f"{step.source}: {error}" for step, error in outcomes if error is not None]
    return said


def _drop_partials(steps: Sequence[Step], way: Way, folders: Folders) -> None:
    """Delete the unfinished copies that were cut off."""
    for path in {step.folder if way == "there" else step.place for step in steps}:
        with suppress(FilingError, OSError):
            drop_partial(folders.open(path, receives=True))


def _remove_folders(journal: Journal, run: Run) -> None:
    """Remove the folders that a run made, where nobody uses them."""
    made = journal.new_folders(run)
    for first in range(0, len(made), BATCH_FOLDERS):
        with closing(Folders(journal.folder)) as folders:
            for folder in made[first : first + BATCH_FOLDERS]:
                outer, name = os.path.split(folder)
                with suppress(FilingError, OSError):  # gone, or not empty
                    place = Place(folders.open(outer), name)
                    os.rmdir(place.entry, dir_fd=place.descriptor)
            folders.sync()
