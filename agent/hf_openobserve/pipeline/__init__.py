"""From the first client to the disk: what is made when something is to be recorded, and who owns it."""
