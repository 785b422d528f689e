"""The last step of every run on a cluster, whatever became of the others: tells how it ended.

Whom it cannot reach it names in its log. It fails for none of them: the run's own outcome stands.
"""

import json
import logging
import os
import time
import urllib.error
import urllib.request
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from components.promote.registry import EXPERIMENT, Registry
from egoreact.errors import EgoReactError
from egoreact.training.tracking import PIPELINE_RUN_TAG
from egoreact.workspace import Workspace

log = logging.getLogger(__name__)

WEBHOOK = "EGOREACT_WEBHOOK"
"""Names an address that takes the outcome as JSON by POST; its `text` is what chat services show."""
OUTCOME_TAG = "egoreact.pipeline_outcome"
ATTEMPTS = 3
PAUSE_S = 2.0
TIMEOUT_S = 10.0

State = Literal["SUCCEEDED", "FAILED", "CANCELLED"]


@dataclass(frozen=True)
class Told:
    """What is told of a run."""

    pipeline: str
    run: str
    state: State
    error: str

    @property
    def text(self) -> str:
        reason = f": {self.error}" if self.error else ""
        return f"{self.pipeline} run {self.run} {self.state.lower()}{reason}"


def run(workspace: Workspace, pipeline: str, run_id: str, state: str, error: str | None = None) -> Told:
    """Tells log, MLflow and webhook.

    Args:
        state: as Kubeflow Pipelines names it, of the tasks before; anything but success or cancellation is a failure.
        error: what it says of the failure.
    """
    told = Told(pipeline, run_id, _state(state), error or "")
    print(told.text, flush=True)
    _mark(workspace, told)
    address = os.environ.get(WEBHOOK, "")
    if address:
        _post(address, told)
    return told


def _state(state: str) -> State:
    """Argo's words and Kubeflow's: Succeeded, SUCCEEDED, Failed, Error, CANCELED, CANCELLED."""
    word = state.upper().replace("CANCELED", "CANCELLED")
    return next((known for known in get_args(State) if known == word), "FAILED")


def _mark(workspace: Workspace, told: Told) -> None:
    """Tags MLflow's runs of this pipeline run; those that its end left open are closed."""
    from mlflow.exceptions import MlflowException

    try:
        client = Registry(workspace).client
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return
        for found in client.search_runs([experiment.experiment_id], f"tags.`{PIPELINE_RUN_TAG}` = '{told.run}'"):
            client.set_tag(found.info.run_id, OUTCOME_TAG, told.state)
            if told.state != "SUCCEEDED" and found.info.status == "RUNNING":
                client.set_terminated(found.info.run_id, "FAILED" if told.state == "FAILED" else "KILLED")
    except (MlflowException, EgoReactError) as error:
        log.warning("MLflow was not told (%s)", str(error).splitlines()[0][:200])


def _post(address: str, told: Told) -> None:
    """The address itself is a secret: it is in no message."""
    body = json.dumps(asdict(told) | {"text": told.text}).encode()
    if not address.startswith(("https://", "http://")):
        log.warning("the webhook was not told: %s is no http address", WEBHOOK)
        return
    for attempt in range(1, ATTEMPTS + 1):
        try:
            request = urllib.request.Request(address, body, {"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=TIMEOUT_S):
                return
        except urllib.error.HTTPError as error:
            reason, passing = f"it answers {error.code}", error.code == 429 or error.code >= 500
        except (OSError, ValueError) as error:
            reason, passing = type(error).__name__, True
        if attempt == ATTEMPTS or not passing:
            log.warning("the webhook was not told: %s", reason)
            return
        time.sleep(PAUSE_S * attempt)
