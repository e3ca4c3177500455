"""What is written, read back and drawn: whole files, colours, letters and numbers."""
