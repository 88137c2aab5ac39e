"""The HTML report: what its text holds, and what a browser makes of it, offline, without scripts, and with hostile text."""

from __future__ import annotations

import base64
import hashlib
import html.parser
import re
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sample_report import CLUSTER_REPORT, EMPTY_REPORT, FILES_REPORT, OPEN_OLLAMA, RULES, hostile_report

from llmscan.findings import Report, Status
from llmscan.formats import RenderOptions
from llmscan.records import replace
from llmscan.reports import html as html_report
from llmscan.reports import html_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

TEMPLATES = Path(__file__).parent.parent / "reports" / "templates"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REPORTS = {"files": FILES_REPORT, "cluster": CLUSTER_REPORT, "empty": EMPTY_REPORT, "hostile": hostile_report()}


class Elements(html.parser.HTMLParser):
    """Every element of a page with its attributes, and the text of style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, str] = {}
        self._open = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open in ("style", "script"):
            self.inside[self._open] = self.inside.get(self._open, "") + data


def rendered(report: Report) -> str:
    """The page of a report."""
    return html_report.render(report, RenderOptions())


@pytest.mark.parametrize("name", REPORTS)
def test_the_page_names_the_hashes_of_its_own_style_and_script(name: str) -> None:
    """The policy allows one style and one script, by hash, and nothing else; no element carries code or style of its own."""
    page = Elements(rendered(REPORTS[name]))
    (policy,) = [attrs["content"] for _, attrs in page.found if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy and policy.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(page.inside[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert sum(found == tag for found, _ in page.found) == 1
    assert not [attrs for _, attrs in page.found if any(key == "style" or key.startswith("on") for key in attrs)]


@pytest.mark.parametrize("name", REPORTS)
def test_no_element_loads_anything(name: str) -> None:
    """There is no image, frame, stylesheet or source; links lead within the page or to https pages of standards."""
    for tag, attrs in Elements(rendered(REPORTS[name])).found:
        assert tag not in ("img", "iframe", "link", "object", "embed", "base", "audio", "video")
        assert "src" not in attrs
        if "href" in attrs:
            assert re.match(r"#|https://[a-z.-]+\.(org|gov|io|eu|com|europa\.eu)/", attrs["href"] or "")


@pytest.mark.parametrize("name", REPORTS)
def test_ids_are_unique_and_labels_exist(name: str) -> None:
    """No id comes twice, also where findings share a fingerprint, and every aria-labelledby leads to one."""
    found = Elements(rendered(REPORTS[name])).found
    ids = Counter(attrs["id"] for _, attrs in found if "id" in attrs)
    assert [id for id, number in ids.items() if number > 1] == []
    assert {attrs["aria-labelledby"] for _, attrs in found if "aria-labelledby" in attrs} <= set(ids)


def test_findings_with_one_fingerprint_have_anchors_of_their_own() -> None:
    """Should two findings have one fingerprint, both can be linked to."""
    page = rendered(replace(FILES_REPORT, findings=(OPEN_OLLAMA, OPEN_OLLAMA)))
    anchor = f"f-{OPEN_OLLAMA.fingerprint}"
    assert f'id="{anchor}"' in page and f'id="{anchor}-2"' in page


def test_templates_switch_no_escaping_off() -> None:
    """No template marks anything as safe or turns autoescape off."""
    for template in TEMPLATES.glob("*.j2"):
        assert not re.search(r"\|\s*safe|autoescape|Markup", template.read_text())


def test_a_reference_that_looks_like_a_script_is_no_link() -> None:
    """References come from rules of plugins, too: only those of the table are links."""
    finding = replace(OPEN_OLLAMA, refs=("javascript:alert(1)", "https://example.invalid/", "CWE-306"))
    links = [
        attrs["href"]
        for _, attrs in Elements(rendered(replace(FILES_REPORT, findings=(finding,)))).found
        if "href" in attrs
    ]
    assert [link for link in links if link and not link.startswith("#")] == [
        "https://cwe.mitre.org/data/definitions/306.html"
    ]


def test_the_page_says_what_was_not_checked_and_what_failed() -> None:
    """Gaps, failures, unknowns, waived findings with their reason, and unused waivers are all on the page."""
    page = rendered(FILES_REPORT)
    for text in (
        "env_file deploy/.env is not in the repository",
        "This report is incomplete",
        "a tab stands where spaces must",
        "Could not be told",
        "the host&#39;s engine bounds logs",
        "waiver for AUT003 on Deployment/old matched nothing",
    ):
        assert text in page


def test_nothing_found_is_said_and_not_found_to_scan_is_another_thing() -> None:
    """A clean report says so; a report of nothing does not look like one."""
    assert "No findings." in rendered(EMPTY_REPORT)
    assert "Nothing was found that runs." in rendered(Report("0.1.0", EMPTY_REPORT.target))


def test_more_findings_than_a_browser_bears_are_cut_and_counted() -> None:
    """The worst are shown, and the page says how many are not."""
    many = replace(FILES_REPORT, findings=(OPEN_OLLAMA,) * (html_page.FINDINGS_SHOWN + 7))
    page = html_page.page_of(many)
    assert page.left_out == 7
    assert sum(len(shown.findings) for shown in page.groups) == html_page.FINDINGS_SHOWN


def test_the_same_report_is_the_same_page() -> None:
    """Nothing on the page depends on the time or on the order in which findings came."""
    turned = replace(FILES_REPORT, findings=FILES_REPORT.findings[::-1])
    assert rendered(turned) == rendered(FILES_REPORT)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium, without its own traffic."""
    if not CHROMIUM:
        pytest.skip("no Chromium on PATH")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield launched
        launched.close()


