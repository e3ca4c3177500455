"""How a network changes while it learns: its checkpoint series on disk, and figures and maps over the steps."""
