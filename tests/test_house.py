"""What the house demands, the house checks: where imports go, what is registered, what is quiet."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from jupyter_energy import model
from jupyter_energy.carbon import PROVIDERS
from jupyter_energy.commands import COMMANDS
from jupyter_energy.sensors import SENSORS

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "jupyter_energy"

# Imports go down this list and never up; within one entry, as they like. A folder is one entry.
LAYERS = (
    # words: numbers and what can go wrong with them
    ("errors", "version", "filesystem", "uncertainty", "foreign", "plain_text", "signals"),
    ("held_files", "failures"),
    ("answer",),
    (
        *("units", "json_file", "json_shapes", "attribution", "seal", "journal"),
        *("gpu_use", "repeats", "shift"),
    ),
    ("carving", "aside"),
    ("carved_rows",),
    ("model", "settings", "calibration"),
    # reading the machine
    ("cuda_library", "frameworks"),
    ("sensors", "worker", "gpu_sync"),
    ("renewal", "process_tree"),
    ("gauges", "devices", "power"),
    ("trace",),
    ("window", "finding"),
    ("readers", "settling"),
    ("upkeep",),
    ("sampler", "accounts"),
    # carbon, and how figures are written down
    ("carbon", "documents", "overlaps", "history_tables"),
    ("carbon_sums",),
    ("missing", "restating", "shared_devices"),
    ("attribution_sums",),
    ("schema", "repeat"),
    # keeping
    ("headless",),
    ("identity", "migrations", "saved", "tally", "live_message", "day_totals"),
    ("notebook_rows", "run_rows", "pages", "power_rows", "journals"),
    ("history_rows",),
    ("merging", "loose", "history"),
    ("retention",),
    ("recovered_rows",),
    ("recovery",),
    ("database",),
    ("store", "summary"),
    ("sci",),
    # advice
    ("plan",),
    # putting together; the settings name what lies below, so they lie above it
    ("config", "logbook", "waiting"),
    ("owners",),
    ("outbox",),
    ("idle_book",),
    ("open_window",),
    ("factors", "kept_plans", "reckoning"),
    ("records", "outlooks", "later"),
    ("refining",),
    ("monitor", "runs"),
    ("limiter",),
    ("power_limit",),
    # showing
    ("display",),
    ("figures", "commands"),
    ("live", "magic_line", "cli"),
    ("results",),
    ("cells", "repeated_code"),
    ("hooks",),
    ("magics", "__main__"),
    ("blocks",),
    # doing it
    ("pacing",),
    ("callbacks",),
    ("__init__",),
)
# Imports that may go up, each with its reason.
UPWARD = {
    ("model", "display"): "a result shows itself in a notebook, as users expect of one",
    ("model", "schema"): "Record.to_dict is promised to users; the noun itself writes no JSON",
}
# Files of a folder of registered things that are not registered: what they share.
SHARED = {
    "sensors": {
        *("base", "cgroup", "cpu_power", "cpu_time", "crosscheck", "cuda_devices", "kernel_file"),
        *("machine_kind", "nvidia_pci", "nvml_errors", "nvml_library", "nvml_limit", "nvml_parts"),
        *("nvml_ring", "nvml_sensor", "nvml_sharing", "nvml_use", "nvml_values", "perf_power"),
        *("powercap", "rapl_access", "rapl_accuracy"),
    },
    "carbon": {
        *("address", "answers", "asked_as", "base", "cache", "csv_part", "embodied", "emissions"),
        *("equivalents", "feed", "here", "known", "late_web", "metadata", "place", "platforms"),
        *("regions", "tables", "tokens", "web", "weighting", "zones"),
    },
    "commands": {
        "base",
        "ending",
        "gathered",
        "idle",
        "kernel_context",
        "limit",
        "notebook_client",
        "power_limit",
        "plan_options",
        "plan_parts",
        "provider_state",
        "script",
        "session",
        "shell_context",
        "store_state",
        "traced",
        "unwritable",
    },
}
REGISTERED = {"sensors": SENSORS, "carbon": PROVIDERS, "commands": COMMANDS}
# What ends the name of a number in model.py.
UNITS = ("_j", "_j2", "_w", "_s", "_g", "_g_per_kwh", "_kwh", "_fraction")
UNITLESS = {
    "Emissions.pue": "a ratio, and the name that everybody gives it",
    "Emissions.estimated_share": "a share, 0 to 1",
    "Span.energy_share": "a share, 0 to 1",
    "DomainEnergy.coverage": "a share, 0 to 1",
    "CarbonIntensity.g_per_kwh": "the whole name is the unit",
}
MUTABLE = {"Age": "what later readings tell of an earlier one is seen by all who hold it"}
LONGEST_FILE = 400
# What a session that measures nothing must not pay for.
HEAVY = {
    "jupyter_energy": "IPython anywidget ipywidgets matplotlib numpy psutil pynvml sqlite3",
    "jupyter_energy.magics": "anywidget ipywidgets matplotlib numpy psutil pynvml",
    "jupyter_energy.callbacks": "IPython anywidget ipywidgets matplotlib numpy psutil pynvml",
}


def files() -> list[Path]:
    """The modules of the package; data/ holds no module."""
    return sorted(p for p in PACKAGE.rglob("*.py") if "data" not in p.parts)


def name_of(file: Path) -> str:
    """A file's name within the package: "store", "sensors.rapl"; a folder's is the folder's."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


