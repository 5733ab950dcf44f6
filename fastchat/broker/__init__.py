"""Fan-out between workers."""
