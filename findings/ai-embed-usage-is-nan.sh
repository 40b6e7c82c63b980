#!/usr/bin/env bash
# The AI SDK reports NaN tokens for embeddings when it has no usage, and with Google it never has.
# Packages: ai==6.0.326, @ai-sdk/google==3.0.141 (npm)
# Expected: unknown usage is undefined, as it is for text in the same SDK, so that a sum can tell it from a number.
# Happens: embed and embedMany return usage.tokens as NaN, and JSON writes it as null. The Google provider does
#   not read the usage of embeddings, so there it is always so. 250 values are three requests.
# Why it matters for a budget: spent += usage.tokens makes the total NaN for good, and spent > cap is false from then
#   on: one embedding switches off the limit for all later calls. "?? 0" does not catch it.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --silent --no-audit --no-fund --prefix "$dir" 'ai@6.0.326' '@ai-sdk/google@3.0.141' 'zod@4.6.7' >/dev/null

cat >"$dir/run.mjs" <<'JS'
import http from "node:http";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { embed, embedMany, generateText } from "ai";

let requests = 0;
const vector = { values: [0.1, 0.2] };
const server = http.createServer(async (request, response) => {
  requests += 1;
  let body = "";
  for await (const part of request) body += part;
  const { requests: many } = JSON.parse(body);
  const text = { candidates: [{ index: 0, finishReason: "STOP", content: { role: "model", parts: [{ text: "hi" }] } }] };
  const usageMetadata = { promptTokenCount: 3 * (many?.length ?? 1) };
  const answer = { usageMetadata, ...(many ? { embeddings: many.map(() => vector) } : { embedding: vector }) };
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(request.url.includes("generateContent") ? text : answer));
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const google = createGoogleGenerativeAI({ apiKey: "k", baseURL: `http://127.0.0.1:${server.address().port}/v1beta` });
const model = google.embeddingModel("gemini-embedding-001");
const values = Array.from({ length: 250 }, (_, number) => `text ${number}`);

console.log("generateText without usage:", (await generateText({ model: google("m"), prompt: "x" })).usage.totalTokens);
requests = 0;
const one = (await embed({ model, value: "x" })).usage;
console.log("embed:", one.tokens, JSON.stringify(one), `requests ${requests}`);
requests = 0;
const all = (await embedMany({ model, values })).usage;
console.log("embedMany:", all.tokens, `requests ${requests}`);
const [cap, spent] = [1000, 5000 + (one.tokens ?? 0)];
console.log(`spent ${spent}, over the cap of ${cap}: ${spent > cap}`);
server.close();
server.closeAllConnections();
JS
seen=$(cd "$dir" && node run.mjs 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected='generateText without usage: undefined
embed: NaN {"tokens":null} requests 1
embedMany: NaN requests 3
spent NaN, over the cap of 1000: false'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: one embedding turns the spend into NaN"
