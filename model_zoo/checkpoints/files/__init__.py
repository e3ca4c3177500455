"""What a checkpoint's file holds, read without running any of it."""
