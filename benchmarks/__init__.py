"""What is fast here and how it grows; `python -m benchmarks` prints the tables that the README shows."""
