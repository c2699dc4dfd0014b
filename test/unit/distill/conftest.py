"""For trainings with a teacher: ``config``, settings of a TCP student beside the teacher ``wise``. A module may have its own."""

from support.taught import config, wise  # noqa: F401  fixtures
