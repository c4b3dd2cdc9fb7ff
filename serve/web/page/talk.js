// Talk: five replies side by side; pick one, edit one, type a better one, or take none.

import { get, newKey, post, say } from "/api.js";
import { $, announce, ask, button, el, facts, fixed, tell } from "/dom.js";

let present = () => null;
// idle: say something. streaming: replies come. choosing: they are here. busy: a lesson or an undo.
let phase = "idle";
let turn = null;
let job = null;
let chosen = 0;
let context = "";
let cards = [];

export function begin(state) {
  present = state;
  cards = Array.from({ length: state().replies }, (_, index) => card(index));
  $("cards").replaceChildren(...cards.map((one) => one.item));
  $("composer").onsubmit = (event) => { event.preventDefault(); submit(); };
  $("words").onkeydown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); submit(); }
  };
  $("context-open").onclick = () => tell(editContext);
  document.addEventListener("keydown", press);
  setPhase("idle");
  tell(comeBack);
}

export function show() {
  const list = $("conversation");
  list.scrollTop = list.scrollHeight;
  if (phase === "idle") $("words").focus();
}

export function update(state) {
  const now = JSON.stringify(state.context);
  if (now !== context) {
    context = now;
    const said = state.context.map(([role, text]) => el("li", { class: role }, el("span", { class: "unseen" }, role === "user" ? "You: " : "Reply: "), text));
    const none = el("li", { class: "none" }, "Nothing is said yet. Say something; pick the best of the replies or type a better one, and that is what it learns from.");
    $("conversation").replaceChildren(...(said.length ? said : [none]));
    $("conversation").scrollTop = $("conversation").scrollHeight;
  }
  drawKeys();
}

function card(index) {
  const text = el("div", { class: "text", tabindex: "0" });
  const pick = button(null, () => learn({ pick: index + 1 }), { "aria-label": `Pick reply ${index + 1}` });
  pick.append(el("kbd", {}, String(index + 1)), " Pick");
  const edit = button("Edit", () => editReply(index), { class: "quiet", "aria-label": `Edit reply ${index + 1}` });
  const item = el("li", { class: "card", onclick: () => choose(index), onfocusin: () => choose(index) }, text,
    el("div", { class: "acts" }, pick, edit));
  return { item, text, pick, edit };
}

function choose(index) {
  chosen = index;
  cards.forEach((one, number) => one.item.classList.toggle("chosen", phase === "choosing" && number === index));
}

function setPhase(next) {
  phase = next;
  $("cards").classList.toggle("idle", next === "idle" && !turn);
  for (const one of cards) one.pick.disabled = one.edit.disabled = next !== "choosing" || !present().learning || present().read_only;
  $("words-label").textContent = next === "choosing" ? "A better answer, if none is good (what you type is what it learns)" : "Say something";
  $("send").textContent = next === "choosing" ? "Teach" : "Ask";
  $("send").disabled = next === "streaming" || next === "busy";
  $("cards").setAttribute("aria-busy", String(next === "streaming"));
  choose(0);
  drawKeys();
}

function drawKeys() {
  const state = present();
  const key = (name, text, act, on = true) =>
    el("button", { type: "button", class: "quiet", onclick: act, disabled: !on }, el("kbd", {}, name), ` ${text}`);
  const choosing = phase === "choosing";
  const keys = [
    key("Enter", choosing ? "Type a better answer" : "Say something", () => $("words").focus()),
    key("e", "Edit the chosen reply", () => editReply(chosen), choosing),
    key("0", "None of these", none, choosing),
    key("u", "Undo the last lesson", undo, !state.read_only && state.lessons > 0 && phase !== "busy"),
    key("l", state.learning ? "Learning is on" : "Learning is off", toggle, !state.read_only),
    key("Esc", phase === "streaming" ? "Stop" : "Leave the field", escape),
  ];
  keys.splice(3, 0, key("w", "Why this reply", why, choosing));
  const same = $("keys").textContent === keys.map((one) => one.textContent).join("")
    && keys.every((one, index) => one.disabled === $("keys").children[index].disabled);
  if (!same) $("keys").replaceChildren(...keys);
}