class Visit:
    """A page opened from its file, offline, and everything that it asked for or complained of."""

    def __init__(self, browser: Browser, file: Path, fragment: str = "", **context: Any) -> None:
        self.context = browser.new_context(offline=True, **context)
        self.page: Page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("dialog", lambda dialog: self.complaints.append(f"dialog {dialog.message}"))
        self.page.goto(file.as_uri() + fragment)


@pytest.fixture
def visit(browser: Browser, tmp_path: Path) -> Iterator[Any]:
    """Opens the page of a report."""
    visits: list[Visit] = []

    def go(report: Report, fragment: str = "", **context: Any) -> Visit:
        file = tmp_path / "report.html"
        file.write_text(rendered(report), encoding="utf-8")
        visits.append(Visit(browser, file, fragment, **context))
        return visits[-1]

    yield go
    for opened in visits:
        opened.context.close()


@pytest.mark.browser
@pytest.mark.parametrize("name", REPORTS)
def test_a_browser_asks_for_nothing_and_runs_nothing_else(name: str, visit: Any) -> None:
    """Opened offline, with every finding unfolded, the page requests only itself; no foreign script runs and no policy is violated."""
    opened = visit(REPORTS[name])
    opened.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    opened.page.wait_for_timeout(100)
    assert len(opened.requests) == 1
    assert opened.complaints == []
    assert opened.page.title().startswith("llmscan: ")
    assert opened.page.locator("body img, body script:not(:last-of-type)").count() == 0


@pytest.mark.browser
def test_markup_that_got_into_the_page_all_the_same_runs_nothing(browser: Browser, tmp_path: Path) -> None:
    """Were escaping ever to fail, the policy stops scripts, event handlers, styles and requests."""
    planted = "<script>document.title='pwned'</script><img src=http://127.0.0.1:9/x onerror=\"document.title='pwned'\">"
    planted += "<p id=planted style='color: rgb(1, 2, 3)'>planted</p>"
    file = tmp_path / "report.html"
    file.write_text(rendered(FILES_REPORT).replace("<main>", f"<main>{planted}"))
    opened = Visit(browser, file)
    opened.page.wait_for_timeout(100)
    assert opened.page.title().startswith("llmscan: ")
    color = opened.page.locator("#planted").evaluate("(one) => getComputedStyle(one).color")
    assert color != "rgb(1, 2, 3)"
    assert [text for text in opened.complaints if "Content Security Policy" in text]
    opened.context.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["files", "cluster"])
def test_no_barrier_is_found_by_axe(name: str, scheme: str, visit: Any) -> None:
    """axe finds no violation in either colour scheme, with every finding unfolded: contrast, names, order, keyboard."""
    from axe_playwright_python.sync_playwright import Axe

    opened = visit(REPORTS[name], color_scheme=scheme, bypass_csp=True)
    opened.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    results = Axe().run(opened.page)
    assert results.response["violations"] == [], results.generate_report()


