"""What this machine says of where it runs, in variables and files alone: platform, cloud, region.

A platform is known by what it sets itself (carbon.md 4). Variables such as AWS_REGION are set by
people too, to call a service somewhere else: they count only beside a platform's own marker, and
as a guess.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..sensors.base import Machine

CLOUD_NAMES = {"aws": "Amazon EC2", "gcp": "Google Compute Engine", "azure": "Azure"}
SAGEMAKER_FILE = Path("opt/ml/metadata/resource-metadata.json")
_AZURE_ML = "AZUREML_SERVICE_ENDPOINT"
# Kaggle's images are made from Colab's, and inherit its variables.
_HOSTED = (
    ("Kaggle", ("KAGGLE_KERNEL_RUN_TYPE", "KAGGLE_URL_BASE"), "gcp"),
    ("Colab", ("COLAB_RELEASE_TAG", "COLAB_BACKEND_VERSION", "COLAB_GPU"), "gcp"),
    ("Binder", ("BINDER_LAUNCH_HOST", "BINDER_REPO_URL"), None),
)
_HUB = ("JUPYTERHUB_API_URL", "JUPYTERHUB_SERVICE_PREFIX", "JUPYTERHUB_USER")
_DATABRICKS = "DATABRICKS_RUNTIME_VERSION"
_REGION_VARIABLES = {
    "aws": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "gcp": ("CLOUD_ML_REGION", "GOOGLE_CLOUD_REGION"),
}
# Azure's virtual machines have this tag, whoever's Windows or Linux runs in them; other machines
# of Microsoft's make (Hyper-V at home, a Surface) have the same maker and another tag.
_AZURE_TAG = "7783-7084-3265-9085-8269-3286-77"
_LONGEST_FILE = 65536
_REGION = re.compile(r"[a-z][a-z0-9-]{1,39}")


@dataclass(frozen=True, slots=True)
class Platform:
    """A service that runs this kernel: its name, its cloud ("aws") and the region it tells.

    `zone` ("aws:eu-west-3") and `how` are None where it tells none. Where `guessed`, the zone is of
    a variable that may have been set for something else. Where `hosted`, the clock and the
    variables are not those of the place.
    """

    name: str
    cloud: str | None
    zone: str | None = None
    how: str | None = None
    guessed: bool = False
    hosted: bool = False


def cloud(machine: Machine) -> str | None:
    """The cloud whose virtual or rented machine this is, by its firmware: "aws", "gcp", "azure"."""
    folder = machine.sysfs / "class/dmi/id"
    maker = _text(folder / "sys_vendor")
    if maker == "Amazon EC2":
        return "aws"
    # A Chromebook is of Google's make as well.
    if maker == "Google" and _text(folder / "product_name") == "Google Compute Engine":
        return "gcp"
    if maker == "Microsoft Corporation" and _text(folder / "chassis_asset_tag") == _AZURE_TAG:
        return "azure"
    return None


def platform(machine: Machine) -> Platform | None:
    """The service that this kernel runs on, by what it sets itself; None where nothing tells."""
    environ = machine.environ
    root = machine.procfs.parent
    if (root / SAGEMAKER_FILE).is_file():
        return _sagemaker(root / SAGEMAKER_FILE, environ)
    if endpoint := environ.get(_AZURE_ML):
        return _azure_ml(endpoint)
    if _DATABRICKS in environ:
        return _by_variable("Databricks", cloud(machine), environ)
    for name, markers, of_cloud in _HOSTED:
        if any(marker in environ for marker in markers):
            return Platform(name, of_cloud, hosted=True)
    if any(marker in environ for marker in _HUB):
        return _by_variable("a JupyterHub", cloud(machine), environ)
    return None


def cloud_of(machine: Machine) -> str | None:
    """The cloud ("aws") that a machine is of, by its platform, else by its firmware; None of none
    that is known."""
    on = platform(machine)
    return on.cloud if on is not None and on.cloud is not None else cloud(machine)


def _sagemaker(file: Path, environ: Mapping[str, str]) -> Platform:
    """The fourth part of {"ResourceArn": "arn:aws:sagemaker:us-east-2:…"} is the region."""
    import json

    try:
        arn = json.loads(_text(file))["ResourceArn"]
        region = arn.split(":")[3]
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        return _by_variable("SageMaker", "aws", environ)
    return _telling("SageMaker", "aws", region, f"told by SageMaker ({SAGEMAKER_FILE.name})")


def _azure_ml(endpoint: str) -> Platform:
    """The first label of the host, as in https://eastus.api.azureml.ms, is the region."""
    host = endpoint.partition("://")[2] or endpoint
    region = host.partition("/")[0].partition(".")[0]
    return _telling("Azure ML", "azure", region, f"told by Azure ML ({_AZURE_ML})")


def _by_variable(name: str, of_cloud: str | None, environ: Mapping[str, str]) -> Platform:
    """A platform that tells no region itself, with what a variable of its cloud says."""
    for variable in _REGION_VARIABLES.get(of_cloud or "", ()):
        if of_cloud is not None and (region := environ.get(variable)):
            how = f"guessed from {variable} on {name}"
            return _telling(name, of_cloud, region, how, guessed=True)
    return Platform(name, of_cloud)


def _telling(name: str, of_cloud: str, region: str, how: str, *, guessed: bool = False) -> Platform:
    """A platform and the region that it tells, where that may be one at all."""
    if not _REGION.fullmatch(region):
        return Platform(name, of_cloud)
    return Platform(name, of_cloud, f"{of_cloud}:{region}", how, guessed)


def _text(path: Path) -> str:
    """The first 64 KiB of a file, empty where there is none that can be read."""
    try:
        with path.open("rb") as file:
            return file.read(_LONGEST_FILE).decode("utf-8", "replace").strip()
    except OSError:
        return ""
