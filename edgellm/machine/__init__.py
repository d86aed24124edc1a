"""What this computer is and what was measured on it, found without extra packages and without raising."""
