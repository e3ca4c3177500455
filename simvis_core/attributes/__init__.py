"""A match said in words: attributes, each with a direction and a map, ranked by how well they explain it."""
