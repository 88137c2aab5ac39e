"""The report for a terminal, as people see it: whole outputs, and what holds of any output."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

import pytest
from sample_report import CLUSTER_REPORT, EMPTY_REPORT, FILES_REPORT, HOSTILE, UNTOLD, hostile_report

from llmscan.findings import Coverage, Failure, Report, Severity
from llmscan.formats import RenderOptions
from llmscan.model import Gap
from llmscan.records import replace
from llmscan.reports import table

SNAPSHOTS = Path(__file__).parent / "snapshots"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")

CASES = {
    "files": (FILES_REPORT, RenderOptions()),
    "files-narrow-verbose": (FILES_REPORT, RenderOptions(width=60, verbose=True)),
    "files-colour": (FILES_REPORT, RenderOptions(colour=True)),
    "cluster-verbose": (CLUSTER_REPORT, RenderOptions(verbose=True)),
    "empty": (EMPTY_REPORT, RenderOptions()),
}


@pytest.mark.parametrize("name", CASES)
def test_the_whole_output_is_as_reviewed(name: str) -> None:
    """Each output equals the one in tests/snapshots; `UPDATE_SNAPSHOTS=1` writes them anew, for a review of the diff."""
    shown = table.render(*CASES[name])
    file = SNAPSHOTS / f"table-{name}.txt"
    if os.environ.get("UPDATE_SNAPSHOTS"):
        file.write_text(shown)
    assert shown == file.read_text()


def test_colour_is_all_that_colour_changes() -> None:
    """Without colour there is no escape sequence; with it, the text is the same."""
    plain = table.render(FILES_REPORT, RenderOptions())
    assert "\x1b" not in plain
    assert COLOUR.sub("", table.render(FILES_REPORT, RenderOptions(colour=True))) == plain


def test_a_first_run_lists_what_is_high_and_counts_the_rest() -> None:
    """Medium and low are counted, and the reader is told how to see them; verbose lists every finding."""
    brief, full = (table.render(FILES_REPORT, RenderOptions(verbose=verbose)) for verbose in (False, True))
    for finding in FILES_REPORT.findings:
        if finding.status != UNTOLD.status or finding.category == "pod-hardening":
            continue
        assert (finding.title in brief) is (finding.severity >= Severity.HIGH)
        assert finding.title in full
    assert "3 lesser, 4 hardening. --verbose" in brief
    assert "--verbose" not in full


def test_hardening_is_one_line_a_workload() -> None:
    """Two controls that a pod does not ask for take one line, which names both."""
    full = table.render(FILES_REPORT, RenderOptions(verbose=True))
    lines = [line for line in full.splitlines() if "Hardening not asked for" in line]
    assert [line.partition(": ")[2] for line in lines] == ["runAsNonRoot, seccompProfile"] * 2


def test_variants_of_an_object_in_several_files_stay_apart() -> None:
    """Two files of one folder that each define Deployment/ollama are two workloads, each with its own findings."""
    first = FILES_REPORT.inventory[0]
    finding = FILES_REPORT.findings[0]
    assert first.place and finding.place
    other = replace(first, place=first.place._replace(path="deploy/ollama-gpu.yaml"))
    again = replace(finding, place=finding.place._replace(path="deploy/ollama-gpu.yaml"))
    both = replace(FILES_REPORT, findings=(finding, again), inventory=(first, other))
    headings = [
        line for line in table.render(both, RenderOptions()).splitlines() if line.startswith("Deployment/ollama")
    ]
    assert len(headings) == 2


def test_no_text_of_a_target_reaches_the_terminal_raw() -> None:
    """No control, format or direction character of a target is written, nor a surrogate that cannot be encoded."""
    text = table.render(hostile_report(), RenderOptions(width=80, verbose=True))
    text.encode()
    assert not [c for c in text if c != "\n" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert len(HOSTILE) and "two lines tab" in text


def test_lines_keep_to_the_width() -> None:
    """No line is wider than asked for, save for one long word at its end, such as a path, which stays whole to be copied."""
    for width in (84, 100, 120):
        for line in table.render(FILES_REPORT, RenderOptions(width=width, verbose=True)).splitlines():
            assert len(line) <= width or " " not in line.lstrip(), line


def test_gaps_of_a_sort_are_told_once() -> None:
    """A hundred images of which the user is not known are one entry in a first run; verbose names each."""
    gaps = [
        Gap("image", f"the user of image 'a{number}'", "is not known here", "its Dockerfile") for number in range(100)
    ]
    findings = tuple(replace(UNTOLD, missing=(gap,), fingerprint=gap.what) for gap in gaps)
    report = replace(EMPTY_REPORT, findings=findings)
    brief, full = (table.render(report, RenderOptions(verbose=verbose)) for verbose in (False, True))
    assert "and 99 more of this sort; 100 verdicts unknown" in brief.replace("\n  ", " ")
    assert brief.count("the user of image") == 1
    assert all(gap.what in full for gap in gaps)


def test_a_wall_of_failures_is_cut_unless_all_are_asked_for() -> None:
    """Ten failures stand in a first run, with the number of the others; verbose lists all."""
    failures = tuple(Failure("input", f"f{number}.yaml", "it does not parse") for number in range(14))
    brief, full = (
        table.render(replace(EMPTY_REPORT, failures=failures), RenderOptions(verbose=v)) for v in (False, True)
    )
    assert brief.count("it does not parse") == 10 and "and 4 more" in brief
    assert full.count("it does not parse") == 14


def nothing_found() -> Report:
    return replace(EMPTY_REPORT, coverage=Coverage())


def test_nothing_to_scan_is_not_called_clean() -> None:
    """A scan that found nothing that runs says so."""
    assert "nothing was found that runs" in table.render(nothing_found(), RenderOptions())
