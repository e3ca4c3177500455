"""Where a network's cells look: centres of receptive fields by arithmetic."""
