"""Benchmarks: Runwire beside its peers and its physical limits, measured in the same run."""
