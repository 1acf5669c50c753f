"""What is captured, one module per client; each is armed by an import and activated by the first client built."""
