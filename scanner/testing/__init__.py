"""What the tests of a plugin author import."""
