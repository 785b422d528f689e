"""The model registry: MLflow's registered model `egoreact`, a version a bundle, two aliases.

`champion` is what is released, `previous` what was the champion before: what a rollback returns to. A version is never
made twice for one bundle. Changing the champion sets `previous` first, so that a failure between the two leaves the
champion as it was. Each version's tags say over which champion and which `previous` it was crowned, so that a release that
fails can set both aliases back.
"""

import contextlib
import fcntl
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
CROWNED_OVER, CROWNED_OVER_PREVIOUS = "crowned_over", "crowned_over_previous"
"""Tags of a version: the champion and the previous champion when it was crowned last; empty where there was none."""
NOT_RELEASED = "not_released"
"""Tag of a version whose release failed: why."""
LOCK = "registry.lock"


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
            made = _registered(version)
            first = next(known for known in self.versions() if known.digest == digest)
            if first.version != made.version:  # another machine registered it meanwhile
                self.client.delete_model_version(NAME, made.version)
            return first

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
        before = self.previous()
        with self._errors():
            self._set_tags(
                version,
                {
                    CROWNED_OVER: reigning.version if reigning else "",
                    CROWNED_OVER_PREVIOUS: before.version if before else "",
                    NOT_RELEASED: "",
                },
            )
            if reigning is not None:
                self.client.set_registered_model_alias(NAME, PREVIOUS, reigning.version)
            self.client.set_registered_model_alias(NAME, CHAMPION, version)

    def uncrown(self, version: str, why: str) -> RegisteredBundle | None:
        """Sets both aliases back to what they were before this version was crowned, and notes why in its tags.

        Nothing changes where it is not the champion, or where its tags do not say what was before.

        Returns:
            the champion now, None where there was none before.
        """
        reigning = self.champion()
        if reigning is None or reigning.version != version:
            return reigning
        with self._errors():
            tags = self.client.get_model_version(NAME, version).tags
            if CROWNED_OVER not in tags:
                return reigning
            self._set_tags(version, {NOT_RELEASED: why})
            # The champion first: what is served follows it.
            for alias, tag in ((CHAMPION, CROWNED_OVER), (PREVIOUS, CROWNED_OVER_PREVIOUS)):
                if tags.get(tag):
                    self.client.set_registered_model_alias(NAME, alias, tags[tag])
                else:
                    self.client.delete_registered_model_alias(NAME, alias)
        return self.champion()

    def why_not_released(self, version: str) -> str:
        """Why its last release failed; empty where it did not."""
        return self.tags(version).get(NOT_RELEASED, "")

    def tags(self, version: str) -> dict[str, str]:
        with self._errors():
            return dict(self.client.get_model_version(NAME, version).tags)

    def run_of(self, mlflow_run: str, digest: str) -> Any:
        """The run of this id, else the one that says it made the bundle of this digest; None where there is none.

        A bundle cannot name its run where MLflow was away when it was made.
        """
        with self._errors():
            known = self._known_run(mlflow_run) if mlflow_run else None
            experiment = self.client.get_experiment_by_name(EXPERIMENT)
            if known is not None or experiment is None:
                return known
            found = self.client.search_runs(
                [experiment.experiment_id], f"tags.bundle_digest = '{digest}'", max_results=1
            )
            return found[0] if found else None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the workspace's lock of the registry: who decides on the champion, or releases it, waits for others to end.

        Two runs that shared no lock could each beat the same champion, and the worse one be crowned last.
        """
        with (self.workspace.root / LOCK).open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print("another run promotes or releases; waiting for it", flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
            yield

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

    def manifest(self, version: str, folder: Path) -> Path:
        """Fetches the version's `bundle.json` alone into the folder; returns its path."""
        with self._errors():
            from mlflow.artifacts import download_artifacts

            source = self.client.get_model_version_download_uri(NAME, version)
            made = download_artifacts(artifact_uri=f"{source}/bundle.json", dst_path=str(folder), tracking_uri=self.uri)
            return Path(made)

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
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except (Boto3Error, BotoCoreError, ClientError) as error:
            raise EgoReactError(
                f"the registry's files cannot be reached ({_first_line(error)})",
                where=os.environ.get("AWS_ENDPOINT_URL", "S3"),
                remedy="check AWS_ENDPOINT_URL, the credentials and the server, then run again",
            ) from error
        except (MlflowException, SQLAlchemyError) as error:
            raise EgoReactError(
                f"the model registry cannot be used ({_first_line(error)})",
                where=self.uri,
                remedy="check MLFLOW_TRACKING_URI and the server",
            ) from error


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:160] if str(error) else type(error).__name__


def _registered(version: Any) -> RegisteredBundle:
    digest, revision = (version.tags.get(name, "") for name in ("bundle_digest", "data_revision"))
    return RegisteredBundle(str(version.version), digest, revision, version.run_id or "")


def _cut(tags: Mapping[str, str]) -> dict[str, str]:
    return {name: value.encode()[:TAG_BYTES].decode(errors="ignore") for name, value in tags.items()}
