"use strict";
// The page works without this script. It adds filters, copy buttons, and links that open their target.
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const filters = document.querySelector(".filters");
  const text = filters.elements.text;
  const trials = all(".trial");

  // The searched text is collected once, without the serial logs, so that typing stays fast.
  const searched = new Map(trials.map((trial) => {
    const parts = all("summary, .failure, .step, .note", trial);
    return [trial, parts.map((part) => part.textContent).join("\n").toLowerCase()];
  }));

  const pressed = (key) => all(`[data-${key}][aria-pressed="true"]`, filters).map((chip) => chip.dataset[key]);

  function filter() {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const verdicts = pressed("verdict");
    const profiles = pressed("profile");
    const shown = new Set();
    for (const trial of trials) {
      const matches = words.every((word) => searched.get(trial).includes(word))
        && (!verdicts.length || verdicts.includes(trial.dataset.verdict))
        && (!profiles.length || profiles.includes(trial.dataset.profile));
      trial.hidden = !matches;
      if (matches) shown.add(trial.id);
    }
    for (const item of all(".attention li")) item.hidden = !shown.has(item.dataset.trial);
    for (const cell of all(".matrix td[data-trial]")) cell.classList.toggle("out", !shown.has(cell.dataset.trial));
    for (const row of all(".matrix tbody tr")) {
      row.hidden = all("td[data-trial]", row).every((cell) => cell.classList.contains("out"));
    }
    document.querySelector(".none").hidden = shown.size > 0;
    const some = shown.size < trials.length;
    document.querySelector(".shown").textContent = some ? `${shown.size} of ${trials.length} trials` : "";
  }

  function unfilter() {
    text.value = "";
    for (const chip of all(".chip", filters)) chip.setAttribute("aria-pressed", "false");
    filter();
  }

  // Opens the element that the URL fragment names, and all its ancestors.
  function follow() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    const trial = target.closest(".trial");
    if (trial && trial.hidden) unfilter();
    for (let one = target; one; one = one.parentElement) if (one.tagName === "DETAILS") one.open = true;
    target.scrollIntoView();
    const head = target === trial ? trial.querySelector("summary") : target.closest("a");
    if (head) head.focus({ preventScroll: true });
  }

  async function copy(button) {
    const code = button.parentElement.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      // The browser does not allow it: select the text instead.
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  }

  document.addEventListener("click", (event) => {
    const chip = event.target.closest(".chip");
    if (chip) {
      chip.setAttribute("aria-pressed", String(chip.getAttribute("aria-pressed") !== "true"));
      filter();
    }
    const button = event.target.closest(".copy");
    if (button) copy(button);
    // A second click on the same link changes no address and causes no hashchange event.
    const link = event.target.closest("a");
    if (link && link.getAttribute("href") === location.hash) follow();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && event.target !== text) { event.preventDefault(); text.focus(); }
    if (event.key === "Escape" && event.target === text) unfilter();
  });
  filters.addEventListener("submit", (event) => event.preventDefault());
  text.addEventListener("input", filter);
  addEventListener("hashchange", follow);
  for (const one of [filters, ...all(".copy")]) one.hidden = false;
  filter();
  follow();
})();
