"""The pair of pictures that the page is about, and the network that compares them: what all tabs share."""
