"""Pictures: opened, brought to the network's view, and listed."""
