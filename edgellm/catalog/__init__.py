"""Which models exist by name, and what a model file says of itself before it is loaded."""
