"""The layers beside a checkpoint's trunk: which they are, and in which order."""
