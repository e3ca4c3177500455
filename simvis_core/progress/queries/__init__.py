"""A picture searched for at each step of a training: its hits, their maps, and figures over the steps."""
