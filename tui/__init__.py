"""The terminal app in front of edgellm."""
