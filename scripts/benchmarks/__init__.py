"""What `scripts/bench` runs: cost of a step, serving against llama-server, memory, and start-up, as one table."""
