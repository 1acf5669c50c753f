"""How a process is entered, and what every process pays. The standard library alone, until something is activated."""
