"""A person's own checkpoint: read, matched with an architecture, and asked about where the file does not tell."""
