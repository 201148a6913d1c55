"use strict";
// Filters, kept in the URL's fragment as #?rule=B001&q=text, beside plain anchors such as #rule-B001.
(() => {
  const form = document.querySelector(".filters");
  if (!form) return;
  form.hidden = false;
  // The filters stay on the screen: links to a rule stop below them, however many lines they take.
  new ResizeObserver(() => document.documentElement.style.setProperty("--filters", form.offsetHeight + "px")).observe(form);
  const output = form.querySelector("output");
  const findings = [...document.querySelectorAll(".card, .list tbody tr")].map((element) => {
    const rule = element.closest(".rule");
    return {
      element,
      rule: rule.dataset.rule,
      severity: rule.dataset.severity,
      label: element.dataset.label,
      split: element.dataset.split,
      text: (rule.dataset.rule + " " + element.textContent).toLowerCase(),
    };
  });
  const rules = [...document.querySelectorAll(".rule")];
  const parts = [...document.querySelectorAll(".part")];
  const keys = ["severity", "rule", "label", "split"].filter((key) => form.elements[key]);

  function apply() {
    const wanted = keys.map((key) => [key, form.elements[key].value]).filter(([, value]) => value);
    const words = form.elements.q.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const finding of findings) {
      const fits = wanted.every(([key, value]) => finding[key] === value) && words.every((word) => finding.text.includes(word));
      finding.element.classList.toggle("nothing", !fits);
      shown += fits;
    }
    const active = wanted.length > 0 || words.length > 0;
    for (const rule of rules) {
      rule.classList.toggle("nothing", active && !rule.querySelector(".card:not(.nothing), tbody tr:not(.nothing)"));
      const more = rule.querySelector(".more");
      if (more && active && more.querySelector("tbody tr:not(.nothing)")) more.open = true;
    }
    for (const part of parts) part.classList.toggle("nothing", !part.querySelector(".rule:not(.nothing)"));
    output.textContent = active ? `${shown} of ${findings.length} shown` : `${findings.length} shown`;
    return active;
  }

  function remember() {
    const state = new URLSearchParams([...new FormData(form)].filter(([, value]) => value));
    const fragment = apply() ? "#?" + state : location.pathname.split("/").pop() + location.search;
    history.replaceState(null, "", fragment);
  }

  function recall() {
    if (location.hash && !location.hash.startsWith("#?")) {
      // A link to a rule that the filter hides: the filter gives way.
      const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
      if (target && target.closest(".nothing")) {
        form.reset();
        apply();
        target.scrollIntoView();
      }
      return;
    }
    const state = new URLSearchParams(location.hash.slice(2));
    for (const key of [...keys, "q"]) form.elements[key].value = state.get(key) || "";
    apply();
  }

  form.addEventListener("input", remember);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(remember));
  addEventListener("hashchange", recall);
  apply();
  recall();
})();

// The whole image, one click away.
(() => {
  const dialog = document.getElementById("lightbox");
  const title = document.getElementById("lightbox-title");
  const finding = document.getElementById("lightbox-finding");
  const stage = dialog.querySelector(".stage");
  const boxes = dialog.querySelector("input");
  let shots = [];
  let current = 0;

  function show(index) {
    current = (index + shots.length) % shots.length;
    const shot = shots[current];
    const scene = shot.querySelector("svg").cloneNode(true);
    scene.setAttribute("viewBox", scene.dataset.whole);
    const names = scene.querySelector("use").cloneNode();
    names.setAttribute("href", "#n" + shot.dataset.image);
    names.setAttribute("font-size", Math.max(...scene.dataset.whole.split(" ").slice(2)) * 0.017);
    const [, drawn, small] = scene.querySelectorAll("use");
    if (small) small.remove();
    drawn.after(names);
    scene.setAttribute("role", "img");
    scene.setAttribute("aria-labelledby", "lightbox-title");
    scene.removeAttribute("aria-hidden");
    title.textContent = shot.dataset.caption;
    const card = shot.closest(".card");
    finding.textContent = card ? `${card.closest(".rule").dataset.rule} · ${card.querySelector(".message").textContent}` : "";
    stage.replaceChildren(scene);
  }

  document.addEventListener("click", (event) => {
    const shot = event.target.closest("button.shot");
    if (!shot) return;
    shots = [...document.querySelectorAll("button.shot")].filter((one) => !one.closest(".nothing"));
    show(shots.indexOf(shot));
    dialog.showModal();
  });
  dialog.addEventListener("click", (event) => {
    const step = event.target.dataset.step;
    if (step) show(current + Number(step));
    if (event.target === dialog || "close" in event.target.dataset) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") show(current - 1);
    if (event.key === "ArrowRight") show(current + 1);
  });
  dialog.addEventListener("close", () => shots[current].focus());
  boxes.addEventListener("change", () => stage.classList.toggle("bare", !boxes.checked));
})();

// Commands are copied by a button; without a clipboard the command is selected instead.
for (const button of document.querySelectorAll(".copy")) {
  button.hidden = false;
  const code = button.previousElementSibling;
  button.setAttribute("aria-label", "Copy: " + code.textContent);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
}
