"""For every test: signals that children can receive, ROS domains of this process's own, and what tests share."""

import os
import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # what a non-interactive shell gives `command &`; children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ["ROS_PYTHON_CHECK_FIELDS"] = "1"  # before any message module is imported
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

from support.domains import claim_domain

os.environ["ROS_DOMAIN_ID"] = str(claim_domain())
