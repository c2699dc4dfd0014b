"""The unified encoder drives: its steering head on 16 pictures, and a speed that its own dense outputs lower."""
