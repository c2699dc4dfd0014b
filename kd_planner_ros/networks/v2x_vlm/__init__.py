"""V2X-VLM: front camera, roadside camera and a text to a trajectory, by Florence-2's classes of ``transformers``."""
