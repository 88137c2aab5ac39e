"""The version, alone in a module that imports nothing, so that `llmscan --version` stays quick."""

__version__ = "0.1.0"
