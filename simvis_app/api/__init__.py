"""The typed endpoints: the same numbers as the page's, as JSON."""
