// The same request for a terminal, a program and a configuration.

import { readName } from "./compose.js";
import { html, useState } from "./html.js";

const base = () => new URL(".", location.href).href;
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** A value as Python writes it. */
function python(value) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map((v) => python(v)).join(", ")}]`;
  if (typeof value === "object") return `{${Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${python(v)}`).join(", ")}}`;
  return typeof value === "string" ? JSON.stringify(value).replaceAll("\\/", "/") : String(value);
}

export function asCurl(request) {
  const body = JSON.stringify(request, null, 2);
  return `curl ${base()}v1/chat/completions \\\n  -H 'Content-Type: application/json' \\\n  -H "Authorization: Bearer $QUORATE_KEY" \\\n  -d ${quoted(body)}\n`;
}

export function asPython(request) {
  const { quorate, ...fields } = request;
  const lines = Object.entries(fields).map(([name, value]) => `    ${name}=${python(value)},`);
  if (quorate) lines.push(`    extra_body={"quorate": ${python(quorate)}},`);
  return `from openai import OpenAI\n\nclient = OpenAI(base_url=${JSON.stringify(`${base()}v1`)}, api_key="...")\nreply = client.chat.completions.create(\n${lines.join("\n")}\n)\nprint(reply.choices[0].message.content)\nprint(reply.quorate["tally"])\n`;
}

export function asYaml(request) {
  const parts = readName(request.model);
  if (!parts) return `# ${request.model} is a model or a pipeline of the server's own configuration;\n# quorate graph ${request.model} --config quorate.yaml draws it.\n`;
  const { quorate = {}, temperature, max_tokens, seed } = request, sampling = Object.entries({ temperature, max_tokens, seed }).filter(([, value]) => value !== undefined);
  const lines = ["mine:", `  pipeline: ${parts.name}`, `  models: [${parts.models.map((m) => JSON.stringify(m)).join(", ")}]`];
  if (parts.n !== null) lines.push(`  n: ${parts.n}`);
  if (quorate.stop) lines.push(`  stop: {rule: ${quorate.stop}}`);
  if (sampling.length) lines.push(`  sampling: {${sampling.map(([name, value]) => `${name}: ${value}`).join(", ")}}`);
  return `pipelines:\n${lines.map((line) => `  ${line}\n`).join("")}`;
}

const FORMS = [["curl", asCurl], ["Python", asPython], ["YAML", asYaml]];

export function CopyView({ request, race }) {
  const [form, setForm] = useState(0), [said, setSaid] = useState("");
  const text = FORMS[form][1](request);
  const copy = async () => {
    try { await navigator.clipboard.writeText(text); setSaid("Copied."); } catch { setSaid("The browser did not allow it: select the text and copy it."); }
  };
  return html`<section class="copy" aria-label=${race.label("Copy")}><h2>Take it with you</h2>
    <p class="switch" role="group" aria-label="As">${FORMS.map(([name], i) => html`<button type="button" aria-pressed=${String(i === form)} onClick=${() => { setForm(i); setSaid(""); }}>${name}</button>`)}
      <button type="button" class="primary" onClick=${copy}>Copy</button> <span role="status" class="quiet">${said}</span></p>
    <div class="scroll-x" tabindex="0" role="region" aria-label=${race.label(`The request as ${FORMS[form][0]}`)}><pre>${text}</pre></div></section>`;
}
