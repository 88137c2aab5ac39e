"""Collectors: one module a source, each turning what it reads into stacks."""
