// Runs cases with the real clients of npm: cases come on standard input, results leave on standard output.
// A result holds what the client's own types say: the text, the calls, and each number of the usage by its own name.
// The clients lie in the folder that CLIENTS names.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(process.env.CLIENTS + "/package.json");
const load = (name) => import(pathToFileURL(require.resolve(name)).href);
const { OpenAI } = await load("openai");
const { Anthropic } = await load("@anthropic-ai/sdk");
const { GoogleGenAI } = await load("@google/genai");
const ai = await load("ai");
const { createOpenAI } = await load("@ai-sdk/openai");
const { createAnthropic } = await load("@ai-sdk/anthropic");
const { createGoogleGenerativeAI } = await load("@ai-sdk/google");
const { z } = await load("zod");

const TEXT = "Plan the trip";
const SCHEMA = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer", minimum: 2 } },
  required: ["city", "days"],
};

function numbers(usage) {
  if (usage === undefined || usage === null) return null;
  const found = {};
  const walk = (value, path) => {
    if (typeof value === "number") found[path] = value;
    else if (value && typeof value === "object")
      for (const [key, inner] of Object.entries(value)) if (key !== "raw") walk(inner, path ? `${path}.${key}` : key);
  };
  walk(usage, "");
  return found;
}

const result = (text, calls, usage, more = {}) => ({ text, calls, usage: numbers(usage), ...more });

async function openaiChat(c) {
  const client = new OpenAI({ baseURL: c.base + "/v1", apiKey: "k", maxRetries: 0 });
  const asked = { model: "gpt-5", messages: [{ role: "user", content: TEXT }] };
  if (c.tools) asked.tools = [{ type: "function", function: { name: "plan", parameters: SCHEMA } }];
  if (c.tools === "forced") asked.tool_choice = "required";
  if (c.structured) asked.response_format = { type: "json_schema", json_schema: { name: "trip", schema: SCHEMA } };
  if (c.structured) {
    const done = await client.chat.completions.parse(asked);
    return result(done.choices[0].message.parsed, [], done.usage);
  }
  const parsed = (calls) => (calls ?? []).map((call) => [call.function.name, JSON.parse(call.function.arguments)]);
  if (!c.stream || c.stream === "helper") {
    const done = c.stream
      ? await client.chat.completions.stream({ ...asked, stream_options: { include_usage: true } }).finalChatCompletion()
      : await client.chat.completions.create(asked);
    const { message, finish_reason } = done.choices[0];
    return result(message.content, parsed(message.tool_calls), done.usage, { reason: finish_reason });
  }
  const options = c.stream === "silent" ? {} : { stream_options: { include_usage: true } };
  let [text, usage, reason, calls] = ["", null, null, []];
  for await (const chunk of await client.chat.completions.create({ ...asked, stream: true, ...options })) {
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) {
      reason = choice.finish_reason ?? reason;
      text += choice.delta.content ?? "";
      for (const call of choice.delta.tool_calls ?? []) {
        calls[call.index] ??= { function: { name: "", arguments: "" } };
        calls[call.index].function.name += call.function.name ?? "";
        calls[call.index].function.arguments += call.function.arguments ?? "";
      }
    }
  }
  return result(text, parsed(calls), usage, { reason });
}

async function openaiResponses(c) {
  const client = new OpenAI({ baseURL: c.base + "/v1", apiKey: "k", maxRetries: 0 });
  const asked = { model: "gpt-5", input: TEXT };
  if (c.tools) asked.tools = [{ type: "function", name: "plan", parameters: SCHEMA, strict: false }];
  if (c.tools === "forced") asked.tool_choice = "required";
  if (c.structured) {
    asked.text = { format: { type: "json_schema", name: "trip", schema: SCHEMA, strict: false } };
    const done = await client.responses.parse(asked);
    return result(done.output_parsed, [], done.usage);
  }
  let done;
  if (c.stream === "helper") done = await client.responses.stream(asked).finalResponse();
  else if (c.stream) {
    let text = "";
    for await (const event of await client.responses.create({ ...asked, stream: true })) {
      if (event.type === "response.output_text.delta") text += event.delta;
      if (event.response) done = event.response;
    }
    const said = done.output.filter((item) => item.type === "message").map((item) => item.content[0].text).join("");
    if (said !== text) throw new Error(`the deltas say ${text}, the response ${said}`);
  } else done = await client.responses.create(asked);
  const text = done.output.filter((item) => item.type === "message").map((item) => item.content[0].text).join("");
  const calls = done.output.filter((i) => i.type === "function_call").map((i) => [i.name, JSON.parse(i.arguments)]);
  return result(text, calls, done.usage, { reason: done.status });
}

