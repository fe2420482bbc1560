"""Paths -> photos."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pathspec import GitIgnoreSpec

from dogsort.errors import FilingError, PathNotFound
from dogsort.photos.scan import Scan, check_paths
from dogsort.records import Failure, Photo


def make(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def found(*paths: object, **options) -> list[str]:
    return [item.path for item in Scan(map(str, paths), **options)]


def test_folder_is_walked_in_sorted_order_photos_first(tmp_path):
    make(
        tmp_path, "b.jpg", "a.JPG", "sub/c.heic", "sub/.d.jpg", ".git/e.jpg", "notes.txt", "mov.MOV"
    )
    root = str(tmp_path)
    assert found(root) == [
        os.path.join(root, *p.split("/")) for p in ("a.JPG", "b.jpg", "sub/c.heic")
    ]


def test_named_files_are_taken_whatever_they_are_called(tmp_path):
    make(tmp_path, ".hidden.jpg", "no_extension")
    paths = [str(tmp_path / ".hidden.jpg"), str(tmp_path / "no_extension")]
    assert found(*paths) == paths


def test_paths_stay_as_they_were_given(tmp_path, monkeypatch):
    make(tmp_path, "sub/a.jpg")
    monkeypatch.chdir(tmp_path)
    assert found(".") == [os.path.join(".", "sub", "a.jpg")]
    assert found("sub/") == ["sub/a.jpg"]


@pytest.mark.parametrize("order", [("", "sub"), ("sub", ""), ("sub/a.jpg", ""), ("", "sub/a.jpg")])
def test_overlapping_paths_give_each_photo_once(tmp_path, order):
    make(tmp_path, "sub/a.jpg", "b.jpg")
    assert sorted(os.path.basename(path) for path in found(*(tmp_path / o for o in order))) == [
        "a.jpg",
        "b.jpg",
    ]


def test_hidden_file_named_after_its_folder_is_still_taken(tmp_path):
    make(tmp_path, ".a.jpg")
    assert found(tmp_path, tmp_path / ".a.jpg") == [str(tmp_path / ".a.jpg")]


def test_loops_of_links_are_failures_and_the_walk_goes_on(tmp_path):
    make(tmp_path, "sub/a.jpg", "z.jpg")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "self.jpg").symlink_to("self.jpg")
    (tmp_path / "self").symlink_to("self")
    scan = Scan([str(tmp_path)])
    items = list(scan)
    failures = {Path(item.path).name: item.error for item in items if isinstance(item, Failure)}
    assert failures == dict.fromkeys(("self.jpg", "self"), "a loop of links")
    assert scan.links == [str(tmp_path / "sub" / "up")]
    assert [Path(item.path).name for item in items if isinstance(item, Photo)] == ["z.jpg", "a.jpg"]


def test_folders_are_passed_over_below_others_only(tmp_path):
    for place in ("", "dog", "cat", "dog/old"):
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / "a.jpg").touch()
    dog, said = str(tmp_path / "dog"), list[str]()
    gone, old, root = str(tmp_path / "gone"), str(tmp_path / "dog" / "old"), str(tmp_path)
    told = {root: [dog, old, gone]}.get

    def walked(*paths: str) -> list[str]:
        scan = Scan(paths, lambda folder: told(folder, []))
        items = list(scan)
        said.extend(scan.passed_over)
        return [str(Path(item.path).relative_to(tmp_path)).replace(os.sep, "/") for item in items]

    assert walked(root) == ["a.jpg", "cat/a.jpg"]
    assert said == [dog]
    assert walked(dog) == ["dog/a.jpg", "dog/old/a.jpg"]
    assert walked(root, dog) == ["a.jpg", "cat/a.jpg", "dog/a.jpg", "dog/old/a.jpg"]
    assert said == [dog, dog]


def test_a_folder_of_which_nobody_can_tell_is_not_walked(tmp_path):
    make(tmp_path, "a.jpg", "sorted/b.jpg", "z/c.jpg")

    def told(folder: str) -> list[str]:
        if folder.endswith("sorted"):
            raise FilingError("damaged")
        return []

    items = list(Scan([str(tmp_path)], told))
    assert items[1] == Failure(str(tmp_path / "sorted"), "damaged")
    assert [Path(item.path).name for item in items] == ["a.jpg", "sorted", "c.jpg"]


def test_links_to_folders_are_named_but_not_followed(tmp_path):
    make(tmp_path, "album/a.jpg", "elsewhere/b.jpg")
    (tmp_path / "album" / "more").symlink_to(tmp_path / "elsewhere")
    scan = Scan([str(tmp_path / "album")])
    assert [item.path for item in scan] == [str(tmp_path / "album/a.jpg")]
    assert scan.links == [str(tmp_path / "album" / "more")]
    # A link that was not followed was not seen, so it is taken if given by itself.
    given = [tmp_path / "album", tmp_path / "album" / "more"]
    assert len(found(*given)) == 2
    assert len(found(tmp_path / "album", tmp_path / "album" / "more" / "b.jpg")) == 2


def test_what_matches_a_glob_is_left_out(tmp_path):
    make(tmp_path, "a.jpg", "2019/a.jpg", "2019/b.png", "thumbs/c.jpg", "2020/thumbs/d.jpg")
    for globs, left in (
        (["thumbs/"], ["a.jpg", "2019/a.jpg", "2019/b.png"]),
        (["/2019"], ["a.jpg", "2020/thumbs/d.jpg", "thumbs/c.jpg"]),
        (["*.jpg", "!/a.jpg"], ["a.jpg", "2019/b.png"]),
    ):
        scan = Scan([str(tmp_path)], exclude=GitIgnoreSpec.from_lines(globs).match_file)
        assert [str(Path(item.path).relative_to(tmp_path)) for item in scan] == left
        assert scan.excluded > 0


def test_what_is_no_photo_is_counted_by_kind(tmp_path):
    make(tmp_path, "a.jpg", "b.mov", "sub/c.MP4", "d.CR2", "e.jxl", "README", ".hidden")
    scan = Scan([str(tmp_path)])
    assert len(list(scan)) == 1
    assert scan.ignored == {"video": 2, "raw file": 1, ".jxl": 1, "file without a suffix": 1}


def test_scan_is_lazy(tmp_path):
    make(tmp_path, "a/1.jpg", "b/2.jpg")
    walk = iter(Scan([str(tmp_path)]))
    next(walk)
    make(tmp_path, "b/3.jpg")
    assert len(list(walk)) == 2


def test_each_photo_once_whatever_links_lead_to_its_folder(tmp_path):
    make(tmp_path, "album/a.jpg", "album/b.jpg")
    (tmp_path / "link").symlink_to("album")
    album, link = tmp_path / "album", tmp_path / "link"
    for paths in ((album / "a.jpg", link / "a.jpg"), (album, link), (album, link / "b.jpg")):
        names = [os.path.basename(path) for path in found(*paths)]
        assert len(names) == len(set(names))
    assert len(found(link / "b.jpg", album)) == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such paths")
def test_folders_may_nest_deeply(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for _ in range(1100):
        os.mkdir("d")
        os.chdir("d")
    (tmp_path / "z.jpg").write_bytes(b"x")
    bottom = os.open(".", os.O_RDONLY)
    os.chdir(tmp_path)
    photos = found(".")
    # Removed step by step, because pytest's clean-up fails at such depths.
    os.fchdir(bottom)
    os.close(bottom)
    for _ in range(1100):
        os.chdir("..")
        os.rmdir("d")
    assert photos == [os.path.join(".", "z.jpg")]


def test_a_nul_in_a_name_is_a_failure():
    (failure,) = Scan(["a\0b"])
    assert "--null" in failure.error


def test_missing_path_is_named(tmp_path):
    with pytest.raises(PathNotFound, match="nowhere"):
        check_paths([str(tmp_path), str(tmp_path / "nowhere")])
    assert list(Scan([str(tmp_path / "nowhere")])) == [
        Failure(str(tmp_path / "nowhere"), "no such file")
    ]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may look anywhere")
def test_folder_without_permission_is_a_failure(tmp_path):
    make(tmp_path, "closed/a.jpg", "b.jpg")
    (tmp_path / "closed").chmod(0)
    try:
        items = list(Scan([str(tmp_path)]))
    finally:
        (tmp_path / "closed").chmod(0o755)
    assert items == [
        Photo(str(tmp_path / "b.jpg")),
        Failure(str(tmp_path / "closed"), "no permission to open it"),
    ]


PROGRAMS = (
    *("@eaDir", "#recycle", "$RECYCLE.BIN", "System Volume Information", "lost+found"),
    *("Old.photoslibrary", "Catalog Previews.lrdata", "Catalog.LRLIBRARY", "Old.aplibrary"),
    *("Old.photolibrary", "2024.cocatalogdb"),
)


def test_folders_of_programs_are_passed_over_and_named(tmp_path):
    make(tmp_path, *(f"{name}/sub/a.jpg" for name in PROGRAMS), "recycled/b.jpg", ".Trash-1/c.jpg")
    scan = Scan([str(tmp_path)])
    assert [item.path for item in scan] == [str(tmp_path / "recycled" / "b.jpg")]
    assert sorted(scan.program_folders) == sorted(str(tmp_path / name) for name in PROGRAMS)
    for name in PROGRAMS:  # a folder that is named, one in it, a file in it
        photo = str(tmp_path / name / "sub" / "a.jpg")
        for path in (tmp_path / name, tmp_path / name / "sub", photo):
            scan = Scan([str(path)])
            assert [item.path for item in scan] == [photo]
            assert scan.program_folders == []


def test_photos_in_folders_of_programs_stay(dogsort, album):
    """Whether they are found or listed in a table, but not if they are named."""
    thumbnails = album / "@eaDir" / "kitten"
    thumbnails.mkdir(parents=True)
    (album / "kitten.jpeg").rename(thumbnails / "kitten.jpeg")
    how = "a program's own folder, skipped; name it"
    root = album.parent
    run = dogsort("album", "--move", "--dry-run", cwd=root)
    said = f"{Path('album', '@eaDir')}: {how} as a PATH to include it\n"
    assert run.stderr.decode().replace(os.linesep, "\n").count(said) == 1
    assert b"kitten" not in run.stdout

    (root / "t.csv").write_text("path,label\nalbum/@eaDir/kitten/kitten.jpeg,cat\n")
    to_sorted = ("--move", "--dry-run", "--to", "sorted")
    run = dogsort("file", "t.csv", *to_sorted, cwd=root)
    assert f"{how} with --photos to include it" in run.stderr.decode()
    assert b"kitten" not in run.stdout
    run = dogsort("file", "t.csv", *to_sorted, "--photos", "album/@eaDir", cwd=root)
    assert b"kitten" in run.stdout

    for path in ("album/@eaDir", "album/@eaDir/kitten", "album/@eaDir/kitten/kitten.jpeg"):
        assert b"kitten" in dogsort(path, *to_sorted, cwd=root).stdout
    for path in ("album/@eaDir", "album/@eaDir/kitten"):
        assert dogsort(path, "album", "-o", "p.csv", cwd=root).returncode == 0
        assert b"kitten" in dogsort("file", "p.csv", *to_sorted, cwd=root).stdout


def test_all_commands_pass_over_folders_of_programs(dogsort, album):
    (album / "dog" / "@eaDir").mkdir(parents=True)
    (album / "running_dog.jpeg").rename(album / "dog" / "1.jpeg")
    make(album, "dog/@eaDir/broken.jpg")
    for command in (["eval"], ["submit", "-o", album / "s.csv"], ["bench"]):
        run = dogsort(*command, album / "dog")
        assert run.returncode == 0, run.stderr.decode()
        assert run.stderr.decode().count("a program's own folder, skipped") == 1
