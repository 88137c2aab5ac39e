"""Deployment files of a repository: which file is what, and the stacks that they make."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from llmscan.collect.compose_env import is_env_file
from llmscan.collect.delivery import take_delivered
from llmscan.collect.env_files import env_file_stacks
from llmscan.collect.manifests import Manifests, joined, looks_like_manifest, read_manifests, stacks
from llmscan.collect.tree import SUFFIXES, FileTree, ancestors, find_files, folder_of
from llmscan.collect.yaml_tree import Unreadable
from llmscan.collection import Collection
from llmscan.findings import Failure, Target
from llmscan.host import Host
from llmscan.model import Gap, Stack
from llmscan.records import Record

if TYPE_CHECKING:
    from llmscan.collect.rendered import Rendered

COMPOSE = re.compile(r"^[ \t]*[\"']?(?:services|include)[\"']?[ \t]*:", re.MULTILINE)
JSON_COMPOSE = re.compile(r"^[ \t{]*\"services\"[ \t]*:", re.MULTILINE)
"""In JSON `include` alone is a word of compilers and linters."""
ELSEWHERE = ("../", "include", "extends")
"""What a compose file says where it may read from another folder's project, as an absolute path to an env file does."""
ABSOLUTE = re.compile(r"(?:^|[\s\"',\[])/[^\s:]*\.env\b", re.MULTILINE)
WORTHWHILE = 200
"""Files below which a second process costs more than it saves (measured: bench/README.md)."""
KUSTOMIZATIONS = ("kustomization.yaml", "kustomization.yml", "Kustomization")


class FilesOptions(Record, frozen=True):
    """What `llmscan files` was told."""

    exclude: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    """Variables that may be taken for compose files (`--env`)."""
    profiles: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    set_values: tuple[str, ...] = ()
    release_name: str = ""
    kube_version: str = ""


NO_OPTIONS = FilesOptions()


@dataclass(slots=True)
class Found:
    """What the collectors of one walk brought."""

    stacks: list[Stack] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    objects: int = 0
    files: int = 0


class Sorted(Record, frozen=True):
    """Files by what they are taken for, in the order of their paths. manifests: with their texts."""

    manifests: tuple[tuple[str, str], ...]
    composes: tuple[str, ...]
    envs: tuple[str, ...]

    def within(self, folders: Container[str]) -> Sorted:
        """Those that lie in the folders themselves."""
        return Sorted(
            tuple(entry for entry in self.manifests if folder_of(entry[0]) in folders),
            tuple(path for path in self.composes if folder_of(path) in folders),
            tuple(path for path in self.envs if folder_of(path) in folders),
        )


def collect_files(
    paths: Sequence[str], options: FilesOptions = NO_OPTIONS, host: Host | None = None, *, parts: bool = False
) -> Collection:
    """Find and read everything under the PATHs.

    host: whose collectors are asked as well. parts: leave large trees `unread` as parts, where no folder of one leads into another.
    """
    tree = find_files(paths, options.exclude)
    found = Found()
    claimed = _foreign(tree, host, found) if host is not None else set()
    claimed |= _packaged(tree, options, found)
    files, apart = _sorted(tree, claimed, found)
    target = Target("files", " ".join(paths))
    apart = parts and apart and not found.stacks
    halves = _halves(files) if apart and not any(_chooses_files(tree, path) for path in files.envs) else ()
    if not halves:
        _read(tree, files, options, found)
    found.failures[:0], found.gaps[:0], found.notes[:0] = tree.failures, tree.gaps, tree.notes
    return _collection(target, found, tuple(partial(_part, tree, half, options, target) for half in halves))


def _collection(target: Target, found: Found, unread: tuple[Callable[[], Collection], ...] = ()) -> Collection:
    """What was found, as a scan takes it."""
    return Collection(
        target=target,
        stacks=tuple(found.stacks),
        failures=tuple(found.failures),
        gaps=tuple(found.gaps),
        notes=tuple(found.notes),
        files=found.files,
        objects=found.objects,
        unread=unread,
    )


def _sorted(tree: FileTree, claimed: Container[str], found: Found) -> tuple[Sorted, bool]:
    """What each file is that nothing has claimed; and whether projects stay within their folders, as far as their texts tell."""
    manifests: list[tuple[str, str]] = []
    composes: list[str] = []
    apart = True
    for path in tree.paths:
        if path in claimed or not path.endswith(SUFFIXES) or path.rpartition("/")[2] in KUSTOMIZATIONS:
            continue
        text = tree.read(path)
        if text is None:
            continue
        if looks_like_manifest(text):
            manifests.append((path, text))
        elif (COMPOSE if not path.endswith(".json") else JSON_COMPOSE).search(text):
            composes.append(path)
            apart = apart and not _leads_elsewhere(text)
        else:
            found.notes.append(f"{path}: neither a manifest nor a compose file")
    return Sorted(tuple(manifests), tuple(composes), tuple(filter(is_env_file, tree.paths))), apart


