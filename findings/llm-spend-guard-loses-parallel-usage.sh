#!/usr/bin/env bash
# In llm-spend-guard, calls that end at the same time are counted as one.
# Package: llm-spend-guard==2.0.6 (npm)
# Expected: two calls that overlap may both pass a check that reserves nothing, but both are counted afterwards: after
#   20 overlapping calls of 100 tokens the guard says 2000, and refuses the next one.
# Happens: its storage reads the counter, waits for a turn of the loop, and writes the sum. All 20 read 0 and write 100.
#   In turn, the same 20 calls are counted as 2000.
# Why it matters for a budget: the overrun of a parallel step is not a one-time loss. It is never on the books, so that
#   the next step has nearly the whole budget once more, and so on. The default storage is the one in memory.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --silent --no-audit --no-fund --prefix "$dir" 'llm-spend-guard@2.0.6' >/dev/null

cat >"$dir/run.mjs" <<'JS'
import { LLMGuard } from "llm-spend-guard";

let billed = 0;
// Stands for the provider: whatever reaches it is billed 100 tokens.
const create = async () => ((billed += 100), { usage: { prompt_tokens: 60, completion_tokens: 40 } });

for (const parallel of [false, true]) {
  billed = 0;
  const guard = new LLMGuard({ globalBudgetTokens: 2000 });
  const openai = guard.wrapOpenAI({ chat: { completions: { create } } });
  const call = () => openai.chat({ model: "gpt-4o", messages: [{ role: "user", content: "x" }], max_tokens: 40 });
  if (parallel) await Promise.all(Array.from({ length: 20 }, call));
  else for (let n = 0; n < 20; n += 1) await call();
  const [{ used }] = await guard.getStats();
  const next = await call().then(() => "sent", (error) => error.name);
  console.log(`${parallel ? "at once" : "in turn"}: counted ${used}, the next call: ${next}, billed ${billed} of 2000`);
}
JS
seen=$(node "$dir/run.mjs")
expected='in turn: counted 2000, the next call: BudgetExceededError, billed 2000 of 2000
at once: counted 100, the next call: sent, billed 2100 of 2000'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 1900 of 2000 tokens are not on the books"
