"""For every test: a suite started in the background by a shell must still be able to send its children Ctrl-C."""

import signal

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # what a non-interactive shell gives `command &`; children inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)
