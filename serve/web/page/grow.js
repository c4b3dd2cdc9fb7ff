// Grow: sizes, what they cost, and the proof that nothing else changed.

import { post } from "/api.js";
import { $, button, bytes, el, num, table, tell } from "/dom.js";

const AXES = [
  ["width", "width", "the stream and the feed-forward part"],
  ["depth", "depth", "layers"],
  ["heads", "heads", "key/value heads"],
  ["groups", "groups", "query heads per key/value head"],
  ["ffn", "feed-forward", "the feed-forward part alone"],
  ["context", "context", "tokens seen at once"],
];
const RATIOS = ["1", "1.25", "1.5", "2", "3", "4"];
let present = () => null;
let at = 0;

export function begin(state) {
  present = state;
  $("sizes").replaceChildren(...AXES.map(([name, title, about]) => {
    const choice = el("select", { name }, ...RATIOS.map((ratio) => el("option", { value: ratio }, ratio === "1" ? "as it is" : `× ${ratio}`)));
    return el("label", {}, title, choice, el("small", {}, about));
  }));
  $("sizes").onchange = plan;
  $("sizes").onsubmit = (event) => event.preventDefault();
}

export const show = () => plan();

export function update(state, visible) {
  if (visible && at !== state.parameters) plan();
}

const ratios = () => Object.fromEntries(AXES.map(([name]) => [name, Number($("sizes").elements[name].value)]));

async function plan() {
  at = present().parameters;
  const wanted = ratios();
  if (Object.values(wanted).every((ratio) => ratio === 1)) {
    const rows = Object.entries(present().sizes).map(([name, size]) => [name, num(size.toLocaleString("en"))]);
    $("plan").replaceChildren(el("h2", {}, `As it is: ${present().parameters.toLocaleString("en")} parameters`), table(["size", num("now")], rows),
      el("p", { class: "hint" }, "Choose what is to grow; the plan with its costs appears here, and nothing is done before you say so."));
    return;
  }
  try {
    draw(await post("/api/grow/plan", { ratios: wanted }));
  } catch (error) {
    $("plan").replaceChildren(el("p", {}, error.message));
  }
}

function draw(record) {
  const sizes = Object.entries(record.sizes).filter(([, size]) => size.before !== size.after)
    .map(([name, size]) => [name, num(size.before), num(size.after)]);
  const most = Math.max(...record.parts.map((part) => part.after));
  const bars = record.parts.flatMap((part) => [
    el("span", {}, part.part),
    el("meter", { min: "0", max: String(most), value: String(part.after), "aria-label": part.part }),
    el("span", { class: "figures" }, `${bytes(part.before)} → ${bytes(part.after)}`),
  ]);
  const step = record.seconds_per_step_before;
  const ratio = step && record.seconds_per_step_after / step;
  const free = record.available_bytes === null ? "" : `, ${bytes(record.available_bytes)} are free`;
  $("plan").replaceChildren(
    el("h2", {}, `${record.parameters_before.toLocaleString("en")} → ${record.parameters_after.toLocaleString("en")} parameters`),
    table(["size", num("now"), num("then")], sizes),
    el("h2", {}, "Weights and moments, by part"), el("div", { class: "bars" }, ...bars),
    el("p", { class: "figures" }, [
      `${bytes(record.state_bytes)} in all`, `growing needs ${bytes(record.memory_bytes)} more memory${free}`,
      step ? `a reading step takes about ${(record.seconds_per_step_after).toFixed(3)} s instead of ${step.toFixed(3)} s (× ${ratio.toFixed(2)})` : "the time of a step is known after the first book",
    ].join(" · ")),
    ...(record.remark ? [el("p", { class: "hint" }, record.remark)] : []),
    button("Grow", () => tell(grow), { id: "grow-now", disabled: present().read_only }));
}

async function grow() {
  $("grow-now").disabled = true;
  $("grow-now").textContent = "Growing…";
  try {
    const done = await post("/api/grow", { ratios: ratios() });
    $("proof").hidden = false;
    $("proof").replaceChildren(el("h2", {}, "It has grown, and says the same"), ...done.lines.map((line) => el("p", { class: "figures" }, line)));
    for (const [name] of AXES) $("sizes").elements[name].value = "1";
  } finally {
    await plan();
  }
}