def _leads_elsewhere(text: str) -> bool:
    """Whether a compose file may read from another folder's project."""
    return any(word in text for word in ELSEWHERE) or ("env_file" in text and ABSOLUTE.search(text) is not None)


def _chooses_files(tree: FileTree, path: str) -> bool:
    """Whether an env file says which compose files make a project."""
    return "COMPOSE_FILE" in (tree.read(path) or "")


def _halves(files: Sorted) -> tuple[Sorted, ...]:
    """The files in two halves by folders, those within one another together; none where they are few, or cannot be parted."""
    count = Counter(folder_of(path) for path in (*(path for path, _ in files.manifests), *files.composes))
    every = {*count, *map(folder_of, files.envs)}
    if count.total() < WORTHWHILE:
        return ()
    outermost = {folder: [above for above in ancestors(folder) if above in every][-1] for folder in every}
    weight: Counter[str] = Counter()
    for folder, outer in outermost.items():
        weight[outer] += count[folder]
    first: set[str] = set()
    for outer in sorted(weight):
        if sum(weight[one] for one in first) * 2 >= count.total():
            break
        first.add(outer)
    if len(first) == len(weight):
        return ()
    return tuple(
        files.within({folder for folder, outer in outermost.items() if (outer in first) == half})
        for half in (True, False)
    )


def _part(tree: FileTree, files: Sorted, options: FilesOptions, target: Target) -> Collection:
    """A part, read now."""
    found, before = Found(), len(tree.failures)
    _read(tree, files, options, found)
    found.failures[:0] = tree.failures[before:]
    return _collection(target, found)


def _read(tree: FileTree, files: Sorted, options: FilesOptions, found: Found) -> None:
    """Make stacks of the files."""
    _take(read_manifests(tree, files.manifests), found)
    _composes(tree, files.composes, options, found)
    found.stacks += env_file_stacks(tree, files.envs, found.stacks)
    found.files += len(files.manifests) + len(files.composes)


def _take(manifests: Manifests, found: Found) -> None:
    installed = {folder: take_delivered(resources) for folder, resources in manifests.by_folder.items()}
    made = {stack.unit: stack for stack in stacks(manifests)}
    for index, built in enumerate(found.stacks):
        if built.unit in made and built.rendered_by and not built.overlay:
            found.stacks[index], made[built.unit] = joined(built, made[built.unit])
    for folder, part in installed.items():
        unit = folder or "."
        if part.workloads or part.gaps:
            made[unit] = part.added_to(made.get(unit) or Stack(unit, "files"))
    found.stacks += made.values()
    found.failures += manifests.failures
    found.gaps += manifests.gaps
    found.notes += manifests.notes
    found.objects += manifests.objects


def _foreign(tree: FileTree, host: Host, found: Found) -> set[str]:
    """What collectors of plugins make of the files that are theirs; the first of two that name a suffix has it."""
    claimed: set[str] = set()
    for collector in host.collectors.values():
        paths = [path for path in tree.paths if path.endswith(collector.suffixes) and path not in claimed]
        texts = [(path, text) for path in paths if (text := tree.read(path)) is not None]
        claimed.update(paths)
        if texts:
            made = host.collect(collector, texts)
            found.stacks += made
            found.objects += sum(len(stack.workloads) for stack in made)
            found.files += len(texts)
    return claimed


def _packaged(tree: FileTree, options: FilesOptions, found: Found) -> set[str]:
    """Charts and kustomizations, which tools turn into manifests; the files that are theirs are no manifests of their own."""
    claimed: set[str] = set()
    names = {path.rpartition("/")[2] for path in tree.paths}
    if "Chart.yaml" in names:
        from llmscan.collect.helm import ChartOptions, load_charts

        chosen = ChartOptions(options.values, options.set_values, options.release_name, options.kube_version)
        claimed |= _rendered(load_charts(tree, chosen), found)
    if not names.isdisjoint(KUSTOMIZATIONS):
        from llmscan.collect.kustomize import load_kustomizations

        claimed |= _rendered(load_kustomizations(tree, claimed), found)
    return claimed


def _rendered(part: Rendered, found: Found) -> set[str]:
    """Take in what was rendered; which files are spoken for."""
    found.stacks += part.stacks
    found.failures += part.failures
    found.gaps += part.gaps
    found.notes += part.notes
    found.objects += part.objects
    found.files += part.files
    return part.claimed


def _composes(tree: FileTree, paths: Sequence[str], options: FilesOptions, found: Found) -> None:
    from llmscan.collect.compose import ComposeOptions, load_projects

    by_root: dict[tuple[Path, Path], list[str]] = {}
    for path in paths:
        by_root.setdefault((tree.root(path), tree.base(path)), []).append(path)
    for (root, base), group in by_root.items():
        for made in load_projects(group, root, ComposeOptions(dict(options.env), options.profiles), start=base):
            if isinstance(made, Unreadable):
                found.failures.append(
                    Failure("input", made.place.path, f"it does not parse: {made.reason}", made.place)
                )
            else:
                found.stacks.append(made)
                found.objects += len(made.workloads)
