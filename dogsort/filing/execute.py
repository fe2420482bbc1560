"""Execute a plan, undo it, and recover either, all with the same steps.

Steps go in batches. A batch is recorded, taken, flushed to disk with every folder that it changed,
and only then marked as done. If it is interrupted in between, the next run or undo finishes it, or
after Ctrl-C the run itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from functools import cache, partial

from dogsort.errors import FilingError
from dogsort.filing.fileops import PARTIAL_NAME, FolderGone, Place, drop_partial
from dogsort.filing.journal import FOLDER_NAME, MOST, Journal, Run, State, Step, reading
from dogsort.filing.lock import locked
from dogsort.filing.naming import Filing
from dogsort.filing.options import Action
from dogsort.filing.steps import DiskFailed, Extra, Folders, Lost, Missing, Way, delete, take

__all__ = ["STRANGE", "at_work", "carry_out", "put_back", "run_to_undo"]

#: Most steps in a batch. Each batch flushes much of a large folder, wherever its files are in it;
#: an interrupt waits for the batch, which takes half a second on a local disk.
BATCH_FILES = 8192
#: Most bytes that a batch copies, so that the bar moves and an interrupt takes effect soon.
BATCH_BYTES = 1 << 26
#: Most folders in a batch: each is held open, and some systems limit a process to 256 open files.
BATCH_FOLDERS = 64

OWN = f"{FOLDER_NAME} and {PARTIAL_NAME} are dogsort's own and cannot be filed"

#: Why an interrupted run is not recovered.
STRANGE = "it filed photos from outside this folder, and this user did not begin it"


@contextmanager
def at_work(folder: str, trusted: Run | None = None) -> Iterator[tuple[Journal, list[str]]]:
    """Lock a folder, and recover interrupted runs and undos in it.

    On an error or Ctrl-C, the current batch is finished, too.

    Args:
        folder: the folder to file into or undo in; created if missing.
        trusted: somebody else's run that the user has agreed to recover.

    Yields:
        Its journal, and messages about interrupted runs.

    Raises:
        FilingError: if another dogsort is at work there, or the journal cannot be read or written.
    """
    with locked(folder), closing(Journal(folder, create=True)) as journal:
        try:
            yield journal, _recover(journal, trusted)
        except DiskFailed:
            raise
        except BaseException:
            with suppress(FilingError):  # report the first error
                _recover(journal, trusted)
            raise  # the run is unfinished, so the next one continues it
        for run in journal.runs():
            if run.stopped:
                journal.mark(run._replace(state="filed"))


def carry_out(
    filings: Iterable[Filing], action: Action, journal: Journal
) -> Iterator[tuple[Filing, FilingError | None]]:
    """File photos into a folder locked by ``at_work``, or continue a killed run.

    Yields:
        Each filing once it is on disk, with an error if it failed: the photo is then where it was.

    Raises:
        FilingError: if the journal cannot be written, or a disk fails; filing then stops.
    """
    run = journal.begin(action)
    batch = _Batch(action)
    planned: list[Filing] = []
    unfiled: set[str] = set()
    folders = cache(partial(_real_folder, journal.below))
    for filing in filings:
        # Sidecars go in the batch of their photo, or a kill could separate them.
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


def run_to_undo(folder: str, trust: bool = False) -> Run | None:
    """Return the last run into a folder that was not undone; None if there is none.

    Args:
        folder: the folder that was filed into.
        trust: whether the run may be somebody else's, who could put files outside the folder.

    Raises:
        FilingError: if it is somebody else's, or the journal cannot be read.
    """
    with reading(folder) as journal:
        runs = [run for run in journal.runs() if run.state != "undone"] if journal else []
        if not journal or not runs:
            return None
        if not trust and not journal.is_trusted(runs[-1]):
            raise FilingError(f"{folder}: not undone: the run of {runs[-1].started}: {STRANGE}")
        return runs[-1]


def put_back(journal: Journal, run: Run) -> Iterator[tuple[Step, FilingError | None]]:
    """Undo a run, newest step first, in a folder locked by ``at_work``.

    It respects later changes: a file that is not the one filed stays, nothing is overwritten, and a
    copy whose original is gone is kept. It can be interrupted and continued.

    Yields:
        Each step once it is undone, with an error if it failed.

    Raises:
        FilingError: if the journal cannot be written, or a disk fails; undoing then stops.
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
    # If a later run moved them, or a disk seems to be missing, they may be there next time.
    later = [step for step in missing if not back or journal.moved_from(step.target)]
    if later:
        journal.mark(run, others=[(step, "done") for step in later])
        left += later
    if not left:
        _remove_folders(journal, run)
        journal.mark(run._replace(state="undone"))


