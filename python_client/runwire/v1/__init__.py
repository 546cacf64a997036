"""Generated messages and stubs of the API `runwire.v1`; never edited."""
