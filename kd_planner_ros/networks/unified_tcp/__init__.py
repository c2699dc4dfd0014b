"""TCP on the encoder of a unified encoder: what its Swin has learnt from depth, classes and motion, under TCP's head."""