class _Batch:
    """Steps that go together, and whether the batch is full."""

    def __init__(self, action: Action) -> None:
        self.steps: list[Step] = []
        self._action = action
        self._bytes = 0
        self._devices: dict[str, int] = {}  # by folder, existing or planned

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
        """Find the device of a folder, from its innermost existing parent if it is missing."""
        paths = [folder]
        while not os.path.lexists(paths[-1]) and os.path.dirname(paths[-1]) != paths[-1]:
            paths.append(os.path.dirname(paths[-1]))
        device = -1
        with suppress(OSError):
            device = os.stat(paths[-1]).st_dev
        self._devices.update(dict.fromkeys(paths, device))


def _step_of(filing: Filing, action: Action, folders: Callable[[str, bool], str]) -> Step:
    """Make the step for a filing.

    Raises:
        FilingError: as ``_real_folder`` does, or if it is not a file, or is dogsort's own.
        OSError: if the file cannot be accessed.
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
    """Return a folder's real path.

    Raises:
        FilingError: if it is to receive files but leads out of the folder filed into, or if it is
            dogsort's own.
    """
    real = os.path.realpath(folder or os.curdir)
    if receives and not real.startswith(below):
        raise FilingError(f"{folder} is a link that leads elsewhere")
    if FOLDER_NAME in real.removeprefix(below).casefold().split(os.sep):
        raise FilingError(OWN)
    return real


def _file(steps: Sequence[Step], journal: Journal, run: Run) -> Iterator[FilingError | None]:
    """Record steps in the journal, and take them."""
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
    """Take the steps of a batch, and mark their outcomes."""
    errors: list[FilingError | None] = []
    extras: dict[int, Extra] = {}
    photo_error: FilingError | None = None
    with closing(Folders(journal.folder)) as folders:
        if again:
            _drop_partials(steps, way, folders)
        for index, step in enumerate(steps):
            error = None
            try:
                # A sidecar that went before a kill is taken anyway, or undo would not know of it.
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
    """Delete one of two names of each file; note errors: it then keeps both, or the old one."""
    for index, extra in extras.items():
        photo = next((one for one in range(index, -1, -1) if not steps[one].sidecar), index)
        # If a disk does not answer, the photo still counts as filed.
        was_filed = errors[photo] is None or isinstance(errors[photo], FolderGone)
        stays = way == "there" and not was_filed
        try:
            delete(extra, FilingError("its photo was not filed") if stays else None)
        except DiskFailed:
            raise
        except FilingError as error:
            errors[index] = error


def _state_after(way: Way, begun: bool, error: FilingError) -> State | None:
    if way == "back":
        return "lost" if isinstance(error, Lost) else "done"
    # It stays planned until its disk is back.
    return "planned" if begun and isinstance(error, FolderGone) else None


def _recover(journal: Journal, trusted: Run | None) -> list[str]:
    """Finish interrupted batches; return messages about them."""
    said = []
    for run in journal.cut_off():
        planned, returning = journal.steps(run, "planned")[::-1], journal.steps(run, "returning")
        is_trusted = trusted is not None and run.token == trusted.token
        if (planned or returning) and not (is_trusted or journal.is_trusted(run)):
            said.append(f"the run of {run.started} was interrupted and is not recovered: {STRANGE}")
            continue
        filed = _take(planned, journal, run, "there", again=True) if planned else []
        returned = _take(returning, journal, run, "back", again=True) if returning else []
        outcomes = filed + returned
        if run.stopped:
            done = sum(error is None for _, error in outcomes)
            what = "put back" if returned else "filed"
            said.append(
                f"the run of {run.started} was interrupted; now finished: {done} files {what}"
            )
        said += [f"{step.source}: {error}" for step, error in outcomes if error is not None]
    return said


def _drop_partials(steps: Sequence[Step], way: Way, folders: Folders) -> None:
    """Delete unfinished copies."""
    for path in {step.folder if way == "there" else step.place for step in steps}:
        with suppress(FilingError, OSError):
            drop_partial(folders.open(path, receives=True))


def _remove_folders(journal: Journal, run: Run) -> None:
    """Remove the folders that a run made, if they are empty."""
    made = journal.new_folders(run)
    for first in range(0, len(made), BATCH_FOLDERS):
        with closing(Folders(journal.folder)) as folders:
            for folder in made[first : first + BATCH_FOLDERS]:
                outer, name = os.path.split(folder)
                with suppress(FilingError, OSError):  # gone, or not empty
                    place = Place(folders.open(outer), name)
                    os.rmdir(place.entry, dir_fd=place.descriptor)
            folders.sync()
