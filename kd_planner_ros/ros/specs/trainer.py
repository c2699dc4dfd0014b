"""The trainer's node: recordings in, a model folder out."""

from __future__ import annotations

from kd_planner_ros.ros.specs.base import DIAGNOSTICS, LATCHED, OUT, STATE, NodeSpec, Port

NODE = NodeSpec("trainer", "Trains a model; every option of `kd-planner train` is a parameter of the same name.", None, (
    Port("~/progress", OUT, "std_msgs/Float32", LATCHED, "0 to 1"),
    Port("~/metrics", OUT, "sensor_msgs/JointState", STATE,
         "loss, its parts and the newest validation figures by name, for rqt_plot and PlotJuggler"),
    Port("~/model", OUT, "std_msgs/String", LATCHED, "the model's folder, when the run is finished"),
    DIAGNOSTICS))
