"""Pure rules over messages: no gRPC, no SQL, no I/O."""
