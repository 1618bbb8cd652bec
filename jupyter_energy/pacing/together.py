"""Whether several processes run one job together: then none of them is held."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping

# How many processes a job has, as torchrun, Open MPI, MPICH and srun tell each of them.
_SIZES = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")


def together(environ: Mapping[str, str]) -> str | None:
    """Why a run is not held that is one of several processes; None where it is one alone.

    PyTorch is asked where it is in use: what `torch.multiprocessing` starts has no such variable.

    Each makes a plan of its own: where one waited, the others would wait for it in the middle of
    an exchange, with their GPUs busy, until its time limit ends them all.
    """
    for name in _SIZES:
        found = re.fullmatch(r"\d{1,9}", environ.get(name, "").strip())
        if found and int(found.group()) > 1:
            return f"{int(found.group())} processes run together ({name}), and each would hold all"
    torch = sys.modules.get("torch.distributed")
    if torch is not None and torch.is_available() and torch.is_initialized():
        size = torch.get_world_size()
        if size > 1:
            return f"{size} processes run together (torch.distributed), and each would hold all"
    return None
