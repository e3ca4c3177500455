"""`attributes`: why two pictures are similar, in words; one file for each word that may follow the command."""
