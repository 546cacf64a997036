"""The Runwire server."""
