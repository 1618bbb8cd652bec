"""A Jupyter server with folders of its own, and the kernels that a page can choose on it."""

from __future__ import annotations

import json
import os
import queue
import re
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

import nbformat
from harness import environment
from shell import notebook

# Generous, because a test machine may be busy: it bounds a hang and measures nothing. A thousand
# cells have taken more than a minute where ten others wanted each of two cores.
LIMIT_S = 180.0
# What a Jupyter server logs once it listens: its port may be another than it was told to take.
_LISTENS = re.compile(r"http://127\.0\.0\.1:\d+(?=/)")
App = Literal["lab", "notebook"]
# A kernel without a debugger: after each cell JupyterLab asks a debugger for news, and a test that
# counts messages would count those.
PLAIN = "plain"
_OPTIONS = {
    "lab": (
        "jupyterlab",
        "--LabApp.expose_app_in_browser=True",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ),
    "notebook": ("notebook", "--JupyterNotebookApp.expose_app_in_browser=True"),
}
_LAUNCH = ["-m", "ipykernel_launcher", "-f", "{connection_file}"]


@dataclass(frozen=True)
class Server:
    """A server that runs: `url` ends in its base URL, `root` holds its notebooks.

    Its kernels keep their records in `store` and find sensors under `sysfs`, where there are none
    until a test puts them there.
    """

    app: App
    python: str
    folder: Path
    url: str
    token: str

    @property
    def root(self) -> Path:
        """The folder whose files the pages see."""
        return self.folder / "root"

    @property
    def log(self) -> Path:
        """What the server and its kernels printed."""
        return self.folder / "server.log"

    def page_url(self, path: str, workspace: str) -> str:
        """The address that opens a notebook; a workspace of its own restores no other's tabs."""
        place = f"lab/workspaces/{workspace}/tree" if self.app == "lab" else "notebooks"
        return f"{self.url}{place}/{urllib.parse.quote(path)}?token={self.token}"

    def notebook(self, path: str, cells: Sequence[Any], kernel: str = PLAIN) -> str:
        """A new notebook file of these cells; its contents path."""
        spec = {"name": kernel, "display_name": kernel, "language": "python"}
        notebook(self.root / path, cells, kernelspec=spec)
        return path

    def saved(self, path: str) -> Any:
        """The notebook as it lies on disk."""
        return nbformat.read(self.root / path, as_version=4)

    def add_kernel(
        self,
        name: str,
        environ: Mapping[str, str] | None = None,
        *,
        options: Sequence[str] = (),
        launch: Sequence[str] = _LAUNCH,
        language: str = "python",
    ) -> str:
        """A kernel of this name, with more in its environment; pages opened from now on see it."""
        write_kernel(self.folder, name, [self.python, *launch, *options], environ or {}, language)
        return name

    def api(self, path: str, method: str = "GET", body: object = None) -> Any:
        """What the server's REST API answers."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"token {self.token}"},
        )
        with urllib.request.urlopen(request, timeout=LIMIT_S) as response:
            text = response.read()
        return json.loads(text) if text else None

    def kernels(self) -> list[dict[str, Any]]:
        """The kernels that run, as the server knows them."""
        found: list[dict[str, Any]] = self.api("api/kernels")
        return found

    def last_activity(self, kernel_id: str) -> str:
        """When the server last saw the kernel do something, which is what a culler goes by."""
        found: str = self.api(f"api/kernels/{kernel_id}")["last_activity"]
        return found

    def connections(self, kernel_id: str) -> int:
        """How many pages are connected to a kernel, as the server sees it."""
        found: int = self.api(f"api/kernels/{kernel_id}")["connections"]
        return found

    def end_kernels(self) -> None:
        """End all kernels, so that the next test meets none."""
        for kernel in self.kernels():
            try:
                self.api(f"api/kernels/{kernel['id']}", "DELETE")
            except urllib.error.HTTPError as error:
                error.close()
                if error.code != HTTPStatus.NOT_FOUND:  # it has ended meanwhile
                    raise

    def set_settings(self, plugin: str, settings: Mapping[str, object]) -> None:
        """Store a user's settings of a plugin; pages opened from now on follow them."""
        self.api(f"lab/api/settings/{plugin}", "PUT", {"raw": json.dumps(settings)})


