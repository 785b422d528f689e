"""The command line: a table of contents, options with units and defaults, one line for a mistake."""

import pytest

from egoreact import cli
from egoreact.errors import EgoReactError


def test_help_is_a_table_of_contents(capsys):
    assert cli.main(["--help"]) == 0
    shown = capsys.readouterr().out
    for name in ("react", "serve", "ui", "pipeline run", "rollback", "hrd build", "hrd import", "bench all"):
        assert f"\n  {name} " in shown, name
    assert all(len(line) <= 140 for line in shown.splitlines())


def test_every_command_has_help_with_every_option_explained(capsys):
    for name, command in cli.commands().items():
        with pytest.raises(SystemExit) as stopped:
            cli.run(command, name, ["--help"])
        assert stopped.value.code == 0
        shown = capsys.readouterr().out
        assert shown.startswith(f"usage: egoreact {name}"), name
        assert "(No docstring)" not in shown


def test_a_group_lists_its_commands(capsys):
    assert cli.main(["hrd"]) == 0
    shown = capsys.readouterr().out
    assert "hrd build" in shown and "serve" not in shown


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["dance"], "error: egoreact: no command 'dance'; see: egoreact --help"),
        (["hrd", "fly"], "error: egoreact: no command 'hrd fly'; see: egoreact --help"),
    ],
)
def test_an_unknown_command_is_one_line(capsys, arguments, line):
    assert cli.main(arguments) == 2
    assert capsys.readouterr().err.strip() == line


def test_no_promoted_model_yet(workspace, capsys, tmp_path):
    video = tmp_path / "v.mp4"
    video.write_bytes(b"")
    assert cli.main(["react", str(video)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no promoted model yet; train one with: make run" in error


def test_an_error_is_one_line_whatever_its_parts():
    error = EgoReactError("two\nlines", where="a\nplace", remedy="do\nthis")
    assert str(error) == "a place: two lines; do this"
