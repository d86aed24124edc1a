"""What `edgellm bench` asks, measures and shows."""
