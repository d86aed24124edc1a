"""HTTP in front of a `Model`; the only place where status codes exist."""
