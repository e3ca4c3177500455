"""How far a map can be trusted: measured, and written down."""
