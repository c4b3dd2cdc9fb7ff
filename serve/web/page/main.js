// The page: its token, the feed of what happens, and the four pages behind the tabs.

import { enter, feed, get, Refused } from "/api.js";
import { $, el, plural, tell } from "/dom.js";
import * as talk from "/talk.js";
import * as read from "/read.js";
import * as grow from "/grow.js";
import * as life from "/life.js";

const pages = { talk, read, grow, life };
let state = null;
let shown = null;

export const present = () => state;

async function begin() {
  const oneTime = new URLSearchParams(location.hash.slice(1)).get("token");
  try {
    if (oneTime) {
      history.replaceState(null, "", `${location.pathname}#talk`);
      await enter(oneTime);
    }
    state = await get("/api/state");
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    $("closed").hidden = false;
    document.querySelector("nav").hidden = true;
    return;
  }
  for (const page of Object.values(pages)) page.begin(present);
  show();
  update();
  addEventListener("hashchange", show);
  await follow();
}

// The state again after every change; when the server is gone, until it is back.
async function follow() {
  for (let wait = 500; ; wait = Math.min(2 * wait, 8000)) {
    try {
      for await (const [, value] of await feed()) {
        state = value;
        wait = 500;
        update();
      }
    } catch (error) {
      if (error instanceof Refused && error.status === 401) return location.reload();
    }
    $("banner").textContent = "The server cannot be reached; trying again. Nothing that it acknowledged is lost.";
    $("banner").hidden = false;
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

function show() {
  const name = location.hash.slice(1) in pages ? location.hash.slice(1) : "talk";
  for (const id of Object.keys(pages)) $(id).hidden = id !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.page === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${$(name).getAttribute("aria-label")} – ${state.folder}`;
  shown = name;
  tell(() => pages[name].show());
}

function update() {
  $("folder").textContent = state.folder;
  const learning = state.read_only ? "only reading" : `learning ${state.learning ? "on" : "off"}`;
  $("facts").textContent = [
    `${state.size} parameters`, plural(state.lessons, "lesson"), plural(state.steps, "reading step"), learning,
  ].join(" · ");
  $("banner").textContent = state.remark;
  $("banner").hidden = !state.remark;
  $("queue").hidden = state.queue.length === 0;
  $("queue").replaceChildren(...state.queue.map((job) =>
    el("span", { class: job.state }, `${job.state === "running" ? "" : `${job.state}: `}${job.title}`)));
  for (const [name, page] of Object.entries(pages)) page.update(state, name === shown);
}

begin();