def write_kernel(
    folder: Path, name: str, argv: Sequence[str], environ: Mapping[str, str], language: str
) -> None:
    """A kernel specification where a server with this folder looks for it."""
    spec = folder / "home" / "jupyter-data" / "kernels" / name / "kernel.json"
    spec.parent.mkdir(parents=True, exist_ok=True)
    content = {"argv": argv, "display_name": name, "language": language, "env": dict(environ)}
    spec.write_text(json.dumps(content))


@contextmanager
def serving(
    python: str,
    folder: Path,
    app: App = "lab",
    *,
    base_url: str = "/",
    gateway: Server | None = None,
    more: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    """A server of the given interpreter's environment, ended with its kernels after the block.

    `gateway`: it starts its kernels on that server. `more` is added to its environment, and so to
    that of its kernels.
    """
    (folder / "root").mkdir(parents=True)
    (folder / "sys").mkdir()
    settings = folder / "settings"
    _no_news(settings)
    environ = environment(
        folder / "home",
        {
            "JUPYTER_ENERGY_SYSFS": str(folder / "sys"),
            "JUPYTER_ENERGY_STORE": str(folder / "store" / "energy.sqlite"),
            "JUPYTERLAB_SETTINGS_DIR": str(settings),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            **(more or {}),
        },
    )
    token = secrets.token_hex()
    module, *options = _OPTIONS[app]
    command = [
        *(python, "-m", module, "--no-browser", "--allow-root", *options),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={_free_port()}"),
        *(f"--ServerApp.root_dir={folder / 'root'}", f"--ServerApp.base_url={base_url}"),
        f"--IdentityProvider.token={token}",
    ]
    if gateway is not None:
        command += [
            f"--GatewayClient.url={gateway.url.rstrip('/')}",
            f"--GatewayClient.auth_token={gateway.token}",
        ]
    process = subprocess.Popen(
        command,
        env=environ,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    listens: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(
        target=_copy_log, args=(process, folder / "server.log", listens), daemon=True
    )
    reader.start()
    try:
        address = listens.get(timeout=LIMIT_S)
        if address is None:
            raise RuntimeError(f"no server:\n{(folder / 'server.log').read_text()}")
        server = Server(app, python, folder, address + base_url, token)
        server.add_kernel(PLAIN)
        yield server
    finally:
        _end(process)
        reader.join(LIMIT_S)  # a kernel that outlives its server holds the pipe open


def _no_news(settings: Path) -> None:
    """Settings in which JupyterLab asks nothing of the network and of the user."""
    folder = settings / "@jupyterlab" / "apputils-extension"
    folder.mkdir(parents=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False}
    (folder / "notification.jupyterlab-settings").write_text(json.dumps(quiet))


def _free_port() -> int:
    """A port that is free now; the server takes another if it no longer is, and says so."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


def _copy_log(process: subprocess.Popen[str], log: Path, listens: queue.Queue[str | None]) -> None:
    """Write down what the server prints; tell where it listens, and None when it ended."""
    assert process.stdout is not None
    with log.open("w", encoding="utf-8") as file, process.stdout:
        for line in process.stdout:
            file.write(line)
            file.flush()
            if found := _LISTENS.search(line):
                listens.put(found[0])
    listens.put(None)


def _end(process: subprocess.Popen[str]) -> None:
    """End the server as a user does, and by force where it does not."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(timeout=15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=15)


def chromium() -> str | None:
    """Debian's Chromium, if this machine has it."""
    return shutil.which("chromium")
