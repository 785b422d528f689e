"""Submits a pipeline's run: package and version, experiment, run, each made once even where answers are lost."""

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from egoreact.errors import EgoReactError
from egoreact.presets import RunConfig
from pipelines.cluster.client import Api
from pipelines.cluster.once import ensure
from pipelines.cluster.package import Package

EXPERIMENT = "egoreact"


@dataclass(frozen=True)
class Submission:
    """A run that the cluster has taken."""

    run_id: str
    name: str
    url: str


@dataclass(frozen=True)
class Pinned:
    """A pipeline's version on the cluster, and the experiment that its runs are listed under."""

    pipeline_id: str
    version_id: str
    experiment_id: str


def arguments_of(package: Package, config: RunConfig, given: Iterable[str] = ()) -> dict[str, Any]:
    """The pipeline's parameters: what the configuration says, then what is given as `name=value`.

    Raises:
        EgoReactError: an unknown name, a value of another type, or a parameter without one.
    """
    from egoreact.provenance import code_digest

    known: dict[str, Any] = {
        "config": config.to_json(),
        "code_digest": code_digest(),
        "max_failing_fraction": config.gate.max_failing_fraction,
    }
    declared = package.parameters
    arguments = {name: value for name, value in known.items() if name in declared}
    for entry in given:
        name, equals, text = entry.partition("=")
        if name not in declared or not equals:
            raise EgoReactError(f"'{entry}' is no parameter of {package.name}", where="--parameters", remedy=f"give NAME=VALUE of {', '.join(declared)}")  # fmt: skip
        arguments[name] = _value(name, text, declared[name]["parameterType"])
    missing = [name for name, each in declared.items() if name not in arguments and not each.get("isOptional")]
    if missing:
        raise EgoReactError(f"needs {', '.join(missing)}", where=package.name, remedy=f"give --parameters {missing[0]}=VALUE")  # fmt: skip
    return arguments


def _value(name: str, text: str, kind: str) -> Any:
    readers: dict[str, Callable[[str], Any]] = {
        "NUMBER_INTEGER": int,
        "NUMBER_DOUBLE": float,
        "BOOLEAN": lambda word: {"true": True, "false": False}[word.lower()],
    }
    try:
        return readers.get(kind, str)(text)
    except (ValueError, KeyError) as error:
        raise EgoReactError(f"'{text}' is no {kind.lower().replace('_', ' ')}", where=f"parameter {name}", remedy="correct the value") from error  # fmt: skip


def pin(api: Api, package: Package, *, experiment: str = EXPERIMENT) -> Pinned:
    """Finds or makes the pipeline, the version that is this very file, and the experiment.

    Raises:
        EgoReactError: the API refuses or is away.
    """
    pipeline = ensure(
        lambda: api.find(api.pipelines.pipeline_service_list_pipelines, "pipelines", package.name, **api.namespaced),
        lambda: api.change(api.pipelines.pipeline_service_create_pipeline, pipeline=_pipeline(api, package)),
    )
    key = pipeline.pipeline_id
    version = ensure(
        lambda: api.find(
            api.pipelines.pipeline_service_list_pipeline_versions, "pipeline_versions", package.version, pipeline_id=key
        ),
        lambda: _upload(api, package, key),
    )
    listed = ensure(
        lambda: api.find(api.experiments.experiment_service_list_experiments, "experiments", experiment, **api.namespaced),
        lambda: api.change(
            api.experiments.experiment_service_create_experiment, experiment=_experiment(api, experiment)
        ),
    )  # fmt: skip
    return Pinned(key, version.pipeline_version_id, listed.experiment_id)


def submit(
    api: Api, package: Package, arguments: Mapping[str, Any], *, name: str, service_account: str = ""
) -> Submission:
    """Starts a run of the pinned version.

    Args:
        name: shown in lists; the time and a few random digits are added, so that a run can be found by it.

    Raises:
        EgoReactError: the API refuses or is away; then there is no run, or its name is told.
    """
    import kfp_server_api

    pinned = pin(api, package)
    title = f"{name} {datetime.now(UTC):%Y-%m-%d %H:%M} {secrets.token_hex(3)}"
    run = kfp_server_api.V2beta1Run(
        experiment_id=pinned.experiment_id,
        display_name=title,
        pipeline_version_reference=_reference(pinned),
        runtime_config=kfp_server_api.V2beta1RuntimeConfig(parameters=dict(arguments)),
        service_account=service_account or None,
    )
    listing = {"experiment_id": pinned.experiment_id}
    made = ensure(
        lambda: api.find(api.runs.run_service_list_runs, "runs", title, **listing),
        lambda: api.change(api.runs.run_service_create_run, run=run),
        look_first=False,
    )
    return Submission(made.run_id, title, api.access.run_url(made.run_id))


def _upload(api: Api, package: Package, pipeline_id: str) -> Any:
    with TemporaryDirectory(prefix="egoreact-upload-") as folder:
        path = Path(folder) / "pipeline.yaml"
        path.write_text(package.text)
        return api.change(
            api.uploads.upload_pipeline_version,
            uploadfile=str(path),
            name=package.version,
            pipelineid=pipeline_id,
            description=f"{package.name}, code {_commit()}",
        )


@cache
def _commit() -> str:
    from egoreact.provenance import git_commit

    return git_commit()


def _reference(pinned: Pinned) -> Any:
    import kfp_server_api

    return kfp_server_api.V2beta1PipelineVersionReference(
        pipeline_id=pinned.pipeline_id, pipeline_version_id=pinned.version_id
    )


def _pipeline(api: Api, package: Package) -> Any:
    import kfp_server_api

    namespace = api.access.namespace or None
    return kfp_server_api.V2beta1Pipeline(name=package.name, display_name=package.name, namespace=namespace)


def _experiment(api: Api, name: str) -> Any:
    import kfp_server_api

    return kfp_server_api.V2beta1Experiment(display_name=name, namespace=api.access.namespace or None)
