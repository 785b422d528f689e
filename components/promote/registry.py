"""The model registry: MLflow's registered model `egoreact`, a version a bundle, two aliases.

`champion` is what is released, `previous` what was the champion before: what a rollback returns to. A version is never
made twice for one bundle. Changing the champion sets `previous` first, so that a failure between the two leaves the
champion as it was.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from egoreact.errors import EgoReactError
from egoreact.files import whole_folder
from egoreact.workspace import Workspace

NAME = "egoreact"
EXPERIMENT = "egoreact"
CHAMPION, PREVIOUS = "champion", "previous"
BUNDLE_PATH = "bundle"
"""Of the bundle among its run's artifacts."""
TAG_BYTES = 4000  # MLflow takes 5,000


@dataclass(frozen=True)
class RegisteredBundle:
    version: str
    digest: str
    data_revision: str
    mlflow_run: str


class Registry:
    """The registry at `Workspace.tracking_uri`.

    Every method raises EgoReactError where the server or the database cannot be used.
    """

    def __init__(self, workspace: Workspace):
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        import logging

        from mlflow import MlflowClient

        self.client: MlflowClient
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.workspace = workspace
        self.uri = workspace.tracking_uri
        workspace.root.mkdir(parents=True, exist_ok=True)  # where SQLite makes its file
        with self._errors():
            self.client = MlflowClient(self.uri, self.uri)

    def champion(self) -> RegisteredBundle | None:
        return self._by_alias(CHAMPION)

    def previous(self) -> RegisteredBundle | None:
        return self._by_alias(PREVIOUS)

    def get(self, version: str) -> RegisteredBundle:
        """Raises EgoReactError when there is no such version."""
        for known in self.versions():
            if known.version == version:
                return known
        raise EgoReactError(f"no version {version} of {NAME}", where=self.uri, remedy="see: egoreact ui")

    def versions(self) -> list[RegisteredBundle]:
        """Every version, oldest first."""
        with self._errors():
            found = [_registered(version) for version in self.client.search_model_versions(f"name='{NAME}'")]
        return sorted(found, key=lambda registered: int(registered.version))

    def register(
        self, bundle: Path, digest: str, *, data_revision: str, mlflow_run: str, tags: Mapping[str, str]
    ) -> RegisteredBundle:
        """Stores the bundle's files as artifacts of the run that trained it and makes a version of them.

        Args:
            bundle: the folder.
            digest: its bundle's digest. Where a version of that digest exists, it is returned and only its tags change.
            mlflow_run: id of the run that trained it; a run of its own is made where the store does not know it.
            tags: more tags; long values are cut.
        """
        with self._errors():
            for known in self.versions():
                if known.digest == digest:
                    self._set_tags(known.version, tags)
                    return known
            run = self._run(mlflow_run, digest)
            self.client.log_artifacts(run.info.run_id, str(bundle), BUNDLE_PATH)
            self._ensure_model()
            version = self.client.create_model_version(
                NAME,
                source=f"{run.info.artifact_uri}/{BUNDLE_PATH}",
                run_id=run.info.run_id,
                tags={"bundle_digest": digest, "data_revision": data_revision, **_cut(tags)},
            )
            return _registered(version)

    def note(self, mlflow_run: str, figures: Mapping[str, float], tags: Mapping[str, str], document: Path) -> None:
        """Shows an evaluation and what was decided in the run that trained the bundle, where the store knows it.

        Args:
            figures: shown as metrics `test/<name>`.
            document: kept as an artifact.
        """
        with self._errors():
            run = self._known_run(mlflow_run)
            if run is None:
                return
            for figure, value in figures.items():
                self.client.log_metric(mlflow_run, f"test/{figure}", value)
            for tag, text in _cut(tags).items():
                self.client.set_tag(mlflow_run, tag, text)
            self.client.log_artifact(mlflow_run, str(document), "decision")

    def crown(self, version: str) -> None:
        """Makes a version the champion and the champion `previous`. Nothing changes where it is champion already."""
        reigning = self.champion()
        if reigning is not None and reigning.version == version:
            return
        with self._errors():
            if reigning is not None:
                self.client.set_registered_model_alias(NAME, PREVIOUS, reigning.version)
            self.client.set_registered_model_alias(NAME, CHAMPION, version)

    def rollback(self, to: str | None = None) -> RegisteredBundle:
        """Makes the previous champion, or the version named, the champion again; the champion becomes the previous one.

        Raises:
            EgoReactError: there is nothing to go back to.
        """
        reigning, target = self.champion(), self.get(to) if to is not None else self.previous()
        if reigning is None or target is None or target.version == reigning.version:
            state = "no champion yet" if reigning is None else f"version {reigning.version} has no predecessor"
            raise EgoReactError(state, where=f"registry {self.uri}", remedy="name a version: egoreact rollback --to N")
        self.crown(target.version)
        return target

    def download(self, version: str, folder: Path) -> None:
        """Writes the version's bundle to `folder`, whole or not at all. What it holds is for the caller to verify."""
        with self._errors(), whole_folder(folder) as beside:
            from mlflow.artifacts import download_artifacts

            source = self.client.get_model_version_download_uri(NAME, version)
            made = Path(download_artifacts(artifact_uri=source, dst_path=str(beside), tracking_uri=self.uri))
            if made != beside:  # a store gives the folder's content, or the folder
                for path in made.iterdir():
                    path.rename(beside / path.name)
                made.rmdir()

    def _by_alias(self, alias: str) -> RegisteredBundle | None:
        from mlflow.exceptions import MlflowException

        with self._errors():
            try:
                return _registered(self.client.get_model_version_by_alias(NAME, alias))
            except MlflowException as error:
                # A missing alias is an invalid parameter to MLflow, a missing model a missing resource.
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def _ensure_model(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(NAME)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def _known_run(self, mlflow_run: str) -> Any:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_run(mlflow_run)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            return None

    def _run(self, mlflow_run: str, digest: str) -> Any:
        known = self._known_run(mlflow_run)
        if known is not None:
            return known
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        if experiment is not None:
            experiment_id = experiment.experiment_id
        else:
            local = self.uri.startswith("sqlite:")  # a server has its own place for artifacts
            location = self.workspace.tracking_artifacts.as_uri() if local else None
            experiment_id = self.client.create_experiment(EXPERIMENT, artifact_location=location)
        run = self.client.create_run(experiment_id, run_name=f"bundle {digest[:12]}")
        self.client.set_terminated(run.info.run_id)
        return run

    def _set_tags(self, version: str, tags: Mapping[str, str]) -> None:
        for name, value in _cut(tags).items():
            self.client.set_model_version_tag(NAME, version, name, value)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (MlflowException, SQLAlchemyError) as error:
            reason = str(error).splitlines()[0][:160]
            raise EgoReactError(
                f"the model registry cannot be used ({reason})",
                where=self.uri,
                remedy="check MLFLOW_TRACKING_URI and the server",
            ) from error


def _registered(version: Any) -> RegisteredBundle:
    digest, revision = (version.tags.get(name, "") for name in ("bundle_digest", "data_revision"))
    return RegisteredBundle(str(version.version), digest, revision, version.run_id or "")


def _cut(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value.encode()[:TAG_BYTES].decode(errors="ignore") for name, value in tags.items()}
