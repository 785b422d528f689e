"""The cluster's files agree with the pipeline that runs there and with what a strict namespace asks of a pod."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipelines.training import MOUNT, SETTING_NAMES, SETTINGS, VOLUME

INFRA = Path(__file__).parents[2] / "infra"
BASE = INFRA / "kubernetes" / "base"


@pytest.fixture(scope="module")
def objects() -> dict[tuple[str, str], dict[str, Any]]:
    names = yaml.safe_load((BASE / "kustomization.yaml").read_text())["resources"]
    assert {path.name for path in BASE.glob("*.yaml")} == {"kustomization.yaml", *names}
    found = [document for name in names for document in yaml.safe_load_all((BASE / name).read_text())]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


def test_steps_find_their_settings_and_their_volume(objects: dict[tuple[str, str], dict[str, Any]]) -> None:
    settings = objects["ConfigMap", SETTINGS]["data"]
    assert set(settings) == set(SETTING_NAMES)
    assert settings["EGOREACT_HOME"].startswith(f"{MOUNT}/") and settings["EGOREACT_DATA"].startswith(f"{MOUNT}/")
    assert ("PersistentVolumeClaim", VOLUME) in objects


def test_the_deployment_selects_its_own_pods_and_mounts_what_is_there(
    objects: dict[tuple[str, str], dict[str, Any]],
) -> None:
    deployment, service = objects["Deployment", "egoreact"], objects["Service", "egoreact"]
    template = deployment["spec"]["template"]
    labels = template["metadata"]["labels"].items()
    assert deployment["spec"]["selector"]["matchLabels"].items() <= labels
    assert service["spec"]["selector"].items() <= labels
    (container,) = template["spec"]["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {v["name"] for v in template["spec"]["volumes"]}
    claims = {
        v["persistentVolumeClaim"]["claimName"] for v in template["spec"]["volumes"] if "persistentVolumeClaim" in v
    }
    assert claims == {VOLUME}
    names = [variable["name"] for variable in container["env"]]
    assert len(names) == len(set(names))


def test_pods_meet_the_restricted_standard(objects: dict[tuple[str, str], dict[str, Any]]) -> None:
    pod = objects["Deployment", "egoreact"]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in pod["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        for quantities in container["resources"].values():
            assert all(re.fullmatch(r"\d+(m|Mi|Gi)?", quantity) for quantity in quantities.values())


@pytest.mark.parametrize("name", ["step", "train", "serve"])
def test_images_run_as_a_numbered_user_and_copy_what_exists(name: str) -> None:
    lines = (INFRA / "docker" / f"{name}.Dockerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users and re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1])
    root = INFRA.parent
    for line in lines:
        if line.startswith("COPY ") and "--from" not in line:
            for source in line.split()[1:-1]:
                assert (root / source).exists(), source
