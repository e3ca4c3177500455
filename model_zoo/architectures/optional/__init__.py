"""Networks of libraries that SimVis works without: imported where one of their names is asked for."""
