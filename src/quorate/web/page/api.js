// Asking the server: with the user's key, and with every fault as words that say what to do.

const KEY = "quorate-key";
let listener = null;

/** Is called where the server wants a key, or another one than it got. */
export function onKeyWanted(call) { listener = call; }

export const getKey = () => recall(KEY);

/** What this tab remembers under a name; storage may be forbidden. */
export function recall(name) {
  try { return sessionStorage.getItem(name) ?? ""; } catch { return ""; }
}

const MOST = 100_000; // characters that it remembers: a browser takes its time to show more in a field

export function remember(name, text) {
  if (text.length > MOST) text = "";
  try { sessionStorage.setItem(name, text); } catch { /* Then a reload forgets it. */ }
}

/** Keeps a key for this tab. */
export function setKey(key) {
  try { if (key) sessionStorage.setItem(KEY, key); else sessionStorage.removeItem(KEY); } catch { /* Then it has to be typed again. */ }
}

/** A fault in words: what happened and what to do. */
export class Fault extends Error {
  constructor(title, advice, { status = 0, detail = "" } = {}) {
    super(title);
    Object.assign(this, { title, advice, status, detail });
  }
}

const ADVICE = {
  400: ["The server cannot ask this", "Change what it names and ask again."],
  401: ["The server wants a key that it knows", "The key is missing, mistyped, or was taken back. Enter a valid one and ask again."],
  403: ["This key may not ask that", "Choose another pipeline or model, or use another key."],
  404: ["There is no such model, pipeline or trace", "Choose one from the lists; those who run the server can add models (quorate models add NAME, or --upstream URL)."],
  408: ["It took too long to send", "Try again."],
  413: ["The question is too long for this server", "Shorten it."],
  429: ["Too much at once", "Wait a moment and ask again."],
  502: ["A model's server failed", "Ask again; if it goes on, look at that server."],
  503: ["The server or a model is not to be had now", "Wait a moment and ask again."],
  504: ["Time ran out", "Ask for fewer samples, or allow more seconds."],
};

const BY_CODE = {
  insufficient_quota: ["This key has spent what it may", "Its budget is used up until its period ends: wait, or use another key."],
};

/** The fault that a server's error envelope tells of. */
export function faultOf(error, status = 0, retryAfter = null) {
  const [title, advice] = BY_CODE[error?.code] ?? ADVICE[status] ?? (status >= 500 ? ["The server failed", "Ask again; the server's log has the cause."] : ["There is no answer", "The message says why; change that and ask again."]);
  const wait = retryAfter ? ` It says to come back in ${retryAfter} s.` : "";
  return new Fault(title, advice + wait, { status, detail: error?.message ?? "" });
}

const GONE = () => new Fault("The server does not answer", "It was stopped, or the connection is broken. What had come stays here; ask again when it is back.");

async function send(path, options = {}) {
  const key = getKey();
  const headers = { ...(options.body ? { "content-type": "application/json" } : {}), ...(key ? { authorization: `Bearer ${key}` } : {}) };
  let reply;
  try {
    reply = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw GONE();
  }
  if (reply.ok) return reply;
  if (reply.status === 401) listener?.();
  const body = await reply.json().catch(() => null);
  throw faultOf(body?.error, reply.status, reply.headers.get("retry-after"));
}

/** The JSON under a path. */
export async function get(path) { return (await send(path)).json(); }

/** The text under a path. */
export async function getText(path) { return (await send(path)).text(); }

/** What a posted JSON value gives. */
export async function post(path, body) { return (await send(path, { method: "POST", body: JSON.stringify(body) })).json(); }

/** Asks, and calls `take` with each event of the run; ends when the run does. */
export async function watch(body, take, signal) {
  const reply = await send("v1/events", { method: "POST", body: JSON.stringify({ ...body, stream: true }), signal });
  const reader = reply.body.getReader(), decoder = new TextDecoder();
  let rest = "", last = null;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const frames = (rest + decoder.decode(value, { stream: true })).split("\n\n");
      rest = frames.pop();
      for (const frame of frames) {
        if (!frame.startsWith("data: ")) continue;
        last = JSON.parse(frame.slice(6));
        take(last);
      }
    }
  } catch (error) {
    if (error.name === "AbortError" || error instanceof Fault) throw error;
    throw GONE();
  }
  if (last?.type !== "done" && last?.type !== "error") throw GONE();
}
