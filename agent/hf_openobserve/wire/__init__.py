"""What goes over the wire, read: addresses, headers, bodies, chunks and errors. Pure: no SDK, no network."""
