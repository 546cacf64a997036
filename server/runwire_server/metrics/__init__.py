"""The metric engine: frames in, group commit, folding, compaction, live watch; no SQL, no gRPC."""
