"""Parts that several networks share: residual backbones, small layers. torch only, no I/O but named local files."""
