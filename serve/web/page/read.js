// Read: files shown before they are read, the bar, the curve, what was forgotten.

import { get, post, upload } from "/api.js";
import { $, announce, button, bytes, change, duration, el, fixed, num, plural, table, tell } from "/dom.js";
import { chart } from "/chart.js";

const MOST_BYTES = 64 * 2 ** 20;
let present = () => null;
let seen = "";
let known = { uploads: [], books: [] };

export function begin(state) {
  present = state;
  const zone = $("dropzone");
  zone.ondragover = (event) => { event.preventDefault(); zone.classList.add("over"); };
  zone.ondragleave = () => zone.classList.remove("over");
  zone.ondrop = (event) => { event.preventDefault(); zone.classList.remove("over"); take(event.dataTransfer.files); };
  $("choose").onclick = () => $("files").click();
  $("files").onchange = () => { take($("files").files); };
  $("starter").onclick = () => tell(async () => { await post("/api/shelf"); await show(); });
  $("reading-stop").onclick = () => tell(() => post("/api/stop", { job: present().reading.job }));
}

export async function show() {
  known = await get("/api/books");
  drawUploads();
  drawBooks();
  drawReport();
  await drawCurve();
}

export function update(state, visible) {
  const reading = state.queue.find((job) => job.kind === "read" && job.state !== "waiting");
  const bar = state.reading;
  $("reading").hidden = !reading;
  $("dropzone").hidden = state.read_only;
  if (reading) {
    $("reading-name").textContent = reading.title;
    $("reading-bar").value = bar ? bar.done / bar.of : 0;
    $("reading-figures").textContent = bar
      ? `${bar.done.toLocaleString("en")} of ${bar.of.toLocaleString("en")} windows · ${duration(bar.seconds_left)} left · ${fixed(bar.loss_bits_per_byte)} bits per byte · ${Math.round(bar.tokens_per_second).toLocaleString("en")} tokens/s`
      : "Measuring held-out text before the first window…";
    $("reading-stop").disabled = reading.state === "stopping" || !bar;
  }
  if (reading) $("report").hidden = true;
  const now = JSON.stringify([bar?.step, Boolean(reading), state.event]);
  if (visible && now !== seen) {
    seen = now;
    tell(reading ? drawCurve : show);
  }
}

async function take(files) {
  for (const file of [...files]) {
    await tell(async () => {
      if (file.size > MOST_BYTES) throw new Error(`${file.name} has ${bytes(file.size)}, want at most ${bytes(MOST_BYTES)}; cut it into parts.`);
      await upload(file);
      announce(`${file.name} is ready to be looked at.`);
    });
  }
  $("files").value = "";
  await tell(show);
}

function drawUploads() {
  const all = known.uploads.length > 1
    ? [el("div", { class: "row" }, button("Read all of them, shuffled together", () => start(known.uploads.map((one) => one.id), 1, true)))]
    : [];
  $("uploads").replaceChildren(...known.uploads.map(preview), ...all);
}

function preview(one) {
  const passes = el("input", { type: "number", value: "1", min: "1", max: "100", "aria-label": "Passes" });
  const text = el("div", { class: "cleaned", tabindex: "0", "aria-label": "The cleaned text" });
  const more = button("Show more", () => tell(page), { class: "quiet" });
  let first = 0;
  async function page() {
    const { documents, of } = await get(`/api/books/${one.id}?first=${first}`);
    for (const part of documents) {
      text.append(el("h3", {}, `${part.number + 1} of ${of}${part.held_out ? " – held out, never learned" : ""}`), part.text);
    }
    first += documents.length;
    more.hidden = first >= of;
  }
  tell(page);
  return el("article", { class: "panel" },
    el("h2", {}, one.name),
    el("p", { class: "figures" }, [
      `${bytes(one.bytes)} (${one.encoding})`, `${bytes(one.kept_bytes)} kept`,
      `${plural(one.documents, "document")} to learn, ${one.held_out} held out`,
      one.conversation ? "read as conversations: only the answers are learned" : `${one.lines_before} lines joined to ${one.lines_after}`,
    ].join(" · ")),
    cut("before the text", one.cut_before), cut("after the text", one.cut_after),
    el("details", { open: true }, el("summary", {}, "The cleaned text, as it will be read"), text, more),
    el("div", { class: "row" },
      button("Read it", () => start([one.id], Number(passes.value), false)),
      el("label", {}, "passes ", passes),
      button("Put it away", () => tell(async () => { await post("/api/drop", { id: one.id }); await show(); }), { class: "quiet" })));
}

function cut(where, part) {
  if (!part.characters) return null;
  return el("details", {}, el("summary", {}, `${plural(part.characters, "character")} cut ${where}`),
    el("div", { class: "cut" }, part.text, part.characters > part.text.length ? " …" : ""));
}

function start(uploads, passes, mix) {
  tell(async () => { await post("/api/read", { uploads, passes, mix }); await show(); scrollTo(0, 0); });
}

function drawBooks() {
  const rows = known.books.map((book) => {
    const figures = Object.entries(book.held_out || {});
    const last = figures.length === 1 ? figures[0][1] : book.held_out?.[book.name];
    const left = book.windows ? `at window ${book.windows_read} of ${book.windows}` : "";
    const act = button(left ? "Go on" : "Read once more", () => tell(() => post("/api/read", { books: book.books })), { class: "quiet" });
    act.disabled = present().read_only;
    return [book.name, num(book.passes), left || "read to the end", num(fixed(last?.before)), num(fixed(last?.after)), act];
  });
  const heads = ["book", num("passes"), "place", num("held out before"), num("after"), ""];
  $("books").replaceChildren(rows.length ? table(heads, rows) : el("p", { class: "hint" }, "No book was read yet."));
}

async function drawCurve() {
  const { windows, bits } = await get("/api/curve");
  chart($("curve"), "windows read in this life", windows, [{ name: "bits per byte", values: bits }], "The curve begins with the first window.");
}

// What the last finished reading did to every book, from the journal.
function drawReport() {
  const last = known.books.filter((book) => book.finished).sort((a, b) => a.finished - b.finished).at(-1);
  $("report").hidden = !last;
  if (!last) return;
  const held = Object.entries(last.held_out);
  const rows = held.map(([name, { before, after }]) => [name, num(fixed(before)), num(fixed(after)), change(before, after)]);
  $("report").replaceChildren(el("h2", {}, `What the reading of ${last.name} changed`),
    table(["held-out bits per byte", num("before"), num("after"), num("change")], rows));
}
