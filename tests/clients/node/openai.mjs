// OpenAI's client: chat and responses, plain and streamed, tools, structured output, models, embeddings' refusal, errors.
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";
import { question, run, tool, vote, url } from "./shared.mjs";

const client = new OpenAI({ baseURL: url, apiKey: "any", maxRetries: 0 });
const messages = [{ role: "user", content: question }];
const Product = z.object({ result: z.number() });
const weather = { type: "function", function: tool };

await run({
  chat: async () => {
    const reply = await client.chat.completions.create({ model: vote, messages });
    return { text: reply.choices[0].message.content, out: reply.usage.completion_tokens, answer: reply.quorate.answer };
  },
  chat_streamed: async () => {
    const stream = client.chat.completions.stream({ model: vote, messages, stream_options: { include_usage: true } });
    const final = await stream.finalChatCompletion();
    return { text: final.choices[0].message.content, out: (await stream.totalUsage()).completion_tokens };
  },
  chat_tools: async () => {
    const seen = [];
    const runner = client.chat.completions.runTools({
      model: vote,
      messages,
      tools: [
        {
          type: "function",
          function: { ...tool, parse: JSON.parse, function: ({ city }) => (seen.push(city), "sunny") },
        },
      ],
    });
    return { text: await runner.finalContent(), seen };
  },
  chat_tools_streamed: async () => {
    const stream = client.chat.completions.stream({ model: vote, messages, tools: [weather] });
    const [call] = (await stream.finalMessage()).tool_calls;
    return { name: call.function.name, arguments: JSON.parse(call.function.arguments) };
  },
  chat_parsed: async () => {
    const form = zodResponseFormat(Product, "product");
    const reply = await client.chat.completions.parse({ model: vote, messages, response_format: form });
    return { parsed: reply.choices[0].message.parsed };
  },
  chat_embedded: async () => {
    const story = "A bakery bakes 7 trays of 12 rolls each. It sells 30. How many are left?";
    const reply = await client.chat.completions.create({ model: "majority@3/tiny", messages: [{ role: "user", content: story }] });
    return { some: reply.choices[0].message.content.length > 0 };
  },
  responses: async () => {
    const reply = await client.responses.create({ model: vote, input: question });
    return { text: reply.output_text, out: reply.usage.output_tokens };
  },
  responses_streamed: async () => {
    const stream = client.responses.stream({ model: vote, input: question });
    let text = "";
    stream.on("response.output_text.delta", (event) => (text += event.delta));
    const final = await stream.finalResponse();
    return { text, out: final.usage.output_tokens, same: final.output_text === text };
  },
  responses_tools: async () => {
    const reply = await client.responses.create({ model: vote, input: question, tools: [{ type: "function", strict: false, ...tool }] });
    const [call] = reply.output.filter((item) => item.type === "function_call");
    return { name: call.name, arguments: JSON.parse(call.arguments) };
  },
  responses_parsed: async () => {
    const reply = await client.responses.parse({ model: vote, input: question, text: { format: zodTextFormat(Product, "product") } });
    return { parsed: reply.output_parsed };
  },
  completions: async () => {
    const reply = await client.completions.create({ model: vote, prompt: question });
    return { text: reply.choices[0].text };
  },
  models: async () => {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    return { known: names.includes("scripted") };
  },
  errors: async () => {
    const kinds = [];
    for (const body of [{ model: "nonsense", messages }, { model: vote, messages: [] }]) {
      await client.chat.completions.create(body).catch((error) => kinds.push([error.constructor.name, error.status, error.param]));
    }
    return { kinds };
  },
  aborted: async () => {
    const stream = await client.chat.completions.create({ model: vote, messages, stream: true });
    for await (const _ of stream) break;
    return { left: true };
  },
});
