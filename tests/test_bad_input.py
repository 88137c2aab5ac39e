"""Bad input: each gets a clear sentence, loses nothing of what is beside it, takes seconds at most, and never ends in a traceback."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from installed import MANIFEST

from llmscan.commands import group

GOOD = MANIFEST.replace("lonely", "neighbour")
SECONDS = 20
"""Nothing here may take longer, on a busy machine too."""


class Outcome:
    """What a scan of a folder gave."""

    def __init__(self, code: int, report: dict[str, Any], errors: str) -> None:
        self.code, self.report, self.errors = code, report, errors
        self.names = {item["resource"]["name"] for item in report["inventory"]}
        self.reasons = {failure["name"]: failure["reason"] for failure in report["failures"]}
        self.lines = {failure["name"]: (failure["location"] or {}).get("line") for failure in report["failures"]}


@pytest.fixture
def scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Outcome]:
    """Scan the folder of the test, through the command."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Outcome:
        import json

        began = time.monotonic()
        done = CliRunner().invoke(group, ["files", *(words or ["."]), "--format", "json", "--fail-on", "never"])
        assert time.monotonic() - began < SECONDS
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return Outcome(done.exit_code, json.loads(done.stdout), done.stderr)

    return run


Scan = Callable[..., Outcome]


def pod(name: str, more: str = "") -> str:
    """A manifest of one pod, with more in its metadata."""
    return MANIFEST.replace("metadata: {name: lonely}", f"metadata:\n  name: {name}{more}")


def beside(tmp_path: Path, content: str | bytes, name: str = "bad.yaml") -> None:
    """A bad file, and a good one beside it."""
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    (tmp_path / "good.yaml").write_text(GOOD)


UNREADABLE: dict[str, tuple[str | bytes, str]] = {
    "binary": (b"apiVersion: v1\n\x00\x01\x02kind: Pod\n", "it is binary"),
    "binary after a while": (b"# " + b"x" * 9000 + b"\napiVersion: v1\n\0", "it is binary"),
    "broken UTF-8": (b"apiVersion: v1\nkind: Pod\nmetadata: {name: \xff\xfe\xfa}\n", "it is not UTF-8 text"),
    "broken UTF-16": (b"\xff\xfea\x00p\x00i", "it is not UTF-16 text"),
    "deep nesting": ("apiVersion: v1\nkind: Pod\nspec: " + "[" * 5000 + "]" * 5000, "nesting depth"),
    "deep blocks": (
        "apiVersion: v1\nkind: Pod\n" + "\n".join(" " * level + "a:" for level in range(1500)), "nested more than"
    ),
    "alias bomb": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bomb}\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)),
        "expands to more than",
    ),
    "alias of itself": ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: loop}\ndata: &d {x: *d}\n", "alias"),
    "unclosed": ("apiVersion: v1\nkind: Pod\nmetadata: {name: x\n", "did not find expected"),
    "tabs": ("apiVersion: v1\nkind: Pod\nmetadata:\n\tname: x\n", "cannot start any token"),
    "control character": (b"apiVersion: v1\nkind: Pod\nmetadata: {name: \x07}\n", "control characters are not allowed"),
    "mapping for a key": ("apiVersion: v1\nkind: Pod\nmetadata: {{{ .name }}: x}\n", "a key is itself a mapping"),
}  # fmt: skip


@pytest.mark.parametrize("kind", UNREADABLE)
def test_what_cannot_be_read(kind: str, tmp_path: Path, scan: Scan) -> None:
    """The file is named with the reason, the file beside it is judged, and the exit code is 3."""
    content, said = UNREADABLE[kind]
    beside(tmp_path, content)
    outcome = scan()
    assert said in outcome.reasons["bad.yaml"]
    assert outcome.names == {"neighbour"}
    assert outcome.code == 3


