"""The callbacks where no framework is: the real ones are met in tests/frameworks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from shell import Shell

from jupyter_energy import callbacks
from jupyter_energy.callbacks.training import Training
from jupyter_energy.errors import WrongUse

FRAMEWORKS = ("transformers", "lightning", "pytorch_lightning", "keras", "torch", "tensorflow")


@pytest.fixture
def no_framework(monkeypatch: pytest.MonkeyPatch) -> None:
    """None is installed, whatever this environment holds."""
    for name in FRAMEWORKS:
        for module in [m for m in sys.modules if m.partition(".")[0] == name]:
            monkeypatch.delitem(sys.modules, module)
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("no_framework")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "HuggingFaceCallback",
            "transformers is not installed: pip install 'transformers[torch]'",
        ),
        ("LightningCallback", "lightning is not installed: pip install lightning"),
        ("KerasCallback", "keras is not installed: pip install keras"),
    ],
)
def test_without_its_framework_a_callback_says_what_to_install(name: str, words: str) -> None:
    with pytest.raises(ImportError) as told:
        getattr(callbacks, name)
    assert str(told.value) == words


def test_there_is_no_other_callback() -> None:
    with pytest.raises(ImportError, match="cannot import name 'JaxCallback'"):
        from jupyter_energy.callbacks import JaxCallback  # noqa: F401  it is not there


def test_importing_the_callbacks_imports_no_framework() -> None:
    code = (
        "import json, sys\n"
        "class Refuses:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        assert name.partition('.')[0] not in {FRAMEWORKS}, name\n"
        "sys.meta_path.insert(0, Refuses())\n"
        "import jupyter_energy.callbacks\n"
        "from jupyter_energy.callbacks import hugging_face, keras_fit, lightning_fit\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)


def test_wrong_use_of_every_argument_is_told_before_a_training_begins() -> None:
    for wrong in ({"extend": "much"}, {"hours": 0}, {"on_anyway": "yes"}):
        given = {"extend": "50%", "hours": None, "name": "training", "pacing": None, **wrong}
        with pytest.raises(WrongUse, match=next(iter(wrong))):
            Training(**given)  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize(
    ("error", "outcome"), [("ValueError", "error"), ("KeyboardInterrupt", "interrupted")]
)
def test_a_training_that_ends_its_script_is_measured_until_then(
    tmp_path: Path, error: str, outcome: str
) -> None:
    shell = Shell(tmp_path)
    script = tmp_path / "train.py"
    script.write_text(
        "from jupyter_energy.callbacks.training import Training\n"
        "training = Training('50%', None, 'training', None)\n"
        "def fit():\n"
        "    training._begin(8, 'fit')\n"
        f"    raise {error}\n"
        "fit()\n"
    )
    assert error in shell.python(script).stderr
    (row,) = shell.summary(script)["cells"]
    assert (row["name"], row["runs"], row["outcome"]) == ("training", 1, outcome)
