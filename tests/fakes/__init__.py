"""Stand-ins for what the tests cannot run for real. There is one: the OpenObserve server."""