READABLE: dict[str, tuple[str | bytes, set[str]]] = {
    "UTF-16": (pod("wide").encode("utf-16"), {"wide"}),
    "byte order mark": (b"\xef\xbb\xbf" + pod("marked").encode(), {"marked"}),
    "CRLF": (pod("windows").replace("\n", "\r\n") + "---\r\n" + pod("second").replace("\n", "\r\n"), {"windows", "second"}),
    "duplicate keys": (pod("first") + "kind: Pod\n", {"first"}),
    "keys that are no texts": (pod("keys", "\n  labels: {1: 2, true: x, 1.5: y, null: z}"), {"keys"}),
    "one line of a megabyte": (pod("long", f"\n  annotations: {{a: {'x' * 1_000_000}}}"), {"long"}),
    "huge numbers": (pod("huge", "\n  generation: " + "9" * 5000), {"huge"}),
    "huge exponent": (pod("huge", "\n  generation: 1e999999"), {"huge"}),
    "an object's tag": (pod("tagged", "\n  annotations: {a: !!python/object/apply:os.system ['touch owned']}"), {"tagged"}),
    "a list kind": (
        "apiVersion: v1\nkind: List\nitems:\n" + "".join(
            "- " + pod(name).replace("\n", "\n  ").rstrip() + "\n" for name in ("one", "two")
        ), {"one", "two"},
    ),
    "a PodList": (
        "apiVersion: v1\nkind: PodList\nitems:\n- " + pod("item").replace("\n", "\n  ").rstrip() + "\n", {"item"}
    ),
    "JSON": (
        '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "json"}, "spec": {"containers": [{"name": "a", "image": "b"}]}}',
        {"json"},
    ),
    "JSON with tabs": (
        '{\n\t"apiVersion": "v1",\n\t"kind": "Pod",\n\t"metadata": {"name": "tabs"},\n\t"spec": {"containers": [{"name": "a", "image": "b"}]}\n}',
        {"tabs"},
    ),
    "JSON with pairs of surrogates": (
        '{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pair", "annotations": {"a": "\\ud83d\\ude00"}}, '
        '"spec": {"containers": [{"name": "a", "image": "b\\/c"}]}}',
        {"pair"},
    ),
    "anchors and merge keys": (
        "x: &base {image: b, name: a}\n" + pod("merged").replace("- {name: main", "- {<<: *base, name: main"), {"merged"}
    ),
    "documents without content": ("---\n# nothing\n---\n" + pod("alone") + "---\n...\n---\n", {"alone"}),
    "nothing where a mapping should be": (
        pod("nothing") + "---\napiVersion: v1\nkind: Pod\nmetadata:\nspec:\n---\napiVersion: v1\nkind: Service\nmetadata: []\nspec: 3\n",
        {"nothing"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", READABLE)
def test_what_looks_bad_and_is_not(kind: str, tmp_path: Path, scan: Scan) -> None:
    """Nothing is said of it, and its workloads are judged with those of the file beside it."""
    content, names = READABLE[kind]
    beside(tmp_path, content)
    outcome = scan()
    assert outcome.reasons == {}
    assert names | {"neighbour"} <= outcome.names
    assert outcome.code == 0
    assert not (tmp_path / "owned").exists()


def test_a_document_that_does_not_parse_between_two_that_do(tmp_path: Path, scan: Scan) -> None:
    """It is said with file, line and reason, both neighbours are judged, and the exit code is 3."""
    (tmp_path / "three.yaml").write_text(
        pod("before") + "---\napiVersion: v1\nkind: [Pod\nmetadata: x\n---\n" + pod("after")
    )
    outcome = scan()
    assert outcome.names == {"before", "after"}
    assert outcome.reasons["three.yaml"].startswith("a document does not parse: ")
    assert outcome.lines["three.yaml"] in (9, 10, 11)
    assert outcome.code == 3


def test_a_large_file(tmp_path: Path, scan: Scan) -> None:
    """50 MB of YAML are named, and not read."""
    with (tmp_path / "large.yaml").open("wb") as file:
        file.write(b"apiVersion: v1\n")
        file.truncate(50_000_000)
    (tmp_path / "good.yaml").write_text(GOOD)
    outcome = scan()
    assert outcome.reasons["large.yaml"] == "it has 50 MB, and more than 16 MB are not read"
    assert (outcome.names, outcome.code) == ({"neighbour"}, 3)


def test_links(tmp_path: Path, scan: Scan) -> None:
    """A loop of links ends, a file is judged once however many links lead to it, and nothing is read through a link out of the tree."""
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    for folder in (inside, outside):
        folder.mkdir()
    (inside / "good.yaml").write_text(GOOD)
    (outside / "far.yaml").write_text(pod("far"))
    (inside / "loop").symlink_to(inside)
    (inside / "again.yaml").symlink_to("good.yaml")
    (inside / "self.yaml").symlink_to("self.yaml")
    (inside / "away.yaml").symlink_to(outside / "far.yaml")
    (inside / "away").symlink_to(outside)
    outcome = scan("inside")
    assert outcome.names == {"neighbour"}
    assert len(outcome.report["inventory"]) == 1
    gaps = {gap["what"]: gap["why"] for gap in outcome.report["coverage"]["gaps"] if gap["kind"] == "file"}
    assert set(gaps) == {"inside/away.yaml", "inside/away"}
    assert "leads out of the scanned folder" in gaps["inside/away.yaml"]
    assert outcome.code == 0


def test_what_is_neither_file_nor_folder(tmp_path: Path, scan: Scan) -> None:
    """A pipe that nobody writes to is not waited for, nor is a socket; where one is the PATH itself, that is said."""
    os.mkfifo(tmp_path / "pipe.yaml")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.yaml"))
        (tmp_path / "good.yaml").write_text(GOOD)
        assert scan().names == {"neighbour"}
        outcome = scan("pipe.yaml")
    assert (outcome.reasons, outcome.code) == ({"pipe.yaml": "it is neither a file nor a folder"}, 3)


def test_a_missing_path_loses_no_other(tmp_path: Path, scan: Scan) -> None:
    """A PATH that is not there is named, and the others are scanned."""
    (tmp_path / "good.yaml").write_text(GOOD)
    outcome = scan("missing", "good.yaml")
    assert outcome.reasons == {"missing": "there is no such file or folder"}
    assert (outcome.names, outcome.code) == ({"neighbour"}, 3)


def test_an_empty_folder(scan: Scan) -> None:
    """Where nothing was found to scan the exit code is 3."""
    outcome = scan()
    assert (outcome.code, outcome.report["findings"], outcome.names) == (3, [], set())


def test_folders_and_files_without_permission(tmp_path: Path) -> None:
    """A folder and a file that may not be read are named with the system's reason, and what is beside them is judged.

    Root may read everything: as root the child scans once, so that all of Python is loaded, and again as nobody.
    """
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "closed.yaml").write_text(pod("closed"))
    (tmp_path / "closed").mkdir()
    (tmp_path / "closed" / "inner.yaml").write_text(pod("inner"))
    (tmp_path / "closed.yaml").chmod(0)
    (tmp_path / "closed").chmod(0)
    opened = [tmp_path, *[folder for folder in tmp_path.parents if folder.stat().st_uid == os.getuid()]]
    modes = {folder: folder.stat().st_mode for folder in opened if folder != Path("/")}
    program = (
        "import contextlib, io, os\n"
        "from llmscan.commands import group\n"
        "def scan(path): group(['files', path, '--format', 'json', '--fail-on', 'never'])\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()): scan('good.yaml')\n"
        "if os.getuid() == 0: os.setgroups([]), os.setresgid(65534, 65534, 65534), os.setresuid(65534, 65534, 65534)\n"
        "scan('.')\n"
    )
    try:
        for folder, mode in modes.items():
            folder.chmod(mode | stat.S_IXOTH | (stat.S_IROTH if folder == tmp_path else 0))
        done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    finally:
        for folder, mode in modes.items():
            folder.chmod(mode)
        (tmp_path / "closed").chmod(0o700)
    assert "Traceback" not in done.stderr, done.stderr
    import json

    outcome = Outcome(done.returncode, json.loads(done.stdout), done.stderr)
    assert outcome.reasons == {
        "closed": "the folder cannot be read: Permission denied", "closed.yaml": "it cannot be read: Permission denied"
    }  # fmt: skip
    assert (outcome.names, outcome.code) == ({"neighbour"}, 3)


OTHER_FILES = {
    "values.yaml": "image: {repository: ollama/ollama}\nservice: {type: LoadBalancer}\ncontainers: [{name: a, image: b}]\n",
    "crd.yaml": """\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.example.com}
spec:
  group: example.com
  versions:
    - name: v1
      schema:
        openAPIV3Schema:
          properties: {spec: {properties: {containers: {type: array, items: {properties: {image: {type: string}}}}}}}
""",
    ".github/workflows/build.yml": "on: push\njobs: {build: {runs-on: ubuntu, container: {image: node}, services: {db: {image: postgres}}}}\n",
    "patch.yaml": "- {op: replace, path: /spec/replicas, value: 3}\n",
    "openapi.json": '{"openapi": "3.0.0", "paths": {}}',
    "list.yaml": "- a\n- b\n",
    "scalar.yaml": "just text\n",
    "services.yaml": "services:\n  - name: a\n  - name: b\n",
}


def test_files_that_are_no_deployment(tmp_path: Path, scan: Scan) -> None:
    """Values, definitions of custom resources, workflows and patches are neither judged nor complained of."""
    for name, text in OTHER_FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "good.yaml").write_text(GOOD)
    outcome = scan()
    assert outcome.reasons == {}
    assert (outcome.names, outcome.code) == ({"neighbour"}, 0)


def test_a_kustomization_alone_is_no_resource(tmp_path: Path, scan: Scan) -> None:
    """A kustomization is built from, and never judged itself; so is the patch that it names."""
    (tmp_path / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [good.yaml]\n"
    )
    (tmp_path / "good.yaml").write_text(GOOD)
    assert scan().names == {"neighbour"}


def test_paths_outside_the_working_directory(tmp_path: Path, scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a PATH elsewhere are named relative to it, compose files too; two PATHs with files of one name lose neither."""
    compose = "services: {NAME: {image: 'ollama/ollama:0.5.0'}}\n"
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "compose.yaml").write_text(compose.replace("NAME", f"service-{name}"))
        (tmp_path / name / "pod.yaml").write_text(pod(f"pod-{name}"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    outcome = scan("../one")
    assert outcome.names == {"service-one", "pod-one"}
    places = [finding["location"] for finding in outcome.report["findings"]]
    assert {place["path"] for place in places if place} == {"compose.yaml", "pod.yaml"}
    outcome = scan("../one", "../two")
    assert outcome.names == {"service-one", "pod-one", "service-two", "pod-two"}
    assert outcome.reasons == {}


def test_names_that_are_no_text(tmp_path: Path, scan: Scan) -> None:
    """A file whose name is no UTF-8, or holds line ends and escape sequences, is scanned, and its name does no harm."""
    (tmp_path / os.fsdecode(b"caf\xe9.yaml")).write_text(pod("latin"))
    (tmp_path / "a\nb\x1b[31m.yaml").write_text(pod("lines"))
    outcome = scan()
    assert outcome.names == {"latin", "lines"}
    assert outcome.code == 0
    shown = CliRunner().invoke(group, ["files", ".", "--fail-on", "never", "--verbose"])
    assert "\x1b" not in shown.stdout
