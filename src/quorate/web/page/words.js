// Numbers and codes in words.

const plain = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

export const count = (value) => plain.format(value);
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;
export const percent = (share) => (share === 0 ? "0 %" : share < 0.001 ? "< 0.1 %" : share < 0.1 ? `${(100 * share).toFixed(1)} %` : `${(100 * share).toFixed(0)} %`);
export const seconds = (value) => (value === null || value === undefined ? "\u2013" : value < 0.0995 ? `${(1000 * value).toFixed(0)} ms` : value < 10 ? `${value.toFixed(2)} s` : `${value.toFixed(1)} s`);
export const money = (value) => (value === null || value === undefined ? "\u2013" : value === 0 ? "0" : value < 0.01 ? value.toPrecision(2) : value.toFixed(value < 1 ? 4 : 2));
export const letter = (i) => String.fromCharCode(65 + (i % 26)) + (i < 26 ? "" : String(Math.floor(i / 26)));
export const colour = (i) => `var(--s${i % 8})`;
export const totalTokens = (usage) => (usage ? usage.prompt_tokens + usage.completion_tokens : 0);

/** Text in which marks that change the direction of what follows can be seen, for labels and other short places. */
export const visible = (text) => text.replace(/[\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, (mark) => `[U+${mark.codePointAt(0).toString(16).toUpperCase()}]`);

/** What a message says; its pictures are left out. */
export const textOf = ({ content }) => (typeof content === "string" ? content : (content ?? []).map((part) => part.text ?? "").join(""));

/** The beginning of a text on one line. */
export function brief(text, most = 60) {
  const line = visible(text.slice(0, 4 * most)).replace(/\s+/g, " ").trim();
  return line.length <= most ? line : `${line.slice(0, most - 1)}\u2026`;
}

const DEGRADED = {
  candidate_failed: "a sample failed",
  stragglers_cancelled: "slow samples were cancelled",
  quorum_missed: "fewer good samples than the quorum",
  deadline_passed: "time ran out for a step",
  budget_exhausted: "the budget is used up",
  halted: "the server was stopping",
  samples_identical: "samples are copies of each other",
  fallback_used: "a fallback model stood in",
  setting_refused: "the model refused a setting",
  held_back: "the server held requests back",
  node_failed: "a step failed and another took its place",
  logprobs_missing: "the model told no probabilities",
  aggregator_failed: "the aggregator failed, so the vote answers",
  analysis_missing: "there is no analysis",
  member_failed: "a member of the panel failed",
  candidate_cut: "an answer was cut at its length",
  candidate_dropped: "an answer did not fit and was left out",
  score_missing: "a score is missing",
  verdict_missing: "a judge said nothing clear",
  tests_missing: "there were no tests",
  comparison_cut: "comparing answers took too long",
  tied: "the vote was tied",
  lone_vote: "only one sample voted",
  all_abstained: "no sample stated an answer",
  answer_in_reasoning: "the answer stood in the thinking only",
  no_confidence: "there is no confidence to weigh by",
  assembled_invalid: "the assembled document is not valid",
  selector_fell_back: "the selector fell back to the vote",
  unknown_model: "a model that the weights do not know",
  unsure: "it is not sure",
  abilities_not_saved: "what was learnt could not be saved",
  verifier_lost: "a verifier dropped out",
  probabilities_bounded: "some probabilities are bounds only",
  schema_missed: "the answer misses the schema",
  choice_failed: "a choice failed",
};

/** How a note on an answer is called. */
export const explainCode = (code) => DEGRADED[code] ?? code.replaceAll("_", " ");
