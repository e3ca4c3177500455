"""Pictures whose attributes are known: what is true of each, read from tables and from published data sets."""
