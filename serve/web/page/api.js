// How the page speaks to the server: a token in every request, a key in every change.

let token = sessionStorage.getItem("token") || "";

export class Refused extends Error {
  constructor(status, error) {
    super(error.message);
    this.status = status;
    this.code = error.code;
  }
}

export async function enter(oneTime) {
  const answer = await send("POST", "/api/enter", JSON.stringify({ token: oneTime }));
  token = (await answer.json()).token;
  sessionStorage.setItem("token", token);
}

export const newKey = () =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

async function send(method, path, body, headers = {}) {
  const answer = await fetch(path, {
    method,
    body,
    headers: { Authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "Content-Type": "application/json" }), ...headers },
  });
  if (answer.ok) return answer;
  const { error } = await answer.json().catch(() => ({ error: { message: `The server answered ${answer.status}.` } }));
  throw new Refused(answer.status, error);
}

export const get = async (path) => (await send("GET", path)).json();

// A request that got lost on the way is sent again with its key, so that it is done once.
export async function post(path, value = {}, key = newKey()) {
  for (let trial = 0; ; trial++) {
    try {
      const answer = await send("POST", path, JSON.stringify(value), { "Idempotency-Key": key });
      return await answer.json();
    } catch (error) {
      const lost = error instanceof TypeError;
      const busy = error.code === "busy";
      if (!(lost || busy) || trial === 4) throw error;
      await new Promise((resolve) => setTimeout(resolve, 300 * 2 ** trial));
    }
  }
}

export const upload = async (file) =>
  (await send("POST", "/api/books", file, {
    "Content-Type": "application/octet-stream",
    "X-Name": encodeURIComponent(file.name),
  })).json();

export const say = (text) => send("POST", "/api/say", JSON.stringify({ text })).then(events);
export const feed = () => send("GET", "/api/events").then(events);

// The server-sent events of an answer, as they come: [name, data].
async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let held = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    held += value;
    let end;
    while ((end = held.indexOf("\n\n")) >= 0) {
      const lines = held.slice(0, end).split("\n");
      held = held.slice(end + 2);
      const part = (name) => lines.find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
      if (part("data") !== undefined) yield [part("event") || "", JSON.parse(part("data"))];
    }
  }
}
