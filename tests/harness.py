"""Real kernels for tests: started with the interpreter and environment a test asks for.

Each kernel has a home of its own, so nothing of the user's is touched.
"""

from __future__ import annotations

import json
import os
import queue
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

# Generous, because a test machine may be busy: these bound a hang, they measure nothing.
LIMIT_S = 60.0
LOAD = "%load_ext jupyter_energy"
MIME_TYPE = "application/vnd.jupyter-energy+json"


@dataclass
class Result:
    """What one request gave: everything a front end would show."""

    status: str
    stdout: str = ""
    stderr: str = ""
    value: dict[str, Any] | None = None
    displays: list[dict[str, Any]] = field(default_factory=list)
    error: tuple[str, str, list[str]] | None = None
    execution_count: int | None = None
    updates: int = 0  # how often a display was replaced
    ids: list[str | None] = field(default_factory=list)  # of the displays
    metadata: list[dict[str, Any]] = field(default_factory=list)  # of all that was displayed

    def show(self, data: dict[str, Any], display_id: str | None, kind: str) -> None:
        """Take a display, or what replaces one, as a front end does."""
        if kind == "update_display_data":
            self.displays[self.ids.index(display_id)] = data
            self.updates += 1
        else:
            self.displays.append(data)
            self.ids.append(display_id)

    @property
    def energy(self) -> list[dict[str, Any]]:
        """The cells that our own MIME bundles hold."""
        return [d[MIME_TYPE] for d in self.displays if MIME_TYPE in d]

    def seen(self) -> dict[str, Any]:
        """All that the user's code produced, our own block left out."""
        return {
            "status": self.status,
            "stdout": self.stdout,
            "stderr": self.stderr,
            "value": self.value,
            "displays": [d for d in self.displays if MIME_TYPE not in d],
            "error": self.error,
        }


class Kernel:
    """A running kernel and a client of it."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient, folder: Path) -> None:
        self.manager, self.client, self.folder = manager, client, folder

    def touch(self, name: str) -> None:
        """Make a file in the kernel's working folder: what a cell waits for."""
        (self.folder / name).touch()

    def send(self, code: str, cell_id: str | None = None, **content: Any) -> str:
        """Send a request to execute; its message id."""
        request = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
            **content,
        }
        metadata = {} if cell_id is None else {"cellId": cell_id}
        message = self.client.session.msg("execute_request", request, metadata=metadata)
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def collect(self, message_id: str) -> Result:
        """What a request gives, waited for until its reply and its last output are there."""
        result = Result("?")
        deadline = time.monotonic() + LIMIT_S
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
            if message["parent_header"].get("msg_id") != message_id:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "stream":
                name = content["name"]
                setattr(result, name, getattr(result, name) + content["text"])
            elif kind == "execute_result":
                result.value = content["data"]
            elif kind in ("display_data", "update_display_data"):
                result.metadata.append(content["metadata"])
                result.show(content["data"], content.get("transient", {}).get("display_id"), kind)
            elif kind == "error":
                result.error = (content["ename"], content["evalue"], content["traceback"])
            elif kind == "status" and content["execution_state"] == "idle":
                break
        while True:
            reply = self.client.get_shell_msg(timeout=max(0.1, deadline - time.monotonic()))
            if reply["parent_header"].get("msg_id") == message_id:
                result.status = reply["content"]["status"]
                result.execution_count = reply["content"].get("execution_count")
                return result

    def run(self, code: str, cell_id: str | None = None, **content: Any) -> Result:
        """Run code as a cell. A failing one aborts nothing: older kernels do so for a while, and
        whether the next cell falls into it would be a matter of time."""
        return self.collect(self.send(code, cell_id, **{"stop_on_error": False, **content}))

    def value(self, expression: str) -> Any:
        """The value of an expression that JSON can hold, asked for without making a cell."""
        code = "__import__('json').dumps(" + expression + ")"
        answer: dict[str, Any] = {"status": "aborted"}
        while answer["status"] == "aborted":  # an older kernel aborts for a while after an error
            request = self.client.execute(
                "", silent=True, user_expressions={"x": code}, store_history=False
            )
            answer = self.client._recv_reply(request, timeout=LIMIT_S)["content"]
        found = answer["user_expressions"]["x"]
        assert found["status"] == "ok", found
        text = found["data"]["text/plain"]
        return json.loads(__import__("ast").literal_eval(text))

    def flush(self) -> None:
        """Have the database take what waits: a finished cell's record is only in the journal for
        certain."""
        loaded = "__import__('jupyter_energy.magics', fromlist=['x']).loaded_in(get_ipython())"
        self.value(f"{loaded}.monitor.flush({LIMIT_S})")

    def wait_for_output(self, message_id: str, text: str) -> None:
        """Wait until a running request has printed `text`."""
        deadline = time.monotonic() + LIMIT_S
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.1, deadline - time.monotonic()))
            if message["parent_header"].get("msg_id") != message_id:
                continue
            if message["msg_type"] == "stream" and text in message["content"]["text"]:
                return