MODULES = {name_of(file): file for file in files()}
every_module = pytest.mark.parametrize("name", MODULES)


@cache
def tree_of(name: str) -> ast.Module:
    return ast.parse(MODULES[name].read_text(encoding="utf-8"))


def only_for_types(node: ast.AST) -> bool:
    """Whether this is the block that a type checker alone looks into."""
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def executed(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below that can run, those in functions included."""
    for child in ast.iter_child_nodes(node):
        if not only_for_types(child):
            yield child
            yield from executed(child)


def imported_by(name: str) -> Iterator[tuple[str, int]]:
    """The modules that one imports, as absolute names, and the line."""
    folder = MODULES[name].parent.relative_to(ROOT).parts
    for node in executed(tree_of(name)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = folder[: len(folder) - node.level + 1] if node.level else ()
            whole = ".".join((*above, *filter(None, [node.module])))
            yield from ((f"{whole}.{alias.name}", node.lineno) for alias in node.names)


def layer_of(entry: str) -> int:
    """The place of a module or a folder in the list."""
    found = [number for number, layer in enumerate(LAYERS) if entry in layer]
    assert len(found) == 1, f"{entry} has {len(found)} places in LAYERS: give it the one it has"
    return found[0]


def entry_of(name: str) -> str:
    """The entry of LAYERS that a module of ours belongs to."""
    return name.partition(".")[0]


def entry_imported(target: str) -> str:
    """The entry of LAYERS that an absolute name of ours lies in."""
    entry = entry_of(target.removeprefix("jupyter_energy."))
    # What is no module is a name of the package itself.
    return entry if entry in {entry_of(name) for name in MODULES} else "__init__"


# -- imports ---------------------------------------------------------------------------------


def test_the_layers_name_every_module_and_no_other() -> None:
    named = [entry for layer in LAYERS for entry in layer]
    assert sorted(named) == sorted({entry_of(name) for name in MODULES})


@every_module
def test_imports_go_down_the_house_and_never_up(name: str) -> None:
    importer, wrong = entry_of(name), []
    for target, line in imported_by(name):
        if not target.startswith("jupyter_energy."):
            continue
        imported = entry_imported(target)
        down = layer_of(imported) < layer_of(importer) or imported == importer
        if not down and (importer, imported) not in UPWARD:
            wrong.append(f"{name}:{line} imports {imported}")
    assert not wrong


def test_every_import_that_may_go_up_does() -> None:
    """An exception that nothing needs any more is taken off the list."""
    seen = {
        (entry_of(name), entry_imported(target))
        for name in MODULES
        for target, _ in imported_by(name)
        if target.startswith("jupyter_energy.")
    }
    assert set(UPWARD) <= seen


def test_only_the_store_imports_sqlite3() -> None:
    users = {n for n in MODULES for t, _ in imported_by(n) if t.split(".")[0] == "sqlite3"}
    assert users == {"database"}


# -- registers -------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", REGISTERED)
def test_every_file_is_registered_and_every_registered_thing_has_its_file(folder: str) -> None:
    present = {name.split(".")[1] for name in MODULES if name.startswith(f"{folder}.")}
    assert present == set(REGISTERED[folder]) | SHARED[folder]
    assert not set(REGISTERED[folder]) & SHARED[folder]


@pytest.mark.parametrize(
    ("folder", "name"), [(f, name) for f, names in REGISTERED.items() for name in names]
)
def test_what_is_registered_says_in_its_docstring_what_it_gives(folder: str, name: str) -> None:
    docstring = ast.get_docstring(tree_of(f"{folder}.{name}"))
    assert docstring, f"{folder}/{name}.py has no docstring"
    assert docstring.splitlines()[0].rstrip().endswith((".", ":", "?"))


@pytest.mark.parametrize("name", SENSORS)
def test_a_sensor_family_can_be_asked_what_it_found(name: str) -> None:
    assert callable(import_module(f"jupyter_energy.sensors.{name}").discover)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_where_it_makes_sense_and_how_it_is_run(name: str) -> None:
    command = import_module(f"jupyter_energy.commands.{name}")
    assert callable(command.add_arguments)
    assert callable(command.run)


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_of_live_intensity_can_be_made(name: str) -> None:
    assert callable(import_module(f"jupyter_energy.carbon.{name}").provider)


@pytest.mark.parametrize("name", [*SENSORS, *COMMANDS, *PROVIDERS])
def test_the_readme_tells_of_every_sensor_family_command_and_provider(name: str) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"`{name}`" in text, f"README.md has no row for `{name}`"


# -- state -----------------------------------------------------------------------------------

_MUTABLE = (ast.List, ast.Set, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
# Calls whose value nobody can change.
_IMMUTABLE_CALLS = {
    *("frozenset", "tuple", "range", "Path", "TypeVar", "ParamSpec", "TypedDict", "re.compile"),
    *("Accuracy", "Choice", "Step", "MappingProxyType", "float", "int", "NotebookRef", "timedelta"),
}


def module_values(tree: ast.Module) -> Iterator[tuple[str, ast.expr, int]]:
    """The names that a module sets at its top, with their values."""
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target in targets:
                yield ast.unparse(target), node.value, node.lineno


def is_table(name: str, value: ast.expr) -> bool:
    """A dictionary that is written out in full under a constant's name: something to look up in."""
    return isinstance(value, ast.Dict) and bool(value.keys) and name == name.upper()


@every_module
def test_no_module_holds_a_value_that_changes(name: str) -> None:
    wrong = []
    for target, value, line in module_values(tree_of(name)):
        if target == "__all__" or is_table(target, value):
            continue
        called = ast.unparse(value.func) if isinstance(value, ast.Call) else None
        made = called is not None and called not in _IMMUTABLE_CALLS
        if made or isinstance(value, (*_MUTABLE, ast.Dict)):
            wrong.append(f"{name}:{line} {target} = {ast.unparse(value)[:40]}")
    assert not wrong


_WRITERS = {"update", "pop", "popitem", "setdefault", "clear", "__setitem__"}


@every_module
def test_no_module_writes_to_a_table_of_the_house(name: str) -> None:
    tables = {
        target
        for module in MODULES
        for target, value, _ in module_values(tree_of(module))
        if is_table(target, value)
    }
    wrong = []
    for node in ast.walk(tree_of(name)):
        written: ast.expr | None = None
        into = isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del)
        if into or (isinstance(node, ast.Attribute) and node.attr in _WRITERS):
            written = node.value
        elif isinstance(node, ast.AugAssign):
            written = node.target
        elif isinstance(node, ast.Global):
            wrong.append(f"{name}:{node.lineno} global {', '.join(node.names)}")
        if written is not None and ast.unparse(written).split(".")[-1] in tables:
            wrong.append(f"{name}:{node.lineno} {ast.unparse(node)}")
    assert not wrong


