"""The outbox: a finished span becomes one record in a segment file, and leaves it when the server has accepted it."""
