#!/usr/bin/env bash
# llm-cost-guard records nothing for a streamed call with usage, nor for a model under its dated name.
# Packages: llm-cost-guard==1.5.0, openai==7.59.0 (npm)
# Expected: a stream whose last chunk carries the usage is recorded. gpt-4o-2024-08-06 is priced as gpt-4o, which is in
#   the table; or it is refused before the call, as an unknown model is an error by default.
# Happens: the stream passes unrecorded and without a warning. The dated name is sent, billed, and then throws
#   UnknownModelPricingError with nothing recorded and the answer lost.
# Why it matters for a budget: both are the ordinary way to call a model in production. Each leaves the spend at 0, so
#   no limit is ever reached.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --silent --no-audit --no-fund --prefix "$dir" 'llm-cost-guard@1.5.0' 'openai@7.59.0' >/dev/null

cat >"$dir/run.cjs" <<'JS'
const { createGuard } = require("llm-cost-guard");
const OpenAI = require("openai");

let billed = 0;
const usage = { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 };
const message = { role: "assistant", content: "four" };
const provider = async (_url, options) => {
  const { model, stream } = JSON.parse(options.body);
  const base = { id: "c", created: 1, model };
  billed += 150;
  if (!stream) {
    const choices = [{ index: 0, message, finish_reason: "stop" }];
    const body = JSON.stringify({ ...base, object: "chat.completion", choices, usage });
    return new Response(body, { headers: { "content-type": "application/json" } });
  }
  const chunks = [{ choices: [{ index: 0, delta: message, finish_reason: "stop" }] }, { choices: [], usage }];
  const lines = chunks.map((chunk) => JSON.stringify({ ...base, object: "chat.completion.chunk", ...chunk }));
  const body = [...lines, "[DONE]"].map((line) => `data: ${line}\n\n`).join("");
  return new Response(body, { headers: { "content-type": "text/event-stream" } });
};
(async () => {
  const streamed = { stream: true, stream_options: { include_usage: true } };
  for (const [model, options] of [["gpt-4o", {}], ["gpt-4o", streamed], ["gpt-4o-2024-08-06", {}]]) {
    billed = 0;
    const guard = createGuard({ budgets: [{ id: "hour", limitUsd: 1, windowMs: 3_600_000 }] });
    const client = guard.wrap(new OpenAI({ apiKey: "k", baseURL: "http://127.0.0.1:9/v1", fetch: provider }), {});
    let end = "answer";
    try {
      const answer = await client.chat.completions.create({ model, messages: [], ...options });
      if (options.stream) for await (const chunk of answer) end = chunk.usage ? "stream with usage" : "stream";
    } catch (error) {
      end = error.name;
    }
    const { totalInputTokens, totalOutputTokens, totalSpendUsd } = await guard.getUsage();
    console.log(`${model}: ${end}, billed ${billed}, recorded ${totalInputTokens + totalOutputTokens}, ${totalSpendUsd}`);
  }
})();
JS
seen=$(node "$dir/run.cjs")
expected='gpt-4o: answer, billed 150, recorded 150, 0.00075
gpt-4o: stream with usage, billed 150, recorded 0, 0
gpt-4o-2024-08-06: UnknownModelPricingError, billed 150, recorded 0, 0'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: two of three billed calls leave no trace"
