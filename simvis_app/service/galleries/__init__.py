"""The server's galleries: searched, indexed, and told as JSON."""
