// Anthropic's client: messages plain and streamed, thinking, tools, its tool runner, structured output, counts, errors.
import Anthropic from "@anthropic-ai/sdk";
import { betaZodTool } from "@anthropic-ai/sdk/helpers/beta/zod";
import { zodOutputFormat } from "@anthropic-ai/sdk/helpers/zod";
import { z } from "zod";
import { question, run, tool, vote, url } from "./shared.mjs";

const client = new Anthropic({ baseURL: url.replace(/\/v1$/, ""), apiKey: "any", maxRetries: 0 });
const asked = { model: vote, max_tokens: 2000, messages: [{ role: "user", content: question }] };
const weather = { name: tool.name, description: tool.description, input_schema: tool.parameters };

await run({
  messages: async () => {
    const reply = await client.messages.create({ ...asked, system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }] });
    return { text: reply.content[0].text, out: reply.usage.output_tokens, stop: reply.stop_reason };
  },
  messages_streamed: async () => {
    let text = "";
    const stream = client.messages.stream(asked).on("text", (piece) => (text += piece));
    const final = await stream.finalMessage();
    return { text, out: final.usage.output_tokens, same: (await stream.finalText()) === text };
  },
  thinking: async () => {
    const stream = client.messages.stream({ ...asked, thinking: { type: "enabled", budget_tokens: 1024 } });
    const final = await stream.finalMessage();
    return { kinds: final.content.map((block) => block.type) };
  },
  tools: async () => {
    const reply = await client.messages.create({ ...asked, tools: [weather] });
    const [call] = reply.content.filter((block) => block.type === "tool_use");
    return { name: call.name, input: call.input, stop: reply.stop_reason };
  },
  tools_streamed: async () => {
    const final = await client.messages.stream({ ...asked, tools: [weather] }).finalMessage();
    const [call] = final.content.filter((block) => block.type === "tool_use");
    return { name: call.name, input: call.input };
  },
  tool_runner: async () => {
    const seen = [];
    const runs = betaZodTool({
      name: "weather",
      description: "How it is",
      inputSchema: z.object({ city: z.string() }),
      run: ({ city }) => (seen.push(city), "sunny"),
    });
    const final = await client.beta.messages.toolRunner({ ...asked, tools: [runs] });
    return { text: final.content[0].text, seen };
  },
  parsed: async () => {
    const format = zodOutputFormat(z.object({ result: z.number() }));
    const reply = await client.messages.parse({ ...asked, output_config: { format } });
    return { parsed: reply.parsed_output };
  },
  counted: async () => {
    const few = await client.messages.countTokens({ model: "scripted", messages: asked.messages });
    return { some: few.input_tokens > 0 };
  },
  models: async () => {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    return { known: names.includes("scripted") };
  },
  errors: async () => {
    const kinds = [];
    for (const body of [{ ...asked, model: "nonsense" }, { ...asked, n: 2 }]) {
      await client.messages.create(body).catch((error) => kinds.push([error.constructor.name, error.status, error.error.error.type]));
    }
    return { kinds };
  },
});
