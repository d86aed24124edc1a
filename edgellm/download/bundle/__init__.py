"""Carries models and a whole installation of edgellm to machines that have no network, and takes them in there."""
