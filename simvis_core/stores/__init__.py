"""Where a gallery's embeddings are kept and searched: embedded by default, a server where a URL names one."""