@pytest.mark.browser
def test_filters_narrow_the_list_count_and_keep_their_state_in_the_address(visit: Any) -> None:
    """Severity, category and words together decide what is shown; the address holds them, and opening it restores them."""
    page = visit(FILES_REPORT).page
    status = page.get_by_role("status")
    assert status.text_content() == "Showing 11 of 11 findings, 1 of 1 unknown"
    page.get_by_label("high").check()
    assert status.text_content() == "Showing 3 of 11 findings, 0 of 1 unknown"
    page.get_by_label("Search").fill("qdrant key")
    assert status.text_content() == "Showing 1 of 11 findings, 0 of 1 unknown"
    assert page.locator(".findings article:visible").count() == 1
    assert page.url.endswith("#q=qdrant+key&severity=high")
    again = visit(FILES_REPORT, "#severity=low&category=pod-hardening").page
    assert again.get_by_role("status").text_content() == "Showing 4 of 11 findings, 0 of 1 unknown"
    again.get_by_role("button", name="Clear").click()
    again.wait_for_function("document.getElementById('shown').textContent.startsWith('Showing 11')")


@pytest.mark.browser
def test_a_link_to_a_finding_opens_it(visit: Any) -> None:
    """The address with a finding's fingerprint shows that finding unfolded, in a folded group of hardening as well."""
    hardening = next(finding for finding in FILES_REPORT.findings if finding.rule == "POD002")
    for finding in (OPEN_OLLAMA, hardening):
        page = visit(FILES_REPORT, f"#f-{finding.fingerprint}").page
        assert page.locator(f"#f-{finding.fingerprint}").get_by_text("Link to this finding").is_visible()
        page.wait_for_timeout(50)
        assert page.url.endswith(f"#f-{finding.fingerprint}")


@pytest.mark.browser
def test_a_fix_can_be_copied(visit: Any) -> None:
    """The button beside a fix puts exactly the fix on the clipboard."""
    opened = visit(FILES_REPORT, f"#f-{OPEN_OLLAMA.fingerprint}")
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    opened.page.locator(f"#f-{OPEN_OLLAMA.fingerprint}").get_by_role("button", name="Copy").click()
    opened.page.get_by_role("button", name="Copied").wait_for()
    assert opened.page.evaluate("navigator.clipboard.readText()") == OPEN_OLLAMA.fix


@pytest.mark.browser
def test_without_scripts_every_finding_can_be_read(visit: Any) -> None:
    """Where scripts are off, as in many viewers of build results, findings unfold all the same and no dead control is shown."""
    page = visit(FILES_REPORT, java_script_enabled=False).page
    assert page.get_by_role("search").count() == 0
    assert page.get_by_role("button").count() == 0
    finding = page.locator(f"#f-{OPEN_OLLAMA.fingerprint}")
    finding.locator("summary").click()
    assert finding.get_by_text(OPEN_OLLAMA.fix).is_visible()


@pytest.mark.browser
def test_the_keyboard_reaches_search_and_findings(visit: Any) -> None:
    """The first tab stop skips to the findings, `/` goes to the search, and Enter unfolds a finding."""
    page = visit(FILES_REPORT).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the findings"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.name") == "q"
    finding = page.locator(f"#f-{OPEN_OLLAMA.fingerprint}")
    finding.locator("summary").focus()
    page.keyboard.press("Enter")
    assert finding.get_by_text("Link to this finding").is_visible()


@pytest.mark.browser
def test_printing_unfolds_everything(visit: Any) -> None:
    """On paper nothing is folded and no control is left."""
    page = visit(FILES_REPORT).page
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert not page.locator("form").is_visible()
    assert page.pdf()[:5] == b"%PDF-"


def test_every_finding_is_on_the_page_once() -> None:
    """Failures, hardening and unknowns: each finding of the report has one anchor."""
    page = rendered(FILES_REPORT)
    for finding in FILES_REPORT.findings:
        assert page.count(f'id="f-{finding.fingerprint}"') == 1, finding.rule
    assert {finding.status for finding in FILES_REPORT.findings} == {Status.FAIL, Status.UNKNOWN}
    assert all(rule.title in page for rule in RULES)
