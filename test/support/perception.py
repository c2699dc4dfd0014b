"""A tiny perception network in a package of its own, and a perceiver without weights: for loaders, nodes and graphs."""

import sys

from support.networks import save_seeded
from support.plugins import distribution

from kd_planner_ros.core.plugins import NETWORKS

CONFIG = '''
    """Facts of the tiny eye."""
    from dataclasses import dataclass

    from kd_planner_ros.core.ego import Pose
    from kd_planner_ros.core.sensors import CameraSpec, SensorRig

    ROLE, ENGINES = "perceiver", ("torch",)

    @dataclass(frozen=True)
    class Config:
        width: int = 64
        height: int = 32
        rate_hz: float = 10.0

        @property
        def rig(self):
            return SensorRig((CameraSpec("front", Pose(x=-1.5, z=2.0), self.width, self.height, 100.0, period_s=0.1),))

    CONFIGURATIONS = (Config(),)
'''
MODEL = '''
    """Depth and three classes by one convolution."""
    import torch
    from torch import nn

    INPUTS, OUTPUTS = ("image", "kind"), ("depth", "logits")

    class Eye(nn.Module):
        def __init__(self):
            super().__init__()
            self.look, self.kinds = nn.Conv2d(3, 4, 3, padding=1), nn.Embedding(2, 4)

        def forward(self, image, kind):
            found = self.look(image) + self.kinds(kind)[..., None, None]
            return {"depth": found[:, 0].exp(), "logits": found[:, 1:]}

    def build_model(config):
        return Eye()

    def example_inputs(config, batch=1):
        return {"image": torch.zeros(batch, 3, config.height, config.width), "kind": torch.ones(batch, dtype=torch.long)}
'''
PROCESSOR = '''
    """Pictures to tensors and back."""
    import numpy as np
    import torch

    from kd_planner_ros.core.errors import SensorError
    from kd_planner_ros.core.outputs import DenseOutput, Perception
    from kd_planner_ros.networks.planner import Processor

    class EyeProcessor(Processor[Perception]):
        def encode(self, frames):
            if any("front" not in frame.images for frame in frames):
                raise SensorError("a picture of camera front", "none", "mount it")
            pictures = torch.from_numpy(np.stack([frame.images["front"] for frame in frames])).permute(0, 3, 1, 2)
            return {"image": pictures / 255.0, "kind": torch.ones(len(frames), dtype=torch.long)}

        def decode(self, outputs, frame):
            classes = outputs["logits"][0].argmax(0).to(torch.uint8).numpy()
            return Perception(frame.stamp_ns, "front", {
                "depth": DenseOutput("depth", outputs["depth"][0].numpy().astype(np.float32)),
                "classes": DenseOutput("classes", classes, ("road", "car", "sky"))}, scalars={"steer": 0.25})

    def build_processor(config):
        return EyeProcessor()
'''


def install_network(monkeypatch, folder, package="tiny_eye_package"):
    """Install the network ``tiny_eye`` for the length of a test."""
    files = {f"{package}/{part}.py": text for part, text in (("config", CONFIG), ("model", MODEL), ("processor", PROCESSOR))}
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    return distribution(monkeypatch, folder, package.replace("_", "-"), {NETWORKS: {"tiny_eye": package}}, files)


def save_tiny(folder, name):
    """Write a model of ``tiny_eye`` with seeded weights to ``folder/name`` and give back ``folder``."""
    save_seeded(folder / name, "tiny_eye", {})
    return folder
