#!/usr/bin/env bash
# @langchain/anthropic takes the input of a stream from its first event and adds the first output to the last.
# Packages: @langchain/anthropic==1.5.11, @langchain/core==1.4.0, @anthropic-ai/sdk==1.14.0 (npm)
# Expected: usage in message_delta is cumulative, so its numbers replace those of message_start. After a server tool
#   such as web search the input is larger there, because the results were read too. A stream and a plain call of the
#   same request report the same usage.
# Happens: the stream reports the input of message_start and the sum of both outputs: 3,000 and 513, where the SDK's
#   own stream helper and the plain call report 11,000 and 510.
# Why it matters for a budget: web search is where the input grows, and the number that a budget reads is the one
#   before the search. Here 69 % of the tokens are missing, only because the call was streamed.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --silent --no-audit --no-fund --prefix "$dir" \
    '@langchain/anthropic@1.5.11' '@langchain/core@1.4.0' '@anthropic-ai/sdk@1.14.0' >/dev/null

cat >"$dir/run.mjs" <<'JS'
import http from "node:http";
import Anthropic from "@anthropic-ai/sdk";
import { ChatAnthropic } from "@langchain/anthropic";

const used = (input, output) => ({
  input_tokens: input, output_tokens: output, cache_creation_input_tokens: 0, cache_read_input_tokens: 0,
});
const message = {
  id: "m", type: "message", role: "assistant", model: "claude-opus-4-7", content: [{ type: "text", text: "hi" }],
  stop_reason: "end_turn", stop_sequence: null, usage: used(11000, 510),
};
const events = [
  { type: "message_start", message: { ...message, content: [], stop_reason: null, usage: used(3000, 3) } },
  { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
  { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "hi" } },
  { type: "content_block_stop", index: 0 },
  { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: used(11000, 510) },
  { type: "message_stop" },
];
const server = http.createServer(async (request, response) => {
  let body = "";
  for await (const part of request) body += part;
  if (!JSON.parse(body).stream) {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(message));
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  for (const event of events) response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  response.end();
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const url = `http://127.0.0.1:${server.address().port}`;
const show = (name, usage) => console.log(`${name}: input ${usage.input_tokens}, output ${usage.output_tokens}`);

const asked = { model: message.model, max_tokens: 1000, messages: [{ role: "user", content: "x" }] };
const stream = new Anthropic({ apiKey: "k", baseURL: url }).messages.stream(asked);
show("SDK, stream", (await stream.finalMessage()).usage);
const model = new ChatAnthropic({ model: message.model, apiKey: "k", anthropicApiUrl: url });
show("LangChain, plain", (await model.invoke("x")).usage_metadata);
let whole;
for await (const chunk of await model.stream("x")) whole = whole ? whole.concat(chunk) : chunk;
show("LangChain, stream", whole.usage_metadata);
server.close();
server.closeAllConnections();
JS
seen=$(cd "$dir" && node run.mjs 2>"$dir/err") || { cat "$dir/err"; exit 1; }
expected='SDK, stream: input 11000, output 510
LangChain, plain: input 11000, output 510
LangChain, stream: input 3000, output 513'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 11,510 tokens billed, 3,513 reported"
