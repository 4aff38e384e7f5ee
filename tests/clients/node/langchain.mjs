// LangChain's chat models for OpenAI and for Anthropic: invoke, stream, batch, tools, structured output.
import { ChatAnthropic } from "@langchain/anthropic";
import { tool } from "@langchain/core/tools";
import { ChatOpenAI } from "@langchain/openai";
import { z } from "zod";
import { question, run, vote, url } from "./shared.mjs";

const models = {
  chat: new ChatOpenAI({ model: vote, apiKey: "any", configuration: { baseURL: url }, maxRetries: 0 }),
  responses: new ChatOpenAI({ model: vote, apiKey: "any", configuration: { baseURL: url }, maxRetries: 0, useResponsesApi: true }),
  messages: new ChatAnthropic({ model: vote, apiKey: "any", anthropicApiUrl: url.replace(/\/v1$/, ""), maxRetries: 0, maxTokens: 2000 }),
};
const weather = tool(({ city }) => `sunny in ${city}`, {
  name: "weather",
  description: "How it is",
  schema: z.object({ city: z.string() }),
});

const checks = {};
for (const [name, model] of Object.entries(models)) {
  checks[`${name}_invoke`] = async () => {
    const message = await model.invoke(question);
    return { text: message.text, out: message.usage_metadata.output_tokens };
  };
  checks[`${name}_streamed`] = async () => {
    let whole;
    for await (const chunk of await model.stream(question)) whole = whole === undefined ? chunk : whole.concat(chunk);
    return { text: whole.text, out: whole.usage_metadata.output_tokens };
  };
  checks[`${name}_batch`] = async () => ({ texts: (await model.batch([question, question])).map((message) => message.text) });
  checks[`${name}_tools`] = async () => {
    const [call] = (await model.bindTools([weather]).invoke(question)).tool_calls;
    return { name: call.name, args: call.args };
  };
  checks[`${name}_object`] = async () => {
    const schema = z.object({ result: z.number() });
    return { parsed: await model.withStructuredOutput(schema, { name: "product" }).invoke(question) };
  };
}
await run(checks);
