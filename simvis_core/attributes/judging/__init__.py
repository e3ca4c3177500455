"""Do the named attributes explain? The protocol of SANE (Plummer 2020), its baselines, and checks without truth."""
