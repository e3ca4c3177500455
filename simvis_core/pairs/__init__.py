"""Why two pictures are similar: a pair's explanation, and what it is written as."""
