"""The catalogue: a card for each network, and its weights."""
