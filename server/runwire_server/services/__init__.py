"""The servicers: one file for each service of the API, one line of work for each method."""
