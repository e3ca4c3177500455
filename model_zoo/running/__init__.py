"""Where and by what networks run."""
