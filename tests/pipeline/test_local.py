"""The local runner with a small pipeline of its own: real processes, real cache, real failures."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from kfp import dsl

from egoreact.errors import EgoReactError
from pipelines import step_cache
from pipelines.runner import compile_pipeline, run_pipeline
from pipelines.step_reader import Step

component = dsl.component(base_image="unused", packages_to_install=[], install_kfp_package=False)


@component
def write(text: str, folder: dsl.Output[dsl.Model], figures: dsl.Output[dsl.Metrics]) -> str:
    from pathlib import Path

    Path(folder.path).mkdir()
    for name in ("a", "b"):
        (Path(folder.path) / name).write_text(text)
    figures.log_metric("length", len(text))
    print("wrote two files")
    return text


@component
def read(folder: dsl.Input[dsl.Model]) -> str:
    import os
    import time
    from pathlib import Path

    from egoreact.errors import EgoReactError

    text = (Path(folder.path) / "b").read_text()
    match text:
        case "mistake":
            raise EgoReactError("is a mistake", where=Path(folder.path).name, remedy="write something else")
        case "bug":
            raise ZeroDivisionError("no step should do this")
        case "killed":
            os.kill(os.getpid(), 9)
        case "slow":
            time.sleep(60)
    return text


@dsl.pipeline(name="small")
def small(text: str) -> str:
    written = write(text=text)
    checked = read(folder=written.outputs["folder"]).set_caching_options(False)
    checked.set_retry(3, backoff_duration="300s")
    return checked.output


def states(steps: tuple[Step, ...]) -> dict[str, str]:
    return {step.name: step.state for step in steps}


@pytest.fixture(scope="module")
def ran_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("once") / "pipeline"
    ran = run_pipeline(small, {"text": "fine"}, root)
    assert ran.outputs["Output"] == "fine"
    assert states(ran.steps) == {"write": "done", "read": "done"}
    return root


def test_a_run_tells_its_steps_as_they_happen(tmp_path: Path) -> None:
    told: list[tuple[str, str, int, str]] = []
    this = psutil.Process()
    before_mb = sum(process.memory_info().rss for process in (this, *this.children(recursive=True))) / 2**20
    ran = run_pipeline(
        small,
        {"text": "x"},
        tmp_path,
        watch=lambda step, total, line: told.append((step.name, step.state, total, line)),
    )
    assert told[0] == ("write", "running", 2, "")
    assert ("write", "running", 2, "wrote two files") in told
    assert [entry[:2] for entry in told if entry[1] == "done"] == [("write", "done"), ("read", "done")]
    assert not any("KFP Executor" in line for *_, line in told)
    first = ran.steps[0]
    assert "wrote two files" in Path(first.log).read_text()
    assert 0 < first.seconds <= ran.seconds
    assert 10 < ran.peak_memory_mb < before_mb + 2000


def test_the_second_run_reuses_what_may_be_reused(ran_once: Path) -> None:
    """Even a step with metrics, which KFP alone never reuses; never one whose cache is off."""
    assert states(run_pipeline(small, {"text": "fine"}, ran_once).steps) == {"write": "cached", "read": "done"}


@pytest.mark.parametrize("harm", ["deleted", "emptied", "edited"])
def test_damaged_artifacts_are_made_again(ran_once: Path, harm: str) -> None:
    """KFP sees a folder and hands it on, whatever is left in it."""
    run_pipeline(small, {"text": "fine"}, ran_once)
    (entry,) = (path for path in (ran_once / step_cache.FOLDER).glob("*.json"))
    folder = Path(json.loads(entry.read_text())["folder"]["uri"])
    if harm == "deleted":
        shutil.rmtree(folder)
    elif harm == "emptied":
        (folder / "b").unlink()
    else:
        (folder / "b").write_text("evil")
    ran = run_pipeline(small, {"text": "fine"}, ran_once)
    assert states(ran.steps) == {"write": "done", "read": "done"}
    assert ran.outputs["Output"] == "fine"


def test_a_mistake_in_a_step_is_its_own_line(tmp_path: Path) -> None:
    with pytest.raises(EgoReactError) as caught:
        run_pipeline(small, {"text": "mistake"}, tmp_path)
    assert str(caught.value) == "folder: is a mistake; write something else"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "bug",
            r"step read: a bug stopped it \(ZeroDivisionError: no step should do this\); its log is .*02-read\.log",
        ),
        ("killed", r"step read: it was killed, perhaps for memory; its log is .*02-read\.log"),
    ],
)
def test_anything_else_names_the_log(tmp_path: Path, text: str, line: str) -> None:
    """And is not tried again, though the pipeline asks a cluster to: this test would take five minutes."""
    with pytest.raises(EgoReactError, match=line):
        run_pipeline(small, {"text": text}, tmp_path)
    (log,) = tmp_path.rglob("02-read.log")
    assert log.stat().st_size > 0


def test_after_a_failure_the_steps_before_are_reused(tmp_path: Path) -> None:
    with pytest.raises(EgoReactError):
        run_pipeline(small, {"text": "mistake"}, tmp_path)
    told: list[Step] = []
    with pytest.raises(EgoReactError):
        run_pipeline(small, {"text": "mistake"}, tmp_path, watch=lambda step, total, line: told.append(step))
    assert (told[0].name, told[0].state) == ("write", "cached")


def test_one_run_at_a_time_and_none_left_behind(tmp_path: Path) -> None:
    """A second run is refused; a terminated one takes its steps with it."""
    program = "from tests_local_pipeline import *; run_pipeline(small, {'text': 'slow'}, Path(sys.argv[1]))"
    shutil.copy(__file__, tmp_path / "tests_local_pipeline.py")
    settings = os.environ | {"PYTHONPATH": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], env=settings)
    try:
        _wait(lambda: any(tmp_path.rglob("02-read.log")), process)
        with pytest.raises(EgoReactError, match="another pipeline run is at work here"):
            run_pipeline(small, {"text": "fine"}, tmp_path)
        _wait(lambda: bool(psutil.Process(process.pid).children(recursive=True)), process)
        steps = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) != 0
        assert not psutil.wait_procs(steps, timeout=10)[1]
    finally:
        process.kill()
    run_pipeline(small, {"text": "fine"}, tmp_path)


def _wait(condition, process: subprocess.Popen) -> None:
    until = time.monotonic() + 60
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.1)


def test_stdout_and_logging_are_given_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import logging

    handlers, level, out = logging.getLogger().handlers[:], logging.getLogger().level, sys.stdout
    with pytest.raises(EgoReactError):
        run_pipeline(small, {"text": "mistake"}, tmp_path)
    assert (logging.getLogger().handlers, logging.getLogger().level, sys.stdout) == (handlers, level, out)
    assert capsys.readouterr().out == ""


def test_compiled_files_end_in_yaml(tmp_path: Path) -> None:
    with pytest.raises(EgoReactError, match=r"let it end in \.yaml"):
        compile_pipeline(small, tmp_path / "pipeline.json")
