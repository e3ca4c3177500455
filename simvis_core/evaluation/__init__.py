"""Many pairs, explainers and networks measured, and what the records come to."""