async function openaiEmbeddings(c) {
  const client = new OpenAI({ baseURL: c.base + "/v1", apiKey: "k", maxRetries: 0 });
  const how = c.tools === "float" ? { encoding_format: "float" } : {};
  const done = await client.embeddings.create({ model: "text-embedding-3-small", input: ["a", "b"], ...how });
  const lengths = done.data.map((one) => one.embedding.length);
  const size = Math.sqrt(done.data[0].embedding.reduce((sum, x) => sum + x * x, 0));
  return result("", [], done.usage, { lengths, same: Math.abs(size - 1) < 1e-4, differ: true });
}

async function anthropic(c) {
  const client = new Anthropic({ baseURL: c.base, apiKey: "k", maxRetries: 0 });
  const asked = { model: "claude-opus-4-5", max_tokens: 500, messages: [{ role: "user", content: TEXT }] };
  if (c.tools) asked.tools = [{ name: "plan", input_schema: SCHEMA }];
  if (c.tools === "forced") asked.tool_choice = { type: "any" };
  if (c.structured) {
    asked.output_config = { format: { type: "json_schema", schema: SCHEMA } };
    const done = await client.messages.create(asked);
    return result(JSON.parse(done.content[0].text), [], done.usage);
  }
  let done;
  if (c.stream === "helper") done = await client.messages.stream(asked).finalMessage();
  else if (c.stream) {
    const [blocks, usage] = [[], {}];
    let reason = null;
    for await (const event of await client.messages.create({ ...asked, stream: true })) {
      if (event.type === "message_start") Object.assign(usage, numbers(event.message.usage));
      else if (event.type === "content_block_start") blocks[event.index] = { ...event.content_block, json: "" };
      else if (event.type === "content_block_delta") {
        blocks[event.index].text += event.delta.text ?? "";
        blocks[event.index].json += event.delta.partial_json ?? "";
      } else if (event.type === "message_delta") {
        reason = event.delta.stop_reason;
        Object.assign(usage, numbers(event.usage));
      }
    }
    const text = blocks.filter((b) => b.type === "text").map((b) => b.text).join("");
    const calls = blocks.filter((b) => b.type === "tool_use").map((b) => [b.name, JSON.parse(b.json)]);
    return { text, calls, usage: Object.keys(usage).length ? usage : null, reason };
  } else done = await client.messages.create(asked);
  const text = done.content.filter((b) => b.type === "text").map((b) => b.text).join("");
  const calls = done.content.filter((b) => b.type === "tool_use").map((b) => [b.name, b.input]);
  return result(text, calls, done.usage, { reason: done.stop_reason });
}

async function google(c) {
  const client = new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl: c.base } });
  const config = {};
  if (c.tools) config.tools = [{ functionDeclarations: [{ name: "plan", parametersJsonSchema: SCHEMA }] }];
  if (c.tools === "forced") config.toolConfig = { functionCallingConfig: { mode: "ANY" } };
  if (c.structured) Object.assign(config, { responseMimeType: "application/json", responseJsonSchema: SCHEMA });
  const asked = { model: "gemini-2.5-flash", contents: TEXT, config };
  const chunks = [];
  if (c.stream) for await (const chunk of await client.models.generateContentStream(asked)) chunks.push(chunk);
  else chunks.push(await client.models.generateContent(asked));
  const parts = chunks.flatMap((chunk) => chunk.candidates[0].content.parts);
  const text = parts.map((part) => part.text ?? "").join("");
  const calls = parts.filter((part) => part.functionCall).map((part) => [part.functionCall.name, part.functionCall.args]);
  const { usageMetadata: usage, candidates } = chunks.at(-1);
  const { promptTokensDetails, cacheTokensDetails, ...told } = usage ?? {};
  return result(c.structured ? JSON.parse(text) : text, calls, usage && told, { reason: candidates[0].finishReason });
}

const MODELS = {
  "ai/openai": (base) => createOpenAI({ baseURL: base + "/v1", apiKey: "k" })("gpt-5"),
  "ai/openai-chat": (base) => createOpenAI({ baseURL: base + "/v1", apiKey: "k" }).chat("gpt-5"),
  "ai/anthropic": (base) => createAnthropic({ baseURL: base + "/v1", apiKey: "k" })("claude-opus-4-5"),
  "ai/google": (base) => createGoogleGenerativeAI({ baseURL: base + "/v1beta", apiKey: "k" })("gemini-2.5-flash"),
};

