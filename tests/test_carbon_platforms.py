"""What a machine says of where it runs: platforms, clouds, and whose PUE counts there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jupyter_energy.carbon import factor, intensity, pue_of
from jupyter_energy.carbon.metadata import Told
from jupyter_energy.carbon.place import Place, find
from jupyter_energy.carbon.platforms import cloud, platform
from jupyter_energy.carbon.regions import NOT_SET, OWN_MACHINE
from jupyter_energy.carbon.tables import Tables
from jupyter_energy.config import DEFAULT
from jupyter_energy.sensors.base import Machine

NOWHERE = Path("/no/such/file")
EC2 = {"sys_vendor": "Amazon EC2", "product_name": "p5.48xlarge"}
METAL = {"sys_vendor": "Amazon EC2", "product_name": "c5.metal"}
GCE = {"sys_vendor": "Google", "product_name": "Google Compute Engine"}
AZURE = {
    "sys_vendor": "Microsoft Corporation",
    "product_name": "Virtual Machine",
    "chassis_asset_tag": "7783-7084-3265-9085-8269-3286-77",
}
HYPER_V = AZURE | {"chassis_asset_tag": "0000-0014-2346-9127-5412-9127-11"}
SURFACE = {"sys_vendor": "Microsoft Corporation", "product_name": "Surface Laptop 5"}
CHROMEBOOK = {"sys_vendor": "Google", "product_name": "Eve"}
LAPTOP = {"sys_vendor": "LENOVO", "product_name": "21CBCTO1WW"}

SAGEMAKER = json.dumps(
    {"ResourceArn": "arn:aws:sagemaker:us-east-2:123456789012:app/d-x/me/JupyterLab/default"}
)
AZURE_ML = {"AZUREML_SERVICE_ENDPOINT": "https://westeurope.api.azureml.ms"}
COLAB = {"COLAB_RELEASE_TAG": "release-colab_20260101", "COLAB_GPU": "1"}
KAGGLE = COLAB | {"KAGGLE_KERNEL_RUN_TYPE": "Interactive"}
BINDER = {"BINDER_LAUNCH_HOST": "https://mybinder.org/"}
HUB = {"JUPYTERHUB_API_URL": "http://hub:8081/hub/api", "JUPYTERHUB_USER": "me"}
DATABRICKS = {"DATABRICKS_RUNTIME_VERSION": "15.4"}


def machine(
    folder: Path,
    environ: dict[str, str] | None = None,
    dmi: dict[str, str] | None = None,
    sagemaker: str | None = None,
) -> Machine:
    """A machine with these variables and firmware, and SageMaker's file where it has one."""
    where = folder / "sys/class/dmi/id"
    where.mkdir(parents=True)
    for name, text in (dmi or {}).items():
        (where / name).write_text(f"{text}\n")
    if sagemaker is not None:
        file = folder / "opt/ml/metadata/resource-metadata.json"
        file.parent.mkdir(parents=True)
        file.write_text(sagemaker)
    return Machine(folder / "sys", folder / "proc", environ=environ or {})


def found(here: Machine, setting: str | None = None) -> Place:
    return find(setting, "the default", here.environ, NOWHERE, NOWHERE, machine=here)


# -- firmware --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dmi", "expected"),
    [
        (EC2, "aws"),
        (METAL, "aws"),
        (GCE, "gcp"),
        (AZURE, "azure"),
        (HYPER_V, None),
        (SURFACE, None),
        (CHROMEBOOK, None),
        (LAPTOP, None),
        ({}, None),
    ],
)
def test_the_firmware_names_the_cloud_and_no_other_maker_is_taken_for_one(
    tmp_path: Path, dmi: dict[str, str], expected: str | None
) -> None:
    assert cloud(machine(tmp_path, dmi=dmi)) == expected


# -- platforms -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        (AZURE_ML, "Azure ML"),
        (DATABRICKS, "Databricks"),
        (COLAB, "Colab"),
        ({"COLAB_BACKEND_VERSION": "next"}, "Colab"),
        (KAGGLE, "Kaggle"),  # its images inherit Colab's variables
        ({"KAGGLE_URL_BASE": "https://www.kaggle.com"} | COLAB, "Kaggle"),
        (BINDER, "Binder"),
        (BINDER | HUB, "Binder"),  # which is a JupyterHub too
        ({"BINDER_REPO_URL": "https://github.com/x/y"}, "Binder"),
        (HUB, "a JupyterHub"),
        ({"JUPYTERHUB_SERVICE_PREFIX": "/user/me/"}, "a JupyterHub"),
        ({}, None),
        ({"AWS_REGION": "eu-west-3", "GOOGLE_CLOUD_REGION": "us-west1"}, None),
    ],
)
def test_a_platform_is_known_by_what_it_sets_itself(
    tmp_path: Path, environ: dict[str, str], name: str | None
) -> None:
    on = platform(machine(tmp_path, environ))
    assert (None if on is None else on.name) == name


