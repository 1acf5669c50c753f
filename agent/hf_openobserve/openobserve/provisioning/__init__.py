"""Dashboards and alerts of the package, and how they come to stand on a server once, as they are meant, and stay so."""