async function vercel(c) {
  const asked = { model: MODELS[c.run](c.base), prompt: TEXT, maxRetries: 0 };
  // The client of Gemini leaves every bound out of what it sends, and checks it all the same.
  const days = c.run === "ai/google" ? z.number().int().min(1) : z.number().int().min(2);
  const trip = z.object({ city: z.string().min(1), days });
  if (c.tools) asked.tools = { plan: ai.tool({ description: "", inputSchema: trip }) };
  if (c.tools === "forced") asked.toolChoice = "required";
  if (c.structured) {
    const done = await ai.generateObject({ ...asked, schema: trip });
    return result(done.object, [], done.usage);
  }
  const called = (calls) => calls.map((call) => [call.toolName, call.input]);
  if (!c.stream) {
    const done = await ai.generateText(asked);
    return result(done.text, called(done.toolCalls), done.usage, { reason: done.finishReason });
  }
  const failed = [];
  const done = ai.streamText({ ...asked, onError: ({ error }) => failed.push(error) });
  let text = "";
  for await (const piece of done.textStream) text += piece;
  if (failed.length) throw failed[0];
  return result(text, called(await done.toolCalls), await done.usage, { reason: await done.finishReason });
}

async function turns(c) {
  const days = z.object({ city: z.string(), days: z.number() });
  const plan = ai.tool({ description: "plans", inputSchema: days, execute: async ({ city }) => `${city} is free` });
  const ask = c.stream ? ai.streamText : ai.generateText;
  const asked = { model: MODELS[c.on](c.base), system: "You plan.", prompt: TEXT, tools: { plan }, maxRetries: 0 };
  const done = await ask({ ...asked, stopWhen: ai.stepCountIs(4) });
  const steps = await done.steps;
  const calls = steps.flatMap((step) => step.toolCalls.map((call) => [call.toolName, call.input]));
  return result(await done.text, calls, await done.totalUsage, { steps: steps.length });
}

async function embedMany(c) {
  const model = createOpenAI({ baseURL: c.base + "/v1", apiKey: "k" }).embedding("text-embedding-3-small");
  const done = await ai.embedMany({ model, values: ["a", "b"], maxRetries: 0 });
  return result("", [], done.usage, { lengths: done.embeddings.map((one) => one.length), same: true, differ: true });
}

async function side(c) {
  const openai = new OpenAI({ baseURL: c.base + "/v1", apiKey: "k", maxRetries: 0 });
  const claude = new Anthropic({ baseURL: c.base, apiKey: "k", maxRetries: 0 });
  const google = new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl: c.base } });
  const ids = async (pages) => {
    const found = [];
    for await (const one of pages) found.push(one.id);
    return found;
  };
  const messages = [{ role: "user", content: TEXT }];
  return {
    "openai models": await ids(openai.models.list()),
    "openai model": (await openai.models.retrieve("model-1")).id,
    "openai count": (await openai.responses.inputTokens.count({ model: "m", input: TEXT })).input_tokens,
    "openai moderation": (await openai.moderations.create({ input: TEXT })).results[0].flagged,
    "anthropic models": await ids(claude.models.list()),
    "anthropic model": (await claude.models.retrieve("model-1")).display_name,
    "google count": (await google.models.countTokens({ model: "m", contents: TEXT })).totalTokens,
    "google model": (await google.models.get({ model: "model-1" })).name,
    "anthropic count": (await claude.messages.countTokens({ model: "m", messages })).input_tokens,
  };
}

async function failing(c) {
  try {
    await RUNNERS[c.on]({ ...c, run: c.on });
  } catch (error) {
    const code = error.code ?? error.error?.error?.type ?? error.data?.error?.status ?? error.data?.error?.type ?? null;
    return { error: error.constructor.name, status: error.status ?? error.statusCode, code };
  }
  return { error: null };
}

const RUNNERS = {
  "openai-chat": openaiChat,
  "openai-responses": openaiResponses,
  "openai-embeddings": openaiEmbeddings,
  anthropic,
  "google-genai": google,
  "ai/embed": embedMany,
  turns,
  ...Object.fromEntries(Object.keys(MODELS).map((name) => [name, vercel])),
  side,
  failing,
};

const results = {};
for (const c of JSON.parse(readFileSync(0, "utf8"))) {
  try {
    results[c.id] = await RUNNERS[c.run](c);
  } catch (error) {
    results[c.id] = { raised: `${error.constructor.name}: ${String(error.message).slice(0, 300)}` };
  }
}
process.stdout.write(JSON.stringify(results));
