"""The entry point of the `llmscan` command; the commands are in `llmscan.commands`.

`llmscan --version` is answered here, before anything else is imported: it is the first thing that people and scripts run.
"""

from __future__ import annotations

import sys

from llmscan.version import __version__


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        print(f"llmscan {__version__}")
        return
    import gc

    gc.disable()  # a scan keeps nearly all that it makes until it ends: collecting finds nothing, and takes a fifth of the time
    from llmscan.commands import group

    group()


if __name__ == "__main__":
    main()
