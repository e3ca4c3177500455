"""Starts SimVis: `python app.py` serves the page, `python app.py COMMAND` does one thing and ends."""

import sys

from simvis_app.commands import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
