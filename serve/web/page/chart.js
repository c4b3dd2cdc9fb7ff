// Line charts with uPlot in the colours of the page.

import { el } from "/dom.js";

const drawn = new Map();
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// Draws series [{name, values}] over x into a box; `label` says what x is.
export function chart(box, label, x, series, empty) {
  drawn.set(box, [label, x, series, empty]);
  if (!x.length) {
    box.replaceChildren(el("p", { class: "empty" }, empty));
    return;
  }
  const style = (index) => ({
    stroke: colour(`--series${(index % 5) + 1}`), width: 2, spanGaps: true,
    points: { show: x.length < 30, size: 6, fill: colour(`--series${(index % 5) + 1}`) },
  });
  const axis = { stroke: colour("--faint"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
  const legend = el("p", { class: "legend" }, ...series.map((one, index) =>
    el("span", {}, el("i", { class: `s${(index % 5) + 1}` }), one.name)));
  const figure = el("div", { role: "img", "aria-label": describe(series) });
  box.replaceChildren(figure, legend);
  const one = x.length === 1;
  new uPlot({
    width: Math.max(box.clientWidth, 200), height: 190, legend: { show: false }, cursor: { show: !one },
    scales: { x: { time: false, range: one ? [x[0] - 1, x[0] + 1] : undefined } },
    axes: [{ ...axis, label, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5, 1e6], labelSize: 16, size: 34, labelFont: "12px sans-serif" }, { ...axis, size: 52 }],
    series: [{ label }, ...series.map((each, index) => ({ label: each.name, ...style(index) }))],
  }, [x, ...series.map((each) => each.values)], figure);
}

function describe(series) {
  return series.map(({ name, values }) => {
    const known = values.filter((value) => value !== null);
    return known.length ? `${name}: from ${known[0].toFixed(3)} to ${known.at(-1).toFixed(3)}` : `${name}: nothing yet`;
  }).join("; ");
}

function redraw() {
  for (const [box, [label, x, series, empty]] of drawn) {
    if (box.isConnected && box.clientWidth) chart(box, label, x, series, empty);
  }
}

let waiting = 0;
addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(redraw, 150); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
