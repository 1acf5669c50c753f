"""One call of a client while it runs: where it went, its attempts, the timing of its stream, how it ended."""
