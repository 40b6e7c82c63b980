#!/usr/bin/env bash
# @ai-sdk/google leaves minimum, maximum, maxLength and maxItems out of the request and rejects the answer by them.
# Packages: ai==6.0.326, @ai-sdk/google==3.0.141, @ai-sdk/openai-compatible==2.0.92, zod==4.6.7 (npm)
# Expected: the bounds of a schema reach the model, because Gemini's schema has fields for all four and because another
#   provider of the same SDK sends them. An answer outside of them is then the model's fault.
# Happens: the schema on the wire has types and required, and no bound. An answer in the form that was asked for raises
#   NoObjectGeneratedError, and so does each further try: the model is never told what was wrong.
# Why it matters for a budget: a schema with bounds turns a paid answer into an error as often as the model misses a
#   bound that it cannot know. Loops that try again pay for every round.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --silent --no-audit --no-fund --prefix "$dir" \
    'ai@6.0.326' '@ai-sdk/google@3.0.141' '@ai-sdk/openai-compatible@2.0.92' 'zod@4.6.7' >/dev/null

cat >"$dir/run.mjs" <<'JS'
import http from "node:http";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateObject } from "ai";
import { z } from "zod";

const bounds = ["minimum", "maximum", "maxLength", "maxItems"];
const schema = z.object({
  score: z.number().min(1).max(5), title: z.string().max(40), tags: z.array(z.string()).max(3),
});
const text = JSON.stringify({ score: 9, title: "x", tags: [] });
const gemini = {
  candidates: [{ index: 0, finishReason: "STOP", content: { role: "model", parts: [{ text }] } }],
  usageMetadata: { promptTokenCount: 100, candidatesTokenCount: 50, totalTokenCount: 150 },
};
const chat = {
  id: "c", object: "chat.completion", created: 1, model: "m",
  choices: [{ index: 0, finish_reason: "stop", message: { role: "assistant", content: text } }],
  usage: { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 },
};
let sent = "";
let requests = 0;
const server = http.createServer(async (request, response) => {
  requests += 1;
  sent = "";
  for await (const part of request) sent += part;
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(request.url.includes("generateContent") ? gemini : chat));
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const baseURL = `http://127.0.0.1:${server.address().port}/v1`;
const models = {
  google: createGoogleGenerativeAI({ baseURL, apiKey: "k" })("gemini-2.5-flash"),
  "openai-compatible": createOpenAICompatible({
    name: "other", baseURL, apiKey: "k", supportsStructuredOutputs: true,
  })("m"),
};
for (const [name, model] of Object.entries(models)) {
  let result = "an object";
  requests = 0;
  try {
    await generateObject({ model, schema, prompt: "x" });
  } catch (error) {
    result = `${error.name}, ${error.usage.totalTokens} tokens`;
  }
  const told = bounds.filter((bound) => sent.includes(`"${bound}"`));
  console.log(`${name}: ${told.length} of ${bounds.length} bounds sent, ${requests} request, ${result}`);
}
server.close();
server.closeAllConnections();
JS
seen=$(cd "$dir" && node run.mjs 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected='google: 0 of 4 bounds sent, 1 request, AI_NoObjectGeneratedError, 150 tokens
openai-compatible: 4 of 4 bounds sent, 1 request, AI_NoObjectGeneratedError, 150 tokens'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: four bounds are checked after the bill and none is sent"
