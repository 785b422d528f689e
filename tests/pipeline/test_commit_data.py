"""The pointer on a branch of its own: real repositories, in folders of the test's own."""

import subprocess
from pathlib import Path

import pytest

from components.version_dataset.commit import commit_pointer
from components.version_dataset.dvc_data import pointer_path, write_pointer
from components.version_dataset.step import run_commit
from egoreact.errors import EgoReactError

OLD, NEW = "0" * 32 + ".dir", "1" * 32 + ".dir"
BRANCH = "data/111111111111"


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`project/sub/data` under git, its pointer moved on from what is committed; something else is staged, and edited."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", "/dev/null")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    monkeypatch.delenv("EGOREACT_GIT_REMOTE", raising=False)
    project = tmp_path / "project"
    data = project / "sub" / "data"
    data.mkdir(parents=True)
    git(tmp_path, "init", "-q", "-b", "main", "project")
    write_pointer(pointer_path(data), "data", OLD)
    (project / "code.py").write_text("1")
    git(project, "add", "code.py", "sub/data.dvc")
    git(project, "commit", "-qm", "first")
    write_pointer(pointer_path(data), "data", NEW)
    (project / "code.py").write_text("2")
    git(project, "add", "code.py")
    (project / "code.py").write_text("3")
    return data


def state(project: Path) -> tuple[str, ...]:
    """Everything of a person's that has to stay."""
    return (
        git(project, "status", "--porcelain=v2", "--branch"),
        git(project, "diff"),
        git(project, "diff", "--cached"),
    )


def test_a_branch_beside_what_a_person_does(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = data.parents[1]
    before = state(project)
    assert run_commit(data, NEW) == BRANCH
    assert state(project) == before
    assert git(project, "diff", "--name-only", "main", BRANCH) == "sub/data.dvc"
    assert NEW in git(project, "show", f"{BRANCH}:sub/data.dvc")
    assert git(project, "rev-parse", f"{BRANCH}~1") == git(project, "rev-parse", "main")
    assert git(project, "log", "-1", "--format=%an %s", BRANCH) == f"EgoReAct Data revision {NEW}"
    out = capsys.readouterr().out
    assert f"on branch {BRANCH}, in this repository" in out and "left to do" not in out


def test_again_changes_nothing(data: Path) -> None:
    first = commit_pointer(data, NEW)
    assert commit_pointer(data, NEW) == first
    git(data, "switch", "-q", "--discard-changes", BRANCH)
    assert commit_pointer(data, NEW).branch == "HEAD"


def test_it_is_pushed_where_a_remote_is_named(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "clone", "-q", "--bare", "project", "shared.git")
    git(data, "remote", "add", "origin", str(tmp_path / "shared.git"))
    kept = commit_pointer(data, NEW)
    assert (kept.pushed, kept.remedy) == (False, f"git push <remote> {BRANCH}")
    monkeypatch.setenv("EGOREACT_GIT_REMOTE", "origin")
    done = commit_pointer(data, NEW)
    assert done.pushed and git(tmp_path / "shared.git", "rev-parse", BRANCH) == done.commit == kept.commit
    assert commit_pointer(data, NEW) == done


def test_without_permission_it_says_how(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    git(tmp_path, "clone", "-q", "--bare", "project", "shared.git")
    hook = tmp_path / "shared.git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    hook.chmod(0o755)
    monkeypatch.setenv("EGOREACT_GIT_REMOTE", str(tmp_path / "shared.git"))
    assert run_commit(data, NEW) == BRANCH
    out = capsys.readouterr().out
    assert f"left to do: git push {tmp_path / 'shared.git'} {BRANCH}   # refused: " in out
    assert git(data, "rev-parse", BRANCH) in out or git(data, "rev-parse", BRANCH)[:12] in out


def test_without_git_it_says_how_or_uses_the_remote(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git(tmp_path, "clone", "-q", "--bare", "project", "shared.git")
    volume = tmp_path / "volume" / "data"
    volume.mkdir(parents=True)
    write_pointer(pointer_path(volume), "data", NEW)
    told = commit_pointer(volume, NEW)
    assert told.commit == "" and "not a git repository" in told.remedy
    assert f"cd {volume.parent} && git switch -c {BRANCH} && git add data.dvc && git commit" in told.remedy
    monkeypatch.setenv("EGOREACT_GIT_REMOTE", str(tmp_path / "nowhere.git"))
    assert "does not exist" in commit_pointer(volume, NEW).remedy
    monkeypatch.setenv("EGOREACT_GIT_REMOTE", str(tmp_path / "shared.git"))
    done = commit_pointer(volume, NEW)
    assert done.pushed
    assert NEW in git(tmp_path / "shared.git", "show", f"{BRANCH}:data.dvc")
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2090-01-01T00:00:00Z")  # the next would be another commit
    assert commit_pointer(volume, NEW) == done
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("EGOREACT_GIT_REMOTE")
    assert "there is no git on this machine" in commit_pointer(volume, NEW).remedy


def test_a_pointer_of_another_revision_is_refused(data: Path) -> None:
    with pytest.raises(EgoReactError, match=r"data\.dvc: is of revision 1{32}\.dir, not 0{32}\.dir"):
        commit_pointer(data, OLD)
