"""The page's address: what is on screen as a URL, written and restored."""
