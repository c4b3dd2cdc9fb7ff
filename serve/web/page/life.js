// Life: every event that made this model, what it kept and what it forgot.

import { get, post } from "/api.js";
import { $, announce, ask, button, bytes, duration, el, facts, num, table, tell } from "/dom.js";
import { chart } from "/chart.js";
import { takeBack } from "/talk.js";

const KINDS = { lesson: "lessons", book: "books", sleep: "sleep", rest: "rests", grow: "growth", undo: "undos", forget: "forgotten talk", replies: "replies", read: "rows of reading", birth: "birth" };
const FIRST = ["lesson", "book", "sleep", "grow", "undo", "forget", "birth"];
let present = () => null;
let seen = 0;
let oldest = null;
let waiting = 0;

export function begin(state) {
  present = state;
  $("kinds").append(...Object.entries(KINDS).map(([kind, name]) =>
    el("label", {}, el("input", { type: "checkbox", value: kind, checked: FIRST.includes(kind), onchange: () => tell(list) }), name)));
  $("find").onsubmit = (event) => { event.preventDefault(); tell(list); };
  $("search").oninput = () => { clearTimeout(waiting); waiting = setTimeout(() => tell(list), 200); };
  $("older").onclick = () => tell(() => list(oldest));
  $("measure").onclick = () => tell(measure);
  $("sleep").onclick = () => tell(async () => {
    const slept = await post("/api/sleep");
    announce(slept.line);
    await measure();
  });
  $("weights-now").onclick = () => tell(() => weights());
}

export async function show() {
  seen = present().event;
  await Promise.all([list(), charts()]);
}

export function update(state, visible) {
  if (visible && state.event !== seen) tell(show);
}

async function list(before = null) {
  const kinds = [...$("kinds").querySelectorAll("input:checked")].map((box) => box.value);
  const wanted = new URLSearchParams({ kinds: kinds.join(","), search: $("search").value });
  if (before) wanted.set("before", before);
  const { events } = await get(`/api/life?${wanted}`);
  const rows = events.map((event) => el("li", {}, el("button", { type: "button", class: event.undone ? "undone" : "", onclick: () => tell(() => details(event.id)) },
    el("span", { class: "kind" }, event.kind), el("span", { class: "what" }, event.line),
    el("span", { class: "when" }, `${event.undone ? "undone · " : ""}event ${event.id} · ${new Date(event.time).toLocaleString()}${event.origin ? ` · ${event.origin}` : ""}`))));
  if (before) $("timeline").append(...rows);
  else $("timeline").replaceChildren(...(rows.length ? rows : [el("li", { class: "hint" }, "Nothing of this kind is in the journal.")]));
  oldest = events.at(-1)?.id;
  $("older").hidden = events.length < 50 || $("search").value !== "";
}

async function details(id) {
  const event = await get(`/api/life/${id}`);
  const plan = event.undo;
  const undoable = !plan.refused && !present().read_only;
  const about = plan.refused || `${plan.sentence}${plan.also.length ? ` ${plan.also.length} later events stand on it and go with it.` : ""}`;
  const buttons = [];
  if (undoable) buttons.push([`Take it back (about ${duration(plan.seconds)})`, "undo"]);
  if (event.weights_seconds !== null && !event.undone) buttons.push([`What it did to the weights (about ${duration(event.weights_seconds)})`, "weights", { class: "quiet" }]);
  const choice = await ask(`Event ${id}: ${event.kind}`, [el("p", {}, event.line), el("p", { class: "hint" }, about), facts(event.data)], buttons);
  if (choice === "undo") await takeBack({ event: id });
  if (choice === "weights") await weights(id);
}

async function charts() {
  const { forgetting, lessons } = await get("/api/charts");
  const x = forgetting.events.map((_, index) => index + 1);
  chart($("forgetting"), "readings", x, Object.entries(forgetting.books).map(([name, values]) => ({ name, values })), "The chart begins with the first book that is read to its end.");
  chart($("retention"), "lessons", lessons.events.map((_, index) => index + 1),
    [{ name: "before the lesson", values: lessons.before }, { name: "after it", values: lessons.after }], "The chart begins with the first lesson.");
}

async function measure() {
  const { lessons, ages } = await post("/api/retention");
  const rows = ages.map((age) => [age.since ? `${age.since} or more lessons ago` : "the newest", num(age.lessons), num(age.known)]);
  $("ages").replaceChildren(...(rows.length ? [table(["taught", num("lessons"), num("answered word for word")], rows)] : []));
  chart($("retention"), `the last ${lessons.length} lessons`, lessons.map((_, index) => index + 1), [
    { name: "before the lesson", values: lessons.map((one) => one.before) },
    { name: "after it", values: lessons.map((one) => one.after) },
    { name: "now", values: lessons.map((one) => one.now) },
  ], "There is no lesson to measure yet.");
}

async function weights(event = null) {
  $("weights-of").textContent = event ? `Working out what event ${event} did…` : "";
  const { rows } = await post("/api/weights", event ? { event } : {});
  const changed = rows.some((row) => row.change !== null);
  $("weights-of").textContent = event
    ? `After event ${event}; ${changed ? "change is the root mean square of what it did to the entries" : "it changed shapes, so there is no entry by entry difference"}`
    : "As they are now";
  const heads = ["part", "axes", "shape", num("size"), num("rms"), ...(changed ? [num("change")] : [])];
  $("weights").replaceChildren(table(heads, rows.map((row) => [
    row.path, row.axes, row.shape, num(bytes(row.bytes)), num(row.rms.toPrecision(3)), ...(changed ? [num(row.change.toPrecision(3))] : []),
  ])));
  $("weights-of").scrollIntoView({ block: "nearest" });
}