def test_sagemaker_tells_its_region_in_a_file(tmp_path: Path) -> None:
    place = found(machine(tmp_path, HUB | {"AWS_REGION": "eu-west-1"}, EC2, SAGEMAKER))
    assert (place.zone, place.assumed) == ("aws:us-east-2", False)
    assert place.how == "told by SageMaker (resource-metadata.json)"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"ResourceArn": 1}', '{"ResourceArn": "arn"}', "[" * 60000]
)
def test_a_sagemaker_file_that_tells_nothing_leaves_its_own_variable_as_a_guess(
    tmp_path: Path, text: str
) -> None:
    place = found(machine(tmp_path, {"AWS_REGION": "eu-west-1"}, EC2, text))
    assert (place.zone, place.assumed) == ("aws:eu-west-1", True)
    assert place.how == "guessed from AWS_REGION on SageMaker"


def test_azure_ml_tells_its_region_in_the_name_of_its_host(tmp_path: Path) -> None:
    place = found(machine(tmp_path, AZURE_ML, AZURE))
    assert (place.zone, place.assumed) == ("azure:westeurope", False)


@pytest.mark.parametrize(
    ("dmi", "environ", "zone"),
    [
        (EC2, DATABRICKS | {"AWS_REGION": "us-west-1"}, "aws:us-west-1"),
        (EC2, HUB | {"AWS_DEFAULT_REGION": "eu-north-1"}, "aws:eu-north-1"),
        (GCE, HUB | {"CLOUD_ML_REGION": "europe-west9"}, "gcp:europe-west9"),
    ],
)
def test_a_variable_that_people_set_too_counts_beside_a_marker_as_a_guess(
    tmp_path: Path, dmi: dict[str, str], environ: dict[str, str], zone: str
) -> None:
    place = found(machine(tmp_path, environ, dmi))
    assert (place.zone, place.assumed, place.how.startswith("guessed from ")) == (zone, True, True)


def test_what_a_clouds_machine_tells_is_stronger_than_such_a_variable(tmp_path: Path) -> None:
    here = machine(tmp_path, HUB | {"AWS_REGION": "us-west-1"}, EC2)
    told = Told("aws:eu-west-3")
    place = find("auto", "", here.environ, NOWHERE, NOWHERE, machine=here, ask=lambda _: told)
    assert (place.zone, place.assumed) == ("aws:eu-west-3", False)
    silent = Told(None, "nobody answered", final=False)
    place = find("auto", "", here.environ, NOWHERE, NOWHERE, machine=here, ask=lambda _: silent)
    assert (place.zone, place.assumed, place.final) == ("aws:us-west-1", True, False)


@pytest.mark.parametrize(
    ("dmi", "environ"),
    [
        (EC2, {"AWS_REGION": "us-west-1"}),  # no platform
        (LAPTOP, {"AWS_REGION": "us-west-1"}),
        (GCE, HUB | {"AWS_REGION": "us-west-1"}),  # another cloud's
        (LAPTOP, HUB | {"AWS_REGION": "us-west-1"}),  # a hub on a machine of one's own
        (GCE, COLAB | {"GOOGLE_CLOUD_REGION": "us-west1"}),  # set to call a service from Colab
    ],
)
def test_such_a_variable_alone_or_of_another_cloud_says_nothing(
    tmp_path: Path, dmi: dict[str, str], environ: dict[str, str]
) -> None:
    assert found(machine(tmp_path, environ, dmi)).zone == "WORLD"


@pytest.mark.parametrize(
    ("environ", "name"),
    [(KAGGLE, "Kaggle"), (COLAB, "Colab"), (BINDER, "Binder"), (HUB, "a JupyterHub")],
)
def test_a_platform_that_hides_its_region_is_named_beside_the_world_average(
    tmp_path: Path, environ: dict[str, str], name: str
) -> None:
    here = machine(tmp_path, environ)
    one = intensity(None, NOT_SET, environ, machine=here, localtime=NOWHERE, timezone_file=NOWHERE)
    assert (one.zone, one.assumed) == ("WORLD", True)
    assert one.how == f"assumed: on {name}, whose region is not told"


def test_the_clock_of_a_hosted_notebook_is_not_taken_for_its_place(tmp_path: Path) -> None:
    assert found(machine(tmp_path, COLAB | {"TZ": "Asia/Tokyo"})).zone == "WORLD"


def test_the_clock_of_a_hubs_machine_is_a_guess(tmp_path: Path) -> None:
    place = found(machine(tmp_path, HUB | {"TZ": "Europe/Berlin"}))
    assert (place.zone, place.assumed) == ("DE", True)
    assert place.how.startswith("guessed from the time zone Europe/Berlin (on a JupyterHub")


