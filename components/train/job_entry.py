"""What runs on the head of a training's Ray cluster: `python -m components.train.job_entry --exchange ADDRESS`.

The same functions as in a step's own process, with Ray's workers under `fit_distributed`. Exit codes: 0 done, 1 may be
the machine's fault (KubeRay's `backoffLimit` gives it a new cluster), 2 a mistake that a new cluster does not mend.
"""

import contextlib
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.train.exchange import ERROR, Exchange
from egoreact.errors import EgoReactError

POD_LOG = Path("/proc/1/fd/1")
"""Standard output of the head's first process: what `kubectl logs` shows."""


def main(exchange: str) -> int:
    """Runs what the exchange's request asks for and hands the result back.

    Args:
        exchange: address of the folder that the step wrote its request to.
    """
    place = Exchange(exchange)
    try:
        with TemporaryDirectory() as scratch:
            _train(place, Path(scratch))
    except Exception as error:
        return _told(error, place)
    return 0


def _train(place: Exchange, scratch: Path) -> None:
    kind, parameters, inputs = place.fetch_request(scratch / "in")
    from components.train import step

    run: Any = {"encoder": step.run_encoder, "tokenizer": step.run_tokenizer, "reaction": step.run_reaction}[kind]
    quarantine, out = scratch / "quarantine.json", scratch / "out"
    quarantine.write_text(parameters["quarantine"])
    run(parameters["config"], parameters["data_revision"], quarantine, **inputs, out=out)
    place.send_result(out)


def _told(error: Exception, place: Exchange) -> int:
    """Writes the error down for the step and gives the exit code."""
    from egoreact.training.ray_train import may_be_the_machine

    if isinstance(error, EgoReactError):
        print(f"error: {error}", file=sys.stderr)
        note = {"what": error.what, "where": error.where, "remedy": error.remedy}
    else:
        traceback.print_exception(error)
        line = f"{type(error).__name__}: {error}".splitlines()[0]
        note = {"what": line, "where": "the head's log", "remedy": "see its traceback"}
    final = not may_be_the_machine(error)
    try:
        place.write_note(ERROR, {**note, "final": final})
    except EgoReactError as away:
        print(f"error: {away}", file=sys.stderr)
    return 2 if final else 1


@contextlib.contextmanager
def also_in_pod_log(pod_log: Path = POD_LOG) -> Iterator[None]:
    """Copies this process' output to the pod's log, which holds none of a job's own. Where it cannot, nothing happens."""
    try:
        target = os.open(pod_log, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        yield
        return
    kept = {descriptor: os.dup(descriptor) for descriptor in (1, 2)}
    source, sink = os.pipe()
    thread = threading.Thread(target=_copy_lines, args=(source, kept[1], target), daemon=True)
    thread.start()
    try:
        for descriptor in kept:
            os.dup2(sink, descriptor)
        os.close(sink)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, copy in kept.items():
            os.dup2(copy, descriptor)
        thread.join(5)  # it ends when the last writer, a child process among them, is gone
        for descriptor in (*kept.values(), target):
            os.close(descriptor)


def _copy_lines(source: int, own: int, pod: int) -> None:
    with contextlib.suppress(OSError):
        while piece := os.read(source, 65536):
            os.write(own, piece)
            with contextlib.suppress(OSError):  # nobody reads the pod's log: the job goes on
                os.write(pod, piece)


if __name__ == "__main__":
    import tyro

    with also_in_pod_log():
        code = tyro.cli(main)
    sys.exit(code)
