"""Test doubles shared by several rooms."""
