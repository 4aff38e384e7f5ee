// Answers as Markdown: parsed by markdown-it without HTML, cleaned by DOMPurify, mathematics by Temml as MathML.
// All three are loaded when the first answer needs them. Pictures are never asked for, links leave in a tab of their own.

const MOST = 120_000; // characters; a longer text is shown as it is
const MATH = /\$|\\\(|\\\[/;
const ALLOWED = /^(?:https?:|mailto:|#)/i;
const STYLE = / style="[^"]*"/g; // the page's policy forbids them
let tools = null, temml = null;

async function load() {
  await Promise.all([import("../vendor/markdown-it.js"), import("../vendor/purify.js")]);
  const md = new globalThis.markdownit({ html: false, linkify: false, breaks: true, maxNesting: 40 });
  md.validateLink = (url) => ALLOWED.test(url.trim());
  md.renderer.rules.image = (tokens, i) => md.utils.escapeHtml(`[picture: ${tokens[i].content || "without a name"}]`);
  md.inline.ruler.before("escape", "math", inlineMath);
  md.block.ruler.before("fence", "math", blockMath, { alt: ["paragraph", "reference", "blockquote", "list"] });
  md.renderer.rules.math = (list, i) => formula(md, list[i].content, false);
  md.renderer.rules.math_block = (list, i) => formula(md, list[i].content, true);
  return { md, purify: globalThis.DOMPurify };
}

async function loadMath() {
  temml ??= (await import("../vendor/temml.js")).default;
}

/** One formula as MathML; what does not parse is shown as it was written. */
function formula(md, tex, displayMode) {
  const written = `<code class="tex">${md.utils.escapeHtml(tex)}</code>`;
  if (!temml) return written;
  try {
    return temml.renderToString(tex, { displayMode, throwOnError: true, strict: false, trust: false, maxExpand: 200, maxSize: [20, 20] }).replace(STYLE, "");
  } catch {
    return written;
  }
}

const PAIRS = [["\\(", "\\)"], ["\\[", "\\]"], ["$$", "$$"], ["$", "$"]];

/** `$x$`, `$$x$$`, `\(x\)` and `\[x\]` inside a line; a dollar that stands by a space or before a digit is money. */
function inlineMath(state, silent) {
  const rest = state.src, at = state.pos;
  for (const [open, close] of PAIRS) {
    if (!rest.startsWith(open, at)) continue;
    const from = at + open.length;
    const to = rest.indexOf(close, from);
    if (to <= from || to - from > 4000) return false;
    if (open === "$" && (/\s/.test(rest[from]) || /\s/.test(rest[to - 1]) || /\d/.test(rest[to + 1] ?? ""))) return false;
    if (!silent) state.push("math", "math", 0).content = rest.slice(from, to);
    state.pos = to + close.length;
    return true;
  }
  return false;
}

/** `$$ ... $$` and `\[ ... \]` over lines of their own. */
function blockMath(state, begin, end, silent) {
  const line = (n) => state.src.slice(state.bMarks[n] + state.tShift[n], state.eMarks[n]);
  const first = line(begin).trim(), close = first.startsWith("$$") ? "$$" : first.startsWith("\\[") ? "\\]" : null;
  if (close === null) return false;
  const lines = [first.slice(2)];
  let last = begin;
  while (!lines.at(-1).trimEnd().endsWith(close)) {
    if (++last >= end) return false;
    lines.push(line(last));
  }
  if (silent) return true;
  const token = state.push("math_block", "math", 0);
  token.content = lines.join("\n").trimEnd().slice(0, -2);
  token.block = true;
  token.map = [begin, last + 1];
  state.line = last + 1;
  return true;
}

/** The nodes of a text, to be put into an element; null while the parser is being loaded, after which `again` is called. */
export function render(text, again) {
  if (text.length > MOST) return plain(text);
  if (tools === null || tools instanceof Promise) {
    tools ??= load().then((loaded) => { tools = loaded; });
    tools.then(again);
    return null;
  }
  if (MATH.test(text) && !temml) loadMath().then(again);
  const clean = tools.purify.sanitize(tools.md.render(text), {
    RETURN_DOM_FRAGMENT: true, FORBID_TAGS: ["style", "img", "svg", "form", "input", "button", "iframe", "annotation-xml"],
    FORBID_ATTR: ["style", "id", "name"], ADD_TAGS: ["semantics", "annotation"], ADD_ATTR: ["encoding"],
  });
  for (const link of clean.querySelectorAll("a[href]")) Object.assign(link, { target: "_blank", rel: "noopener noreferrer nofollow" });
  for (const block of clean.querySelectorAll("pre, table")) wrap(block);
  for (const element of clean.children) element.dir = "auto";
  return clean;
}

/** Something that may be wider than the page, which then scrolls inside it. */
function wrap(block) {
  const around = document.createElement("div");
  Object.assign(around, { className: "scroll-x", tabIndex: 0 });
  around.setAttribute("role", "region");
  around.setAttribute("aria-label", block.tagName === "PRE" ? "Code" : "Table");
  block.replaceWith(around);
  around.append(block);
}

function plain(text) {
  const block = document.createElement("pre");
  block.className = "plain";
  block.dir = "auto";
  block.textContent = text;
  return block;
}