# -- importing -------------------------------------------------------------------------------

# Run in a child: an audit hook sees what CPython itself does, whoever asks for it. The standard
# library and what we depend on are imported first, so that only our own doings are seen.
IMPORT_QUIETLY = """
import importlib, json, os, sys, threading
others, names = json.loads(sys.argv[1])
for other in others:
    importlib.import_module(other)
WATCHED = ("socket.", "subprocess.", "os.system", "os.fork", "os.exec", "os.posix_spawn",
           "_thread.start_new", "os.mkdir", "os.rename", "os.remove", "sqlite3.connect",
           "ctypes.dlopen", "signal.", "os.putenv")
seen = {}

def hook(event, arguments):
    if event == "open":
        path, mode, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            seen[name].append(f"open {path} for writing")
        elif not str(path).endswith((".py", ".pyc")):
            seen[name].append(f"open {path}")
    elif event.startswith(WATCHED):
        seen[name].append(f"{event} {arguments}")

sys.dont_write_bytecode = True
name = names[0]
sys.addaudithook(hook)
for name in names:
    seen[name] = []
    threads = threading.active_count()
    importlib.import_module(name)
    seen[name] += ["a thread"] * (threading.active_count() - threads)
print(json.dumps({name: things for name, things in seen.items() if things}))
"""


