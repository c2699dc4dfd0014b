"""One Swin encoder, and decoders for segmentation, depth, pose, scene flow and motion on its features."""
