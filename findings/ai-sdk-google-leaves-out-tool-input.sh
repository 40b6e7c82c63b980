#!/usr/bin/env bash
# @ai-sdk/google leaves the input that Gemini's own tools read out of the usage, and corrects the total downwards.
# Packages: ai==6.0.326, @ai-sdk/google==3.0.141, @pydantic/genai-prices==0.1.8 (npm)
# Expected: toolUsePromptTokenCount is input: the pages of the URL context tool, for instance. inputTokens includes it,
#   as in genai-prices, or at least totalTokens is the totalTokenCount that Google sent.
# Happens: inputTokens is 100 and totalTokens 1,050, where the answer says 4,050. The 3,000 are only in usage.raw.
# Why it matters for a budget: what a tool reads is the part that the caller cannot foresee, and here it is free. A
#   limit on totalTokens does not see it, although the provider's total does.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --silent --no-audit --no-fund --prefix "$dir" \
    'ai@6.0.326' '@ai-sdk/google@3.0.141' '@pydantic/genai-prices@0.1.8' 'zod@4.6.7' >/dev/null

cat >"$dir/run.mjs" <<'JS'
import http from "node:http";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { extractUsage, findProvider } from "@pydantic/genai-prices";
import { generateText, streamText } from "ai";

const answer = {
  modelVersion: "gemini-2.5-flash",
  candidates: [{ index: 0, finishReason: "STOP", content: { role: "model", parts: [{ text: "hi" }] } }],
  usageMetadata: {
    promptTokenCount: 100, toolUsePromptTokenCount: 3000, candidatesTokenCount: 50, thoughtsTokenCount: 900,
    totalTokenCount: 4050,
  },
};
const server = http.createServer((request, response) => {
  const stream = request.url.includes("stream");
  response.writeHead(200, { "content-type": stream ? "text/event-stream" : "application/json" });
  response.end(stream ? `data: ${JSON.stringify(answer)}\n\n` : JSON.stringify(answer));
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const google = createGoogleGenerativeAI({ apiKey: "k", baseURL: `http://127.0.0.1:${server.address().port}/v1beta` });
const asked = { model: google("gemini-2.5-flash"), prompt: "x", tools: { url_context: google.tools.urlContext({}) } };
const show = (name, { inputTokens, outputTokens, totalTokens }) =>
  console.log(`${name}: input ${inputTokens}, output ${outputTokens}, total ${totalTokens}`);

show("generateText", (await generateText(asked)).usage);
show("streamText", await streamText(asked).usage);
const { usage } = extractUsage(findProvider({ providerId: "google" }), answer);
const { input_tokens: inputTokens, output_tokens: outputTokens } = usage;
show("genai-prices", { inputTokens, outputTokens, totalTokens: inputTokens + outputTokens });
server.close();
server.closeAllConnections();
JS
seen=$(cd "$dir" && node run.mjs 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected='generateText: input 100, output 950, total 1050
streamText: input 100, output 950, total 1050
genai-prices: input 3100, output 950, total 4050'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 4,050 tokens by the answer, 1,050 in the usage"
