"""A unified encoder whose pose decoder reads the coarsest features alone: what the multi-scale pose decoder is compared with."""
