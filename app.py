"""Starts SimVis: `python app.py` serves the page, `python app.py COMMAND` does one thing and ends."""

import os
import sys

# Set before gradio and torch are imported: no usage data leaves this machine, and threads that wait do not spin,
# which on shared cores costs many times the work itself.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Gradio sums up all events of the past after each: a hundredth of a second of a page that nobody opens.
os.environ.setdefault("GRADIO_ANALYTICS_CACHE_FREQUENCY", "1000000000")
os.environ.setdefault("GRADIO_ANALYTICS_MAX_EVENTS", "1")

from simvis_app.commands import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
