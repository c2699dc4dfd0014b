"""Training options of the networks on this encoder."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class SectionOptions:
    """What every network on this encoder says of its picture."""

    input_height: int = field(default=0, metadata={"help": "height of the network's input in pixels; 0: that of the size", "input": True,
                                                   "low": 0})
    input_width: int = field(default=0, metadata={"help": "width of the network's input in pixels; 0: that of the size", "input": True,
                                                  "low": 0})
    camera_x_m: float = field(default=1.3, metadata={"help": "place of the recorded front camera ahead of the vehicle's centre, metres"})
    camera_z_m: float = field(default=2.3, metadata={"help": "height of the recorded front camera, metres", "above": 0.0})


@dataclass(frozen=True)
class PictureOptions(SectionOptions):
    """The same, and what a whole unified encoder says of its decoders."""

    supervision: str = field(default="truth", metadata={
        "help": "truth: depth, pose, flow and motion from exact labels, in metres; self: from three pictures in a row, in lengths of "
        "arbitrary unit, as the paper. The segmentation learns from labels in both", "choices": ("truth", "self")})
    matching: bool = field(default=False, metadata={
        "help": "give pose, flow and motion mask a correlation of both pictures; the paper's networks have none"})
    aligned_pose: bool = field(default=False, metadata={
        "help": "refine the pose by aligning both pictures, but in stages that train the pose decoder or its inputs; the paper's is not"})
    ordered_pose: bool = field(default=True, metadata={
        "help": "the pose decoder sees the earlier picture of each pair first when it learns from video; off: the source first, as "
        "published. With matching the source stands first in any case"})
    rotation_scale: float = field(default=0.1, metadata={
        "help": "what the pose decoder's rotation is multiplied by when it learns from video; 1: as published. Below 1 the camera's "
        "movement is learnt before its turns", "above": 0.0})
    logit_bound: float = field(default=4.0, metadata={
        "help": "largest size of the logit of a depth bin, read from normalised features, when it learns from video; 0: none, as "
        "published. A softmax that says one bin alone has no gradient", "low": 0.0})


@dataclass(frozen=True)
class TrainOptions(PictureOptions):
    """The unified encoder's own training options."""

    contrast_weight: float = field(default=0.5, metadata={
        "help": "weight of the contrast between object queries and texts, with a text branch that is not shipped; 0: none", "low": 0.0})
    sizes: int = field(default=4, metadata={
        "help": "when learning from video, compare pictures at 1, 1/2, 1/4 ... of their size, so many; 1: as published",
        "low": 1, "high": 5})
    auto_mask: bool = field(default=False, metadata={
        "help": "when learning from video, pixels that fit better unwarped teach nothing in the first stage, as published"})
    segmentation_share: float = field(default=0.001, metadata={
        "help": "when learning from video, what the losses of the segmentation and the contrast are multiplied by; 1: as published, and "
        "their gradient is some thousand times that of depth and pose", "above": 0.0})
    moving_mps: float = field(default=1.0, metadata={
        "help": "when learning from video, samples of a car slower than this teach nothing, as Monodepth2 leaves standing frames out; "
        "0: all teach", "low": 0.0})
    guarded: bool = field(default=True, metadata={
        "help": "when learning from video, the ground's term counts only where a level plane holds six of ten points of the lower rows, "
        "and the term that holds the complete flow to the rigid one teaches the complete flow alone; off: as published"})
