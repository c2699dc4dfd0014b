"""The unified encoder's teacher: an encoder for segmentation and depth, one for the pose, one for flow and motion."""