@pytest.mark.parametrize(
    ("dmi", "name"), [(EC2, "Amazon EC2"), (GCE, "Google Compute Engine"), (AZURE, "Azure")]
)
def test_a_clouds_machine_that_may_not_be_asked_says_what_lets_it_be_asked(
    tmp_path: Path, dmi: dict[str, str], name: str
) -> None:
    place = found(machine(tmp_path, {"TZ": "UTC"}, dmi))
    assert (place.zone, place.assumed) == ("WORLD", True)
    assert place.how == f"assumed: on {name}, which `zone auto` asks for its region"


def test_a_setting_is_stronger_than_any_platform(tmp_path: Path) -> None:
    place = found(machine(tmp_path, AZURE_ML, EC2, SAGEMAKER), "FR")
    assert (place.zone, place.chosen) == ("FR", True)


@pytest.mark.parametrize(
    "environ",
    [
        {"AZUREML_SERVICE_ENDPOINT": "https://"},
        {"AZUREML_SERVICE_ENDPOINT": "\x1b[31m\u202e"},
        {"AZUREML_SERVICE_ENDPOINT": "x" * 10**6},
    ],
)
def test_what_can_be_no_region_is_not_repeated(tmp_path: Path, environ: dict[str, str]) -> None:
    assert found(machine(tmp_path, environ)).how == "assumed: on Azure ML, whose region is not told"


def test_a_platforms_region_that_no_table_knows_is_named_beside_the_world_average(
    tmp_path: Path,
) -> None:
    environ = {"AZUREML_SERVICE_ENDPOINT": "https://moonbase.api.azureml.ms"}
    here = machine(tmp_path, environ)
    one = intensity(None, NOT_SET, environ, machine=here, localtime=NOWHERE, timezone_file=NOWHERE)
    assert (one.zone, one.assumed, one.quality) == ("WORLD", True, "assumed")
    assert one.how.startswith("assumed: no figure for azure:moonbase (told by Azure ML")


# -- PUE -------------------------------------------------------------------------------------


def test_what_says_that_no_pue_was_set_is_the_settings_own_word() -> None:
    assert NOT_SET == DEFAULT


def test_the_users_pue_is_the_strongest() -> None:
    assert pue_of("aws:us-east-1", 1.0, "the settings file") == (1.0, "set by the settings file")
    assert pue_of("FR", 1.4, "%config Energy") == (1.4, "set by %config Energy")


@pytest.mark.parametrize(
    ("zone", "pue", "whose"),
    [
        ("aws:us-east-1", 1.15, "AWS's for us-east-1, 2024"),
        ("gcp:us-east5", 1.09, "Google Cloud's for us-east5, 2023"),
        ("azure:westeurope", 1.14, "Azure's for westeurope, 2023"),
        ("azure:taiwannorth", 1.2, "Azure's for taiwannorth, 2022, in part a design value"),
        ("aws:eu-west-3", 1.15, "AWS's over all sites, 2023: the region's is not told"),
        ("gcp:europe-west9", 1.1, "Google Cloud's over all sites, 2021: the region's is not told"),
        ("azure:francecentral", 1.18, "Azure's over all sites, 2024: the region's is not told"),
        ("FR", 1.0, OWN_MACHINE),
        ("EM:US-MIDA-PJM", 1.0, OWN_MACHINE),
        ("WORLD", 1.0, OWN_MACHINE),
    ],
)
def test_the_pue_is_the_regions_then_the_providers_then_that_of_ones_own_machine(
    zone: str, pue: float, whose: str
) -> None:
    assert pue_of(zone, 1.0, NOT_SET) == (pue, whose)


@pytest.mark.parametrize("code", Tables().regions)
def test_every_cloud_region_has_a_pue_and_says_whose(code: str) -> None:
    pue, whose = pue_of(factor(code).zone, 1.0, NOT_SET)
    assert 1.0 < pue < 1.6
    assert whose.startswith(("AWS's", "Google Cloud's", "Azure's"))


@pytest.mark.parametrize(
    ("dmi", "environ", "pue", "whose"),
    [
        (EC2, {}, 1.15, "AWS's over all sites, 2023: the region is not known"),
        (None, COLAB, 1.1, "Google Cloud's over all sites, 2021: the region is not known"),
        (AZURE, HUB, 1.18, "Azure's over all sites, 2024: the region is not known"),
        (None, BINDER, 1.0, OWN_MACHINE),
        (LAPTOP, {}, 1.0, OWN_MACHINE),
    ],
)
def test_a_clouds_machine_in_a_place_that_is_no_region_has_the_providers_pue(
    tmp_path: Path, dmi: dict[str, str] | None, environ: dict[str, str], pue: float, whose: str
) -> None:
    assert pue_of("FR", 1.0, NOT_SET, machine(tmp_path, environ, dmi)) == (pue, whose)
