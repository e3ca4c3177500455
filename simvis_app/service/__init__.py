"""The server's state and what it answers, for the page, the API and the commands alike; it knows no web page."""
