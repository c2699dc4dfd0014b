"""What a perceiver's next start needs of a network in parts: how they hang together, and what torch made of an example.

The converted graphs are kept beside it. With both the network need not be built: that would import its libraries and hold its weights a
second time. Each graph is still compared with torch's outputs. The name of the file holds the weights' hash and that of the networks'
source, so that neither decides after a change.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor

from kd_planner_ros import networks
from kd_planner_ros.core.files import write_bytes
from kd_planner_ros.networks.parts import NetworkPart, Part
from kd_planner_ros.networks.registry import Network
from kd_planner_ros.runtime.processes import module_command


@dataclass
class KeptParts:
    """Parts in the order in which they run.

    Attributes:
        parts: without their modules.
        takes, gives: names of each part's tensors.
        inputs, outputs: tensors of an example by part and name; the outputs are torch's.
    """

    parts: tuple[Part, ...]
    takes: dict[str, tuple[str, ...]]
    gives: dict[str, tuple[str, ...]]
    inputs: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    outputs: dict[str, dict[str, Tensor]] = field(default_factory=dict)

    @classmethod
    def of(cls, parts: Mapping[str, NetworkPart]) -> KeptParts:
        """The declarations of ``parts``, without tensors."""
        plain = tuple(Part(part.name, part.needs, part.needs_before, part.switch, part.traced) for part in parts.values())
        return cls(plain, {name: part.inputs for name, part in parts.items()}, {name: part.outputs for name, part in parts.items()})

    def add(self, part: str, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> None:
        """Keep what torch made of ``inputs``."""
        self.inputs[part] = {name: inputs[name] for name in self.takes[part]}
        self.outputs[part] = {name: outputs[name].detach() for name in self.gives[part]}

    def write(self, path: Path) -> None:
        """Keep all in the file ``path``; one that cannot be written is no error, the next start builds the network again."""
        tensors = {f"{part} {kind} {name}": value.contiguous().clone() for kind, of in (("in", self.inputs), ("out", self.outputs))
                   for part, own in of.items() for name, value in own.items()}
        told = [{"name": part.name, "needs": part.needs, "needs_before": part.needs_before, "switch": part.switch, "traced": part.traced,
                 "takes": self.takes[part.name], "gives": self.gives[part.name]} for part in self.parts]
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(path, save(tensors, {"parts": json.dumps(told)}))
        except OSError:
            return


def read_kept(path: Path) -> KeptParts | None:
    """What ``KeptParts.write`` kept at ``path``; None where there is nothing, or nothing that can be read."""
    try:
        with safe_open(path, "pt") as file:
            told = json.loads(file.metadata()["parts"])
            parts = tuple(Part(one["name"], tuple(one["needs"]), tuple(one["needs_before"]), one["switch"], one["traced"]) for one in told)
            found = KeptParts(parts, {one["name"]: tuple(one["takes"]) for one in told}, {one["name"]: tuple(one["gives"]) for one in told})
            for part in found.takes:
                found.inputs[part] = {name: file.get_tensor(f"{part} in {name}") for name in found.takes[part]}
                found.outputs[part] = {name: file.get_tensor(f"{part} out {name}") for name in found.gives[part]}
            return found
    except Exception:  # noqa: BLE001  missing, cut off, or of another version: it is only a cache
        return None


def source_hash(network: Network | None = None) -> str:
    """A hash of the source of all networks, of that of ``network`` where it lies in another package, and of torch's version."""
    own = () if network is None else (Path(inspect.getfile(network.build_model)).parent,)
    return _hash_of(tuple(sorted({*map(Path, networks.__path__), *own})))


@cache
def _hash_of(folders: tuple[Path, ...]) -> str:
    digest = hashlib.sha256(torch.__version__.encode())
    for folder in folders:
        for path in sorted(folder.rglob("*.py")):
            digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


def convert_apart(folder: Path) -> None:
    """Convert the parts of the model in ``folder`` and keep them, in a process of its own: converting and the network's libraries take more
    memory than all that follows, and the process gives it back. What goes wrong there is found again, and told, by the caller's loading.
    """
    subprocess.run([*module_command("kd_planner_ros.runtime.convert"), str(folder)], check=False, stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
