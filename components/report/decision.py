"""What a pipeline run decided, as its promotion noted it in MLflow: both records and the reasons."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from components.promote.registry import EXPERIMENT, Registry
from egoreact.errors import EgoReactError
from egoreact.training.tracking import PIPELINE_RUN_TAG
from egoreact.workspace import Workspace

FOLDER = "decision"
"""Of the document among a run's artifacts."""


def decision_of(workspace: Workspace, run_id: str) -> dict[str, Any] | None:
    """The decision's document: `outcome`, `reasons`, `checks`, `challenger`, `champion`; None where there is none.

    Args:
        run_id: of the pipeline run.

    Raises:
        EgoReactError: MLflow or its artifacts cannot be read.
    """
    from mlflow.exceptions import MlflowException

    try:
        client = Registry(workspace).client
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return None
        runs = client.search_runs([experiment.experiment_id], f"tags.`{PIPELINE_RUN_TAG}` = '{run_id}'")
        for found in runs:
            for artifact in client.list_artifacts(found.info.run_id, FOLDER):
                with TemporaryDirectory(prefix="egoreact-decision-") as folder:
                    path = client.download_artifacts(found.info.run_id, artifact.path, folder)
                    return json.loads(Path(path).read_text())
    except (MlflowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0][:160]
        raise EgoReactError(f"the figures cannot be read ({reason})", where=workspace.tracking_uri, remedy="check MLFLOW_TRACKING_URI and its credentials") from error  # fmt: skip
    return None
