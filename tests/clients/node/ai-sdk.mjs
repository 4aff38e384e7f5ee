// Vercel's AI SDK over three of its providers: text, streams, objects, tools in several steps.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, isStepCount, Output, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";
import { question, run, vote, url } from "./shared.mjs";

const compatible = createOpenAICompatible({ name: "quorate", baseURL: url, apiKey: "any", includeUsage: true, supportsStructuredOutputs: true });
const openai = createOpenAI({ baseURL: url, apiKey: "any" });
const anthropic = createAnthropic({ baseURL: url, apiKey: "any" });
const models = { compatible: compatible(vote), chat: openai.chat(vote), responses: openai.responses(vote), messages: anthropic(vote) };
const steps = (isStepCount ?? stepCountIs)(3);

const checks = {};
for (const [name, model] of Object.entries(models)) {
  const asked = { model, prompt: question, maxRetries: 0, maxOutputTokens: 2000 };
  checks[`${name}_text`] = async () => {
    const { text, usage, finishReason } = await generateText(asked);
    return { text, out: usage.outputTokens, finishReason };
  };
  checks[`${name}_streamed`] = async () => {
    let text = "";
    const result = streamText(asked);
    for await (const piece of result.textStream) text += piece;
    return { text, out: (await result.usage).outputTokens };
  };
  checks[`${name}_object`] = async () => {
    const { output } = await generateText({ ...asked, output: Output.object({ schema: z.object({ result: z.number() }) }) });
    return { output };
  };
  checks[`${name}_tools`] = async () => {
    const seen = [];
    const weather = tool({
      description: "How it is",
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => (seen.push(city), "sunny"),
    });
    const result = await generateText({ ...asked, tools: { weather }, stopWhen: steps });
    return { text: result.text, seen };
  };
  checks[`${name}_tools_streamed`] = async () => {
    const seen = [];
    const weather = tool({
      description: "How it is",
      inputSchema: z.object({ city: z.string() }),
      execute: async ({ city }) => (seen.push(city), "sunny"),
    });
    const result = streamText({ ...asked, tools: { weather }, stopWhen: steps });
    await result.consumeStream();
    return { text: await result.text, seen };
  };
}
await run(checks);