def stopped_by(kernel: Kernel, failing: str) -> Result:
    """What becomes of a cell, `reached = True`, that is in the queue behind one that fails.

    Both come behind one that waits. Nothing tells when they have come into the queue, so where the
    cell is not stopped, it waits longer.
    """
    stopped = Result("?")
    for waits_s in (0.3, 3.0, 30.0):
        kernel.send(
            "import pathlib, time\nwhile not pathlib.Path('go').exists():\n    time.sleep(0.01)\n"
            f"pathlib.Path('go').unlink()\ntime.sleep({waits_s})"
        )
        first, after = kernel.send(failing), kernel.send("reached = True\nprint('reached')")
        kernel.touch("go")
        # iopub keeps the order of requests, so the first is collected first.
        assert kernel.collect(first).status == "error"
        stopped = kernel.collect(after)
        if stopped.status != "ok":
            break
        kernel.run("del reached")
    return stopped


def environment(home: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment in which everything personal lies under `home`, and no display is set."""
    home.mkdir(parents=True, exist_ok=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("JUPYTER", "JPY_", "XDG_", "IPYTHON", "CUDA_", "MPLBACKEND"))
    }
    return {
        **kept,
        "HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "jupyter"),
        "JUPYTER_DATA_DIR": str(home / "jupyter-data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "TZ": "Europe/Paris",
        **(more or {}),
    }


@contextmanager
def running(python: str, home: Path, more: Mapping[str, str] | None = None) -> Iterator[Kernel]:
    """A kernel of the given interpreter, ended at the end of the block."""
    specs = home / "specs" / "tested"
    specs.mkdir(parents=True, exist_ok=True)
    (specs / "kernel.json").write_text(
        json.dumps(
            {
                "argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                "display_name": "tested",
                "language": "python",
            }
        )
    )
    manager, client = started(home, environment(home, more))
    try:
        yield Kernel(manager, client, home)
    finally:
        ended(manager, client)


def started(home: Path, env: dict[str, str]) -> tuple[KernelManager, BlockingKernelClient]:
    """A kernel that answers. Its ports are free when they are chosen, but another test that runs at
    the same time may take one before the kernel does: then it dies, and is started once more."""
    specs = KernelSpecManager(kernel_dirs=[str(home / "specs")], ensure_native_kernel=False)
    for is_last in (False, False, True):
        manager = KernelManager(kernel_name="tested", kernel_spec_manager=specs)
        manager.start_kernel(env=env, cwd=str(home))
        client = manager.client()
        client.start_channels()
        try:
            client.wait_for_ready(timeout=LIMIT_S)
        except RuntimeError:
            ended(manager, client)
            if is_last:
                raise
        else:
            return manager, client
    raise AssertionError  # the last attempt returns or raises


def ended(manager: KernelManager, client: BlockingKernelClient) -> None:
    """End a kernel."""
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    manager.cleanup_resources()


def drain(client: BlockingKernelClient) -> list[dict[str, Any]]:
    """Take the messages that have come."""
    found: list[dict[str, Any]] = []
    while True:
        try:
            found.append(client.get_iopub_msg(timeout=0))
        except queue.Empty:
            return found
