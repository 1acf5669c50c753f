"""The server's side of the wire: what it accepts, what it answers, what it is."""
