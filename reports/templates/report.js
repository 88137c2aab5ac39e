"use strict";
(() => {
  const form = document.getElementById("filters");
  const status = document.getElementById("shown");
  const findings = [...document.querySelectorAll(".finding")];
  const groups = [...document.querySelectorAll(".findings .workload")];
  const texts = new Map();
  const none = document.getElementById("nothing");

  const textOf = (finding) => {
    if (!texts.has(finding)) {
      const header = finding.parentElement.querySelector(":scope > header");
      texts.set(finding, `${header ? header.textContent : ""} ${finding.textContent}`.toLowerCase());
    }
    return texts.get(finding);
  };

  const wanted = () => {
    const chosen = new FormData(form);
    return {
      words: String(chosen.get("q")).toLowerCase().split(/\s+/).filter(Boolean),
      severities: new Set(chosen.getAll("severity")),
      category: chosen.get("category"),
    };
  };

  const matches = (finding, { words, severities, category }) =>
    (!severities.size || severities.has(finding.dataset.severity)) &&
    (!category || finding.dataset.category === category) &&
    (!words.length || words.every((word) => textOf(finding).includes(word)));

  const tally = (section) => {
    const counted = { shown: 0, all: 0 };
    for (const finding of document.querySelectorAll(`${section} .finding`)) {
      const count = Number(finding.dataset.count || 1);
      counted.all += count;
      counted.shown += finding.hidden ? 0 : count;
    }
    return counted;
  };

  const apply = () => {
    const filter = wanted();
    for (const finding of findings) finding.hidden = !matches(finding, filter);
    for (const group of groups) {
      group.hidden = !group.querySelector(".finding:not([hidden])");
    }
    const [failed, unknown] = [".findings", ".untold"].map(tally);
    none.hidden = failed.shown > 0 || failed.all === 0;
    status.textContent = `Showing ${failed.shown} of ${failed.all} findings` + (unknown.all ? `, ${unknown.shown} of ${unknown.all} unknown` : "");
  };

  const remember = () => {
    const chosen = new URLSearchParams();
    const { severities, category } = wanted();
    const search = form.elements.q.value.trim();
    if (search) chosen.set("q", search);
    if (severities.size) chosen.set("severity", [...severities].join(","));
    if (category) chosen.set("category", category);
    const state = chosen.toString();
    history.replaceState(null, "", state ? `#${state.replaceAll("%2C", ",")}` : location.href.split("#")[0]);
  };

  const choose = (chosen) => {
    const severities = (chosen.get("severity") || "").split(",");
    form.elements.q.value = chosen.get("q") || "";
    for (const box of form.querySelectorAll("[name=severity]")) box.checked = severities.includes(box.value);
    form.elements.category.value = chosen.get("category") || "";
    apply();
  };

  const open = (target) => {
    const finding = target.closest("details");
    if (finding) {
      choose(new URLSearchParams());
      finding.open = true;
    }
    target.scrollIntoView();
  };

  const read = () => {
    const state = location.hash.slice(1);
    const target = state && document.getElementById(state);
    if (target) return open(target);
    const chosen = new URLSearchParams(state);
    choose(chosen);
    if (chosen.has("severity")) document.getElementById("findings").scrollIntoView();
    return undefined;
  };

  const copy = async (button, text) => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(button.previousElementSibling);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  };

  const offerCopy = (finding) => {
    for (const fix of finding.querySelectorAll(".fix dd:not(:has(button))")) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = "Copy";
      button.addEventListener("click", () => copy(button, fix.querySelector(".copied").textContent));
      fix.append(button);
    }
  };

  document.addEventListener("toggle", (event) => {
    if (event.target.open) offerCopy(event.target);
  }, true);
  form.addEventListener("input", () => { apply(); remember(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(() => { apply(); remember(); }));
  document.getElementById("open-all").addEventListener("click", (event) => {
    const opening = event.target.textContent === "Open all";
    for (const finding of findings) if (!finding.hidden) finding.open = opening;
    event.target.textContent = opening ? "Close all" : "Open all";
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.closest("input, select, textarea")) {
      event.preventDefault();
      form.elements.q.focus();
    }
  });
  addEventListener("hashchange", read);
  addEventListener("beforeprint", () => { for (const details of document.querySelectorAll("details")) details.open = true; });
  form.hidden = false;
  read();
})();
