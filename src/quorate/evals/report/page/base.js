// Unpacking what the file carries.

const byId = (id) => document.getElementById(id);

/** The JSON value of one packed script element. */
async function unpacked(id) {
  const bytes = Uint8Array.from(atob(byId(id).textContent.trim()), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

const RECENT = 12;
const recent = new Map();

/** The questions of one block; the last few stay unpacked. */
function block(number) {
  const found = recent.get(number) ?? unpacked(`block-${number}`);
  recent.delete(number);
  recent.set(number, found);
  if (recent.size > RECENT) recent.delete(recent.keys().next().value);
  return found;
}

/** Calls back once things have been still for a moment. */
function settled(wait, call) {
  let timer = 0;
  return () => { clearTimeout(timer); timer = setTimeout(call, wait); };
}
