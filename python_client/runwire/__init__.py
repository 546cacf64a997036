"""The Runwire client."""
