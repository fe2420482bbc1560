"""The group of commands: the same however it is run, with complete help."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner
from runner import run_in_process, run_process

from dogsort.cli.main import cli
from dogsort.training.recipe import Recipe

ALL = {"": cli.default, **cli.commands}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--version",
        "submit --help",
        "album -o out.csv -v --no-cache",
        "album --move --dry-run -o out.csv",
        "nowhere",
        "hisotry",
        "-q submit album",
        "submit album",
        "submit album -o s.csv",
        "album --mvoe",
        "eval --wosrt 3",
        "undo",
        "album --device tpu",
        "- --null",
    ],
)
def test_a_process_a_test_and_click_get_the_same(album, line):
    """Output and exit code are the same, so most tests may run it in their own process."""
    words = line.split()
    process, here = (
        run(*words, cwd=album.parent, COLUMNS="82")  # as wide as in click's runner
        for run in (run_process, run_in_process)
    )
    assert (here.returncode, here.stdout, here.stderr) == (
        process.returncode,
        process.stdout,
        process.stderr,
    )
    if "-" not in words:  # rows go to stdout's descriptor, which click's runner lacks
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(album.parent)
            by_click = CliRunner().invoke(cli, words)
        assert (by_click.exit_code, by_click.stdout_bytes) == (here.returncode, here.stdout)
        assert by_click.stderr_bytes == here.stderr


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("hisotry", "dogsort history"),
        ("submt test1", "dogsort submit"),
        ("photos --mvoe", "--move"),
        ("submit --hrad test1", "--hard"),
        ("undo --dryrun", "--dry-run"),
    ],
)
def test_what_may_be_meant_is_said(dogsort, tmp_path, line, meant):
    run = dogsort(*line.split(), cwd=tmp_path)
    assert run.returncode == 2
    assert meant in run.stderr.decode().splitlines()[-1]


@pytest.mark.parametrize("glob", ["!", "[z-a]", "\\"])
def test_what_is_no_pattern_is_wrong_usage(dogsort, album, glob):
    run = dogsort(album, "--exclude", "*.png", "--exclude", glob)
    assert (run.returncode, run.stdout) == (2, b"")
    assert run.stderr.decode() == f"dogsort: --exclude {glob}: not a pattern as in .gitignore\n"


@pytest.mark.parametrize("name", ALL)
def test_help_has_two_examples_and_all_defaults(dogsort, name):
    said = dogsort(*name.split(), "--help").stdout.decode()
    lines = said.partition("Examples:\n")[2].splitlines()
    assert len(lines) == 2
    for line in lines:
        program, *words = line.split()
        assert program == "dogsort"
        assert cli.commands.get(words[0], cli.default) is ALL[name]
        ALL[name].make_context(name, words[bool(name) :])  # which refuses a missing path
    with ALL[name].make_context(name, [], resilient_parsing=True) as context:
        for option in ALL[name].params:
            if isinstance(option, click.Option) and context.params.get(option.name):
                assert option.show_default, option.name


def test_the_help_of_the_program_lists_all_commands(dogsort):
    said = dogsort("--help").stdout.decode()
    for name in cli.commands:
        (line,) = (line for line in said.splitlines() if line.startswith(f"  {name} "))
        assert line.endswith("."), line  # in one line, not cut off


def test_the_help_of_train_knows_the_recipe(dogsort):
    said = " ".join(dogsort("train", "--help").stdout.decode().split())
    for value in (Recipe().epochs, Recipe().seed):
        assert f"[default: {value}, or from --recipe]" in said
