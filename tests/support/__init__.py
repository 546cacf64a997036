"""Real servers and databases for the tests."""
