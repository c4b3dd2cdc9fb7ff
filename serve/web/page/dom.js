// Small things that every page uses. Text always becomes text nodes, never markup.

export const $ = (id) => document.getElementById(id);

export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else if (name in made && typeof value !== "string") made[name] = value;
    else if (name === "class") made.className = value;
    else if (value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

export const button = (text, onclick, more = {}) => el("button", { type: "button", onclick, ...more }, text);

export function announce(text) {
  $("status").textContent = text;
}

export function table(heads, rows) {
  const cell = (tag, value) => {
    const number = typeof value === "object" && value?.number !== undefined;
    return el(tag, number ? { class: `number ${value.class || ""}` } : {}, number ? value.number : value ?? "–");
  };
  return el("table", {},
    el("thead", {}, el("tr", {}, ...heads.map((head) => cell("th", head)))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((value) => cell("td", value))))));
}

export const num = (number, more = "") => ({ number, class: more });
export const fixed = (value, digits = 3) => (value === null || value === undefined ? "–" : value.toFixed(digits));
export const plural = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (count >= 1000 && unit < units.length - 1) { count /= 1000; unit++; }
  return `${count.toFixed(unit && count < 100 ? 1 : 0)} ${units[unit]}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "unknown";
  if (seconds < 1) return "less than a second";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

// Before and after in held-out bits per byte; less is better.
export function change(before, after) {
  if (before === null || before === undefined || after === null || after === undefined) return num("–");
  const percent = 100 * (after / before - 1);
  return num(`${percent > 0 ? "+" : ""}${percent.toFixed(1)} %`, percent > 0.05 ? "worse" : percent < -0.05 ? "better" : "");
}

// Asks in a dialog; the value of the button that was pressed, or null.
export function ask(title, body, buttons) {
  const dialog = $("dialog");
  $("dialog-title").textContent = title;
  $("dialog-body").replaceChildren(...[].concat(body));
  return new Promise((resolve) => {
    const close = (value) => { dialog.onclose = null; dialog.close(); resolve(value); };
    $("dialog-buttons").replaceChildren(
      ...buttons.map(([text, value, more]) => button(text, () => close(value), more || {})),
      button("Close", () => close(null), { class: "quiet" }));
    dialog.onclose = () => resolve(null);
    dialog.showModal();
  });
}

export const facts = (record, leave = []) =>
  el("dl", {}, ...Object.entries(record)
    .filter(([name]) => !leave.includes(name))
    .flatMap(([name, value]) => [el("dt", {}, name.replaceAll("_", " ")), el("dd", {}, shown(value))]));

function shown(value) {
  if (typeof value === "number" && !Number.isInteger(value)) return value.toPrecision(4);
  return typeof value === "object" && value !== null ? JSON.stringify(value, null, 1) : String(value);
}

export async function tell(work) {
  try {
    return await work();
  } catch (error) {
    $("banner").textContent = error.message;
    $("banner").hidden = false;
    setTimeout(() => { if ($("banner").textContent === error.message) $("banner").hidden = true; }, 12000);
    return null;
  }
}
