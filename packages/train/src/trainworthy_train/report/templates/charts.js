"use strict";
// Charts of a diagnosis: values under the pointer, a linear or logarithmic axis, smoothing, and the steps of a sentence.
(() => {
  const make = (name, attributes, parent) => {
    const element = document.createElementNS(parent.namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return parent.appendChild(element);
  };
  const short = (value) => (value === null ? "NaN" : Number(value.toPrecision(4)).toString());

  const smoothed = (values, width) => values.map((_, at) => {
    const around = values.slice(Math.max(0, at - width), at + width + 1).filter((one) => one !== null);
    return around.length ? around.reduce((sum, one) => sum + one, 0) / around.length : null;
  });

  for (const figure of document.querySelectorAll("figure[data-panel]")) {
    const panel = JSON.parse(figure.dataset.panel);
    const svg = figure.querySelector("svg[role=img]");
    const { width, height } = panel;
    const [first, last] = panel.limits;
    const x = (step) => (last > first ? ((step - first) / (last - first)) * width : width / 2);
    let { low, high, log } = panel;
    const scaled = (value) => {
      const [a, b, v] = log ? [low, high, Math.max(value, low)].map(Math.log) : [low, high, value];
      return height * (1 - (Math.min(Math.max(v, a), b) - a) / Math.max(b - a, 1e-12));
    };

    const values = panel.lines.flatMap((line) => line.value.filter((one) => one !== null));
    const positive = values.filter((one) => one > 0);
    const redraw = (share) => {
      panel.lines.forEach((line, at) => {
        const group = svg.querySelectorAll("g.line")[at];
        const points = (some) => some.map((v, i) => (v === null ? "" : `${x(line.step[i]).toFixed(1)},${scaled(v).toFixed(1)}`))
          .filter(Boolean).join(" ");
        group.querySelector(".raw").setAttribute("points", points(line.value));
        const half = Math.round((share * line.value.length) / 200);
        group.querySelector(".smooth").setAttribute("points", points(half ? smoothed(line.value, half) : line.value));
      });
      for (const old of svg.querySelectorAll(".tick")) old.remove();
      for (let k = 0; k <= 4; k += 1) {
        const value = log ? low * (high / low) ** (k / 4) : low + ((high - low) * k) / 4;
        const at = scaled(value);
        const group = make("g", { class: "tick" }, svg);
        svg.insertBefore(group, svg.firstChild);
        make("line", { class: "grid", x1: 0, x2: width, y1: at, y2: at }, group);
        make("text", { class: "axis", x: -8, y: at + 4, "text-anchor": "end" }, group).textContent = short(value);
      }
    };

    const controls = figure.querySelector(".controls");
    controls.hidden = false;
    const box = controls.querySelector("input[type=checkbox]");
    const slider = controls.querySelector("input[type=range]");
    box.checked = log;
    box.disabled = positive.length < values.length || !positive.length;
    const change = () => {
      if (box.checked !== log) {
        log = box.checked;
        [low, high] = log ? [Math.min(...positive), Math.max(...positive)] : [panel.low, panel.high];
      }
      redraw(Number(slider.value));
    };
    box.addEventListener("change", change);
    slider.addEventListener("input", change);

    // The values of the logged point that is nearest to the pointer.
    const cursor = make("line", { class: "cursor", x1: 0, x2: 0, y1: 0, y2: height, visibility: "hidden" }, svg);
    const readout = figure.querySelector(".readout");
    svg.addEventListener("pointermove", (event) => {
      const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const step = first + (place.x / width) * (last - first);
      const parts = panel.lines.map((line) => {
        let best = 0;
        line.step.forEach((one, at) => { if (Math.abs(one - step) < Math.abs(line.step[best] - step)) best = at; });
        return [line.step[best], `${line.title} ${short(line.value[best])}`];
      });
      cursor.setAttribute("x1", x(parts[0][0]));
      cursor.setAttribute("x2", x(parts[0][0]));
      cursor.setAttribute("visibility", "visible");
      readout.textContent = `${panel.unit} ${short(parts[0][0])}: ${parts.map(([, text]) => text).join(" · ")}`;
    });
    svg.addEventListener("pointerleave", () => {
      cursor.setAttribute("visibility", "hidden");
      readout.textContent = "";
    });
    figure.highlight = (span) => {
      for (const old of svg.querySelectorAll(".marked")) old.remove();
      svg.classList.toggle("showing", Boolean(span));
      if (!span) return;
      const [from, to] = span.map((step) => Math.min(Math.max(x(step), 0), width));
      svg.insertBefore(make("rect", { class: "marked", x: from, y: 0, width: Math.max(to - from, 2), height }, svg), svg.firstChild);
    };
  }

  // A sentence shows the steps that it is about.
  for (const row of document.querySelectorAll("tr[data-span]")) {
    const span = row.dataset.span.split(" ").map(Number);
    const figures = row.closest("section").querySelectorAll("figure[data-panel]");
    const show = (some) => { for (const figure of figures) figure.highlight(some); };
    row.addEventListener("pointerenter", () => show(span));
    row.addEventListener("pointerleave", () => show(null));
    row.addEventListener("focusin", () => show(span));
    row.addEventListener("focusout", () => show(null));
  }
})();
