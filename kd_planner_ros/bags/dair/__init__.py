"""DAIR-V2X as published: the cooperative set (DAIR-V2X-C) and the sequential one (V2X-Seq-SPD), and a tiny set in both layouts."""
