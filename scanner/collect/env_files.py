"""Env files that no project reads: examples that people copy, defaults that a script hands on."""

from __future__ import annotations

from collections.abc import Iterable

from llmscan.collect.compose_env import env_file_values
from llmscan.collect.tree import FileTree, folder_of
from llmscan.model import LooseValue, Stack


def env_file_stacks(tree: FileTree, paths: Iterable[str], stacks: Iterable[Stack]) -> list[Stack]:
    """A stack for each folder that has env files, among the paths, whose values none of `stacks` holds."""
    used = {value.setting.place.path for stack in stacks for value in stack.loose_values if value.setting.place}
    by_folder: dict[str, list[LooseValue]] = {}
    for path in paths:
        if path in used:
            continue
        values = env_file_values(path, tree.read(path) or "")
        if values:
            by_folder.setdefault(folder_of(path), []).extend(values)
    return [
        Stack(
            unit=f"env files of {folder or '.'}",
            source="files",
            loose_values=tuple(values),
            place=values[0].setting.place,
        )
        for folder, values in by_folder.items()
    ]
