"""What can be told although something is missing: a variable without a value, a file that no project reads, an image that is built here."""

from __future__ import annotations

from pathlib import Path

from file_scans import scan_files

from llmscan.findings import Finding, Status


def found(folder: Path, files: dict[str, str], *rules: str) -> list[Finding]:
    """What some rules find in files that are written into `folder`."""
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    report = scan_files(folder)
    assert report.failures == ()
    return [finding for finding in report.findings if finding.rule in rules]


def test_an_unknown_word_of_a_script_leaves_the_others_known(tmp_path: Path) -> None:
    """A model's name that nobody knows does not hide that the command line of the script sets no key."""
    text = """\
services:
  tei:
    image: ghcr.io/huggingface/text-embeddings-inference:cpu-1.7
    entrypoint: /bin/sh -c "apt-get update && text-embeddings-router --model-id ${MODEL_ID} --auto-truncate"
    ports: ["8080:80"]
"""
    assert [one.status for one in found(tmp_path, {"compose.yaml": text}, "AUT002")] == [Status.FAIL]


def test_a_port_is_published_whichever_number_a_variable_gives_it(tmp_path: Path) -> None:
    """`${PORT}:${PORT}` opens a port of the host, of a known product and of an unknown one."""
    text = """\
services:
  vectors: {image: "qdrant/qdrant:v1.15.2", ports: ["${QDRANT_PORT}:${QDRANT_PORT}"]}
  other: {image: "registry.example.com/other:1.0.0", ports: ["${OTHER_PORT}:${OTHER_PORT}"]}
"""
    exposed = found(tmp_path, {"compose.yaml": text}, "EXP002", "EXP003")
    assert {(one.resource.name, one.status) for one in exposed} == {("vectors", Status.FAIL), ("other", Status.FAIL)}
    assert "whose number a variable gives" in next(one.message for one in exposed if one.resource.name == "other")


def test_env_files_that_no_project_reads_are_read(tmp_path: Path) -> None:
    """An example that people copy has its secrets, and the origins that it allows, told once and in their lines."""
    files = {".env.example": "PORT=8080\nJWT_SECRET=super-secret\nCORS_ORIGINS=*\nOPENAI_API_KEY=your-key\n"}
    told = found(tmp_path, files, "SEC002", "COR005")
    assert {(one.rule, one.resource.name, one.place.line if one.place else 0) for one in told} == {
        ("SEC002", "(env file)", 2),
        ("COR005", "(env file)", 3),
    }
    assert all("OPENAI_API_KEY" not in one.message for one in told)


def test_a_secret_of_an_env_file_is_told_where_it_stands(tmp_path: Path) -> None:
    """The services that take it in do not tell it again, unless their own file says it as well."""
    files = {
        ".env": "DB_PASSWORD=hunter22\n",
        "compose.yaml": """\
services:
  taken: {image: "a/b:1.0.0", environment: {DB_PASSWORD: "${DB_PASSWORD}"}}
  said: {image: "a/b:1.0.0", environment: {DB_PASSWORD: "${DB_PASSWORD:-hunter22}"}}
""",
    }
    told = {(one.rule, one.resource.name) for one in found(tmp_path, files, "SEC001", "SEC002")}
    assert told == {("SEC001", "said"), ("SEC002", "(env file)")}


def test_what_is_built_here_under_a_products_name_is_that_product(tmp_path: Path) -> None:
    """`build` beside `image: org/product` says where the image comes from, and the name what it is."""
    text = """\
services:
  ui:
    build: {context: ./nowhere}
    image: ghcr.io/open-webui/open-webui:v0.9.2
    environment: {WEBUI_AUTH: "False"}
    ports: ["3000:8080"]
"""
    assert [one.status for one in found(tmp_path, {"compose.yaml": text}, "AUT002")] == [Status.FAIL]