function press(event) {
  if ($("talk").hidden || $("dialog").open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return escape();
  if (event.target.closest("input, textarea, select")) return;
  const onButton = event.target.closest("button, a, summary") && (event.key === "Enter" || event.key === " ");
  if (onButton) return;
  const acts = { 0: none, e: () => editReply(chosen), u: undo, l: toggle, w: why, Enter: () => $("words").focus() };
  const number = Number(event.key);
  if (phase === "choosing" && event.key !== "0" && number >= 1 && number <= cards.length) learn({ pick: number });
  else if (event.key in acts) acts[event.key]();
  else if (event.key === "ArrowRight" || event.key === "ArrowLeft") {
    const step = event.key === "ArrowRight" ? 1 : cards.length - 1;
    if (phase === "choosing") cards[(chosen + step) % cards.length].text.focus();
  } else if (event.key.length === 1 && !/\d/.test(event.key)) { $("words").focus(); return; } else return;
  event.preventDefault();
}

function escape() {
  if (phase === "streaming" && job) tell(() => post("/api/stop", { job }));
  else document.activeElement.blur();
}

function submit() {
  const text = $("words").value;
  if (!text.trim()) return;
  if (phase === "choosing") tell(() => teachTyped(text));
  else if (phase === "idle") tell(() => askFor(text.trim()));
}

async function askFor(text) {
  turn = null;
  setPhase("streaming");
  $("words").value = "";
  $("words").blur();
  showAsked(text);
  cards.forEach((one) => { one.text.textContent = ""; one.item.classList.remove("taught", "remembered"); });
  try {
    for await (const [name, value] of await say(text)) {
      if (name === "job") job = value.job;
      else if (name === "replies") value.forEach((reply, index) => { cards[index].text.textContent = reply; });
      else if (name === "turn") showTurn(value);
      else if (name === "error") throw new Error(value.message);
    }
  } catch (error) {
    $("words").value = text;
    setPhase("idle");
    throw error;
  } finally {
    job = null;
  }
}

function showAsked(text) {
  $("asked").replaceChildren("You said: ", el("b", {}, text));
}

function showTurn(value) {
  turn = value;
  sessionStorage.setItem("turn", String(turn.turn));
  showAsked(turn.say);
  turn.replies.forEach((reply, index) => {
    cards[index].text.textContent = reply.text;
    cards[index].item.classList.toggle("remembered", reply.remembered);
    cards[index].item.title = `log-probability ${fixed(reply.log_prob, 1)}${reply.ended ? "" : ", cut off"}`;
  });
  if (!present().learning) return stopHere();
  setPhase("choosing");
  announce(`${turn.replies.length} replies are here. Press 1 to ${turn.replies.length} to pick one, or type a better one.`);
  if (document.activeElement === document.body && !$("talk").hidden) cards[0].text.focus({ preventScroll: true });
}

// Nothing is learned and nothing is kept: the replies are only to be read.
function stopHere() {
  sessionStorage.removeItem("turn");
  setPhase("idle");
  line([el("span", { class: "chip" }, present().read_only ? "This folder is only read here" : "Learning is off: nothing of this is kept")]);
}

// After a reload: the replies that still wait for their lesson.
async function comeBack() {
  const number = sessionStorage.getItem("turn");
  if (!number) return;
  try {
    showTurn(await get(`/api/turn/${number}`));
  } catch (error) {
    sessionStorage.removeItem("turn");
  }
}

// Asks first when the answer would be a big surprise and could leak into others.
async function teachTyped(text) {
  line([]);
  const { warning } = await post("/api/warning", { turn: turn.turn, teach: text });
  const how = warning
    ? await ask("This answer would surprise the model", el("p", {}, warning),
      [["Teach it now", "now"], ["Spread it over the next lessons", "spread", { class: "quiet" }]])
    : "now";
  if (how) await learn({ teach: text, spread: how === "spread" });
}

function learn(how) {
  if (phase !== "choosing") return null;
  return tell(async () => {
    setPhase("busy");
    line([]);
    try {
      const lesson = await post("/api/lesson", { turn: turn.turn, ...how }, newKey());
      done();
      if (how.pick) cards[how.pick - 1].item.classList.add("taught");
      $("words").value = "";
      showLesson(lesson);
    } catch (error) {
      setPhase("choosing");
      throw error;
    }
  });
}

function done() {
  sessionStorage.removeItem("turn");
  setPhase("idle");
  $("words").focus({ preventScroll: true });
}

function showLesson(lesson) {
  const parts = (lesson.line || "This was taught already").split(" | ");
  line([
    ...parts.map((part) => el("span", { class: "chip" }, part)),
    button("Details", () => ask("What this lesson did", facts(lesson, ["line", "event", "again"]), []), { class: "quiet" }),
  ]);
  announce(parts.join(", "));
}

function line(parts) {
  $("line").replaceChildren(...parts);
}

function none() {
  if (phase !== "choosing") return;
  const skipped = turn.turn;
  line([el("span", { class: "chip" }, "None of these: nothing was learned")]);
  done();
  tell(() => post("/api/skip", { turn: skipped }));
}

function editReply(index) {
  if (phase !== "choosing") return;
  $("words").value = turn.replies[index].text;
  $("words").focus();
  $("words").setSelectionRange(0, $("words").value.length);
}

function toggle() {
  const on = !present().learning;
  tell(async () => {
    await post("/api/learning", { on });
    announce(`Learning is ${on ? "on" : "off"}`);
    setPhase(phase);
  });
}

function undo() {
  if (phase === "busy" || phase === "streaming") return;
  tell(() => takeBack({}));
}

function why() {
  if (phase !== "choosing") return;
  tell(async () => {
    const found = await post("/api/why", { turn: turn.turn, reply: chosen + 1 });
    await ask("Why this reply", [el("pre", { class: "why" }, found.lines)], []);
  });
}

// An undo, after asking when it takes long or takes more with it.
export async function takeBack(wanted) {
  const plan = await post("/api/undo/plan", wanted);
  if (plan.also.length || plan.seconds > 3 || wanted.event) {
    const also = plan.also.length ? `${plan.also.length} later events stand on it and go with it: ${kinds(plan.also)}.` : "";
    const agreed = await ask("Take this back?", [el("p", {}, plan.sentence), el("p", {}, also)], [["Take it back", true]]);
    if (!agreed) return null;
  }
  const before = phase;
  setPhase("busy");
  try {
    const done = await post("/api/undo", { ...wanted, also: plan.also.map((event) => event.id) });
    turn = null;
    sessionStorage.removeItem("turn");
    setPhase("idle");
    line([
      el("span", { class: "chip" }, `Took back ${plan.asked.map((id) => `event ${id}`).join(", ")} in ${done.seconds.toFixed(1)} s`),
      el("span", { class: "chip" }, `${done.lessons} lessons left`),
      button("Redo", () => tell(() => takeBack({ redo: true })), { class: "quiet" }),
    ]);
    announce("The lesson was taken back.");
    return done;
  } catch (error) {
    setPhase(before);
    throw error;
  }
}

function kinds(events) {
  const counts = {};
  for (const { kind } of events) counts[kind] = (counts[kind] || 0) + 1;
  return Object.entries(counts).map(([kind, count]) => `${count} × ${kind}`).join(", ");
}

async function editContext() {
  const { text, sha256 } = await get("/api/context");
  const field = el("textarea", { "aria-label": "The conversation" });
  field.value = text;
  const hint = el("p", { class: "hint" }, "Every turn begins with “user: ” or “assistant: ”. The weights keep what they learned.");
  const buttons = present().read_only ? [] : [["Save", "save"], ["Forget all of it", "forget", { class: "quiet" }]];
  const choice = await ask("The conversation in the prompt", [hint, field], buttons);
  if (choice) await post("/api/context", { text: choice === "save" ? field.value : "", sha256 });
}
