"""One training process, or several as torchrun starts them: which one is this, what is shared."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from dogsort.errors import DeviceError, DogsortError

__all__ = ["Processes", "join_processes", "leads"]

T = TypeVar("T")

#: While the first process decodes all photos, the others wait.
PATIENCE = timedelta(hours=12)


def leads() -> bool:
    """Tell whether this process is the only one, or the first: the one that talks and writes."""
    return not distributed.is_torchelastic_launched() or os.environ["RANK"] == "0"


@dataclass(frozen=True, slots=True)
class Processes:
    """The processes of a run, on one machine.

    Attributes:
        rank: which one this is, counted from 0.
        count: how many there are.
        device: torch's name of this one's device.
    """

    rank: int
    count: int
    device: str

    def share(self, make: Callable[[], T]) -> T:
        """Let the first process make something, and give it, or its error, to all."""
        if self.count == 1:
            return make()
        made: T | None = None
        failed: Exception | None = None
        if self.rank == 0:
            try:
                made = make()
            except (DogsortError, OSError) as error:
                failed = error
        box = [made, failed]
        distributed.broadcast_object_list(box, src=0)
        made, failed = box  # type: ignore[assignment]
        if failed is not None:
            raise failed
        return made  # type: ignore[return-value]

    def wait(self) -> None:
        """Return once every process has come here."""
        if self.count > 1:
            distributed.barrier()

    def mean(self, value: float) -> float:
        """Return the mean over the processes."""
        if self.count == 1:
            return value
        total = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(total)
        return float(total) / self.count

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return the network, with gradients averaged over the processes if there are several."""
        if self.count == 1:
            return network
        return DistributedDataParallel(network)


@contextmanager
def join_processes(device: str) -> Iterator[Processes]:
    """Join the other processes, if torchrun started this one; part from them in the end.

    Args:
        device: ``cpu``, ``cuda`` or ``mps``; of several CUDA devices, each process gets its own.

    Raises:
        DeviceError: if there are fewer devices than processes, or these are on several machines.
    """
    if not distributed.is_torchelastic_launched():
        yield Processes(0, 1, device)
        return
    if os.environ["LOCAL_WORLD_SIZE"] != os.environ["WORLD_SIZE"]:
        raise DeviceError("training on several machines: not possible; start all on one")
    here = int(os.environ["LOCAL_WORLD_SIZE"])
    devices = {"cuda": torch.cuda.device_count(), "mps": 1}.get(device, here)
    if devices < here:
        raise DeviceError(f"{here} processes, but {devices} {device} devices; start as many")
    if device == "cuda":
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    backend = "nccl" if device.startswith("cuda") else "gloo"
    distributed.init_process_group(backend, timeout=PATIENCE)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size(), device)
    finally:
        distributed.destroy_process_group()
