"""The commands of the workflow: run it here or on a cluster, go back, look at its records."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from components.release.commands import COMMANDS as LINEAGE_COMMANDS
from components.version_dataset.commands import COMMANDS as DATA_COMMANDS
from egoreact.errors import EgoReactError
from pipelines.cluster.commands import COMMANDS as CLUSTER_COMMANDS
from pipelines.retrain_commands import COMMANDS as RETRAIN_COMMANDS


def pipeline_run(
    *,
    preset: Literal["tiny", "demo", "paper"] = "demo",
    seed: int = 0,
    config: Path | None = None,
    train_clips: int | None = None,
    val_clips: int | None = None,
    test_clips: int | None = None,
) -> None:
    """Run the whole workflow on this machine: data, gate, training, evaluation, promotion, release.

    What was made before from the same configuration, data and code is reused.

    Args:
        preset: size of the run: tiny takes a minute and learns nothing, demo takes minutes, paper needs GPUs.
        seed: of data, training and evaluation.
        config: JSON file of a whole run configuration, instead of preset and seed.
        train_clips: simulated clips to train on, instead of the preset's: more of them are new shards beside the old.
        val_clips: to watch training with.
        test_clips: to evaluate on.
    """
    import sys

    from egoreact.presets import RunConfig, by_name
    from pipelines.local import run_training
    from pipelines.show import StepLines, summary

    chosen = by_name(preset, seed=seed) if config is None else RunConfig.from_file(config)
    chosen = replace(chosen, dataset=chosen.dataset.resized(train=train_clips, val=val_clips, test=test_clips))
    with StepLines(sys.stdout) as lines:
        run = run_training(chosen.to_json(), watch=lines)
    lines.console.print(summary(run))


def rollback(*, to: str | None = None) -> None:
    """Make the previous champion the champion again, and release it.

    Args:
        to: version to go back to; the champion before this one where not given.
    """
    from components.promote.registry import Registry
    from components.release.step import release_champion
    from egoreact.hrd.dataset import data_folder
    from egoreact.workspace import Workspace

    workspace = Workspace.from_environment()
    restored = Registry(workspace).rollback(to)
    release_champion(workspace, data_folder=data_folder())
    print(
        f"version {restored.version}, bundle {restored.digest[:12]}, is the champion; services take it when they start"
    )


def release() -> None:
    """Release the champion again: its files for the service, its Bento, the record that names it."""
    from components.release.step import release_champion
    from egoreact.hrd.dataset import data_folder
    from egoreact.workspace import Workspace

    release_champion(Workspace.from_environment(), data_folder=data_folder())


def ui(*, port: int = 5000) -> None:
    """Show runs, figures and model versions in MLflow's own pages, on this machine alone.

    Args:
        port: on 127.0.0.1.
    """
    import socket
    import sys

    from egoreact.workspace import Workspace

    workspace = Workspace.from_environment()
    uri = workspace.tracking_uri
    if not uri.startswith("sqlite:"):
        raise EgoReactError("is a server with pages of its own", where=uri, remedy="open it in a browser")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError) as error:
            raise EgoReactError(
                f"cannot listen ({error})", where=f"port {port}", remedy="give another with --port"
            ) from error
    workspace.root.mkdir(parents=True, exist_ok=True)
    # Its job runner takes ten processes and 2 GB, for features that are not used here.
    settings = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", uri]
    command += ["--default-artifact-root", workspace.tracking_artifacts.as_uri()]
    command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    print(f"http://127.0.0.1:{port}  (stop with Ctrl-C)", flush=True)
    os.execve(sys.executable, command, settings)


COMMANDS: dict[str, Callable[..., None]] = {
    "pipeline run": pipeline_run,
    "rollback": rollback,
    "release": release,
    "ui": ui,
    **CLUSTER_COMMANDS,
    **RETRAIN_COMMANDS,
    **DATA_COMMANDS,
    **LINEAGE_COMMANDS,
}
