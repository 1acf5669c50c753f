"""The process that the agent is a guest in: its forks, its stderr and log, its packages, its exceptions."""
