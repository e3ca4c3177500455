"""Where in a checkpoint an architecture's tensors are, by whatever names."""