def dotted(name: str) -> str:
    """The full name of a module of ours."""
    return "jupyter_energy" if name == "__init__" else f"jupyter_energy.{name}"


def foreign_imports() -> list[str]:
    """What our modules import from elsewhere at their top."""
    found: dict[str, None] = {}
    for node in (node for name in MODULES for node in tree_of(name).body):
        if isinstance(node, ast.Import):
            found |= dict.fromkeys(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            found[node.module] = None
    return list(found)


def in_child(code: str, *arguments: str) -> object:
    """What a fresh interpreter prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_importing_starts_no_thread_and_opens_no_device_file_or_socket() -> None:
    names = [dotted(name) for name in MODULES]
    assert in_child(IMPORT_QUIETLY, json.dumps([foreign_imports(), names])) == {}


@pytest.mark.parametrize("name", HEAVY)
def test_importing_leaves_heavy_libraries_where_they_are(name: str) -> None:
    code = (
        "import importlib, json, sys; before = set(sys.modules); "
        "importlib.import_module(sys.argv[1]); "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    loaded = in_child(code, name)
    assert isinstance(loaded, list)
    assert name in loaded  # it was not there before, so all that it brings is seen
    assert not set(HEAVY[name].split()).intersection(loaded)


# -- manners ---------------------------------------------------------------------------------


def public(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, ast.stmt]]:
    """The public functions, classes and methods of a module."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name.startswith("_"):
                continue
            yield prefix + node.name, node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body, f"{node.name}.")


def is_overload(node: ast.stmt) -> bool:
    """Whether a function only states a type; the one that runs has the docstring."""
    return isinstance(node, ast.FunctionDef) and any(
        ast.unparse(one).split(".")[-1] == "overload" for one in node.decorator_list
    )


@every_module
def test_everything_public_says_what_one_gets(name: str) -> None:
    tree = tree_of(name)
    assert ast.get_docstring(tree), f"{name} has no docstring"
    silent = [
        what
        for what, node in public(tree.body)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        and not is_overload(node)
        and not ast.get_docstring(node)
    ]
    assert not silent


NOUNS = [
    noun
    for noun in vars(model).values()
    if isinstance(noun, type) and is_dataclass(noun) and noun.__module__ == model.__name__
]


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.__name__)
def test_a_number_tells_its_unit_at_the_end_of_its_name(noun: type) -> None:
    wrong = [
        f"{noun.__name__}.{field.name}"
        for field in fields(noun)
        if "float" in str(field.type) and not field.name.endswith(UNITS)
    ]
    assert not set(wrong) - set(UNITLESS)


@pytest.mark.parametrize("noun", NOUNS, ids=lambda noun: noun.__name__)
def test_nouns_are_frozen(noun: type) -> None:
    parameters: object = vars(noun)["__dataclass_params__"]
    assert getattr(parameters, "frozen", False) or noun.__name__ in MUTABLE


@every_module
def test_a_file_that_grew_too_long_is_two(name: str) -> None:
    lines = MODULES[name].read_text(encoding="utf-8").count("\n")
    assert lines <= LONGEST_FILE, f"{name} has {lines} lines"
