"""What the references of rules stand for: the title of `CWE-306`, its page, and the standard that it belongs to.

Titles are in references.tsv; only what is listed there is known. A rule may refer to anything else: that is shown as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from importlib.resources import files

from llmscan.records import Record


class Standard(Record, frozen=True):
    """A standard, and how its references are written. `home` is its page; `page` gives that of one reference and its title."""

    name: str
    title: str
    organization: str
    version: str
    pattern: re.Pattern[str]
    home: str
    page: Callable[[re.Match[str], str], str] | None = None


class Reference(Record, frozen=True):
    """A reference with its title and page."""

    id: str
    title: str
    url: str
    standard: Standard


def _cwe(match: re.Match[str], title: str) -> str:
    return f"https://cwe.mitre.org/data/definitions/{match[1]}.html"


def _atlas(match: re.Match[str], title: str) -> str:
    kind = "mitigations" if match[1] == "M" else "techniques"
    return f"https://atlas.mitre.org/{kind}/{match[0]}"


def _llm_2025(match: re.Match[str], title: str) -> str:
    slug = re.sub(r"[^a-z]+", "-", title.lower())
    return f"https://genai.owasp.org/llmrisk/llm{match[1]}2025-{slug}/"


OWASP_GENAI = "https://genai.owasp.org/"
STANDARDS = (
    Standard(
        "CWE", "Common Weakness Enumeration", "MITRE", "", re.compile(r"CWE-(\d+)\Z"), "https://cwe.mitre.org/", _cwe
    ),
    Standard(
        "OWASP-LLM-2026",
        "OWASP Top 10 for LLM Applications 2026",
        "OWASP",
        "2026",
        re.compile(r"LLM(\d\d):2026\Z"),
        f"{OWASP_GENAI}llm-top-10/",
    ),
    Standard(
        "OWASP-LLM-2025",
        "OWASP Top 10 for LLM Applications 2025",
        "OWASP",
        "2025",
        re.compile(r"LLM(\d\d):2025\Z"),
        f"{OWASP_GENAI}llm-top-10/",
        _llm_2025,
    ),
    Standard(
        "OWASP-Agentic-2026",
        "OWASP Top 10 for Agentic Applications 2026",
        "OWASP",
        "2026",
        re.compile(r"ASI(\d\d):2026\Z"),
        OWASP_GENAI,
    ),
    Standard(
        "OWASP-MCP-2025",
        "OWASP MCP Top 10 2025",
        "OWASP",
        "2025",
        re.compile(r"MCP(\d\d):2025\Z"),
        "https://owasp.org/www-project-mcp-top-10/",
    ),
    Standard(
        "OWASP-API-2023",
        "OWASP API Security Top 10 2023",
        "OWASP",
        "2023",
        re.compile(r"API(\d+):2023\Z"),
        "https://owasp.org/API-Security/editions/2023/en/0x11-t10/",
    ),
    Standard(
        "OWASP-AISVS",
        "OWASP AI Security Verification Standard 1.0",
        "OWASP",
        "1.0",
        re.compile(r"AISVS-1\.0:C\d+\Z"),
        "https://owasp.org/www-project-artificial-intelligence-security-verification-standard-aisvs-docs/",
    ),
    Standard(
        "MITRE-ATLAS",
        "MITRE ATLAS",
        "MITRE",
        "5.6.0",
        re.compile(r"AML\.([TM])\d{4}(?:\.\d{3})?\Z"),
        "https://atlas.mitre.org/",
        _atlas,
    ),
    Standard(
        "Pod-Security-Standards",
        "Kubernetes Pod Security Standards",
        "Kubernetes",
        "1.37",
        re.compile(r"PSS-1\.37:\w+\Z"),
        "https://kubernetes.io/docs/concepts/security/pod-security-standards/",
    ),
    Standard(
        "CIS-Docker",
        "CIS Docker Benchmark 1.6.0",
        "Center for Internet Security",
        "1.6.0",
        re.compile(r"CIS-Docker-1\.6\.0:[\d.]+\Z"),
        "https://www.cisecurity.org/benchmark/docker",
    ),
    Standard(
        "CIS-Kubernetes",
        "CIS Kubernetes Benchmark 2.0.1",
        "Center for Internet Security",
        "2.0.1",
        re.compile(r"CIS-Kubernetes-2\.0\.1:[\d.]+\Z"),
        "https://www.cisecurity.org/benchmark/kubernetes",
    ),
    Standard(
        "NSA-CISA-Kubernetes",
        "Kubernetes Hardening Guidance 1.2",
        "NSA and CISA",
        "1.2",
        re.compile(r"NSA-CISA-K8s-1\.2:[a-z-]+\Z"),
        "https://media.defense.gov/2022/Aug/29/2003066362/-1/-1/0/CTR_KUBERNETES_HARDENING_GUIDANCE_1.2_20220829.PDF",
    ),
    Standard(
        "NIST-SP-800-190",
        "NIST SP 800-190, Application Container Security Guide",
        "NIST",
        "2017",
        re.compile(r"NIST-SP-800-190:[\d.]+\Z"),
        "https://csrc.nist.gov/pubs/sp/800/190/final",
    ),
    Standard(
        "EU-AI-Act",
        "Regulation (EU) 2024/1689, Artificial Intelligence Act",
        "European Union",
        "2024/1689",
        re.compile(r"EU-AI-Act-2024/1689:.+\Z"),
        "https://eur-lex.europa.eu/eli/reg/2024/1689/oj",
    ),
    Standard(
        "Kubescape",
        "Kubescape controls",
        "Kubescape",
        "",
        re.compile(r"Kubescape:(C-\d{4})\Z"),
        "https://kubescape.io/docs/controls/",
        lambda match, title: f"https://kubescape.io/docs/controls/{match[1].lower()}/",
    ),
)
"""In the order in which reports show them."""


def known_reference(text: str) -> Reference | None:
    """What `text` refers to, or None where it is not in the table."""
    title = titles().get(text)
    if title is None:
        return None
    for standard in STANDARDS:
        if match := standard.pattern.match(text):
            return Reference(text, title, standard.page(match, title) if standard.page else standard.home, standard)
    return None


def known_references(texts: Iterable[str]) -> list[Reference]:
    """Those of `texts` that the table knows, in their order."""
    return [known for text in texts if (known := known_reference(text))]


@cache
def titles() -> dict[str, str]:
    """The title of every reference in the table."""
    lines = files("llmscan.reports").joinpath("references.tsv").read_text(encoding="utf-8").splitlines()[1:]
    return dict(line.split("\t") for line in lines)
