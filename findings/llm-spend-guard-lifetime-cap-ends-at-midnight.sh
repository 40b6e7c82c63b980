#!/usr/bin/env bash
# The lifetime cap of llm-spend-guard is forgotten at midnight UTC.
# Package: llm-spend-guard==2.0.6 (npm)
# Expected: globalBudgetTokens is a "lifetime total token cap" (README, options), and dailyBudgetTokens the one that
#   "auto-resets at midnight".
# Happens: the storage in memory drops every counter of another day, whatever it counts. A lifetime cap of 1000 that was
#   used up at 23:59 admits a call at 00:01; so do the budgets of a user and of a session.
# Why it matters for a budget: the option that was chosen because it does not come back comes back every day: a trial
#   account of 1000 tokens has 30,000 in a month.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --silent --no-audit --no-fund --prefix "$dir" 'llm-spend-guard@2.0.6' >/dev/null

cat >"$dir/run.mjs" <<'JS'
import { LLMGuard } from "llm-spend-guard";

const RealDate = Date;
let now = RealDate.parse("2026-03-01T23:59:00Z");
globalThis.Date = class extends RealDate {
  constructor(...given) {
    super(...(given.length ? given : [now]));
  }
};
const create = async () => ({ usage: { prompt_tokens: 600, completion_tokens: 400 } });
const context = { userId: "user-1", sessionId: "session-1" };
for (const option of ["globalBudgetTokens", "userBudgetTokens", "sessionBudgetTokens"]) {
  now = RealDate.parse("2026-03-01T23:59:00Z");
  const guard = new LLMGuard({ [option]: 1000 });
  const openai = guard.wrapOpenAI({ chat: { completions: { create } } });
  const call = () =>
    openai.chat({ model: "gpt-4o", messages: [], max_tokens: 400 }, context).then(() => "sent", (error) => error.name);
  const seen = [await call(), await call()];
  now += 2 * 60_000;
  seen.push(await call());
  console.log(`${option}: 23:59 ${seen[0]}, 23:59 ${seen[1]}, 00:01 ${seen[2]}`);
}
JS
seen=$(node "$dir/run.mjs")
expected='globalBudgetTokens: 23:59 sent, 23:59 BudgetExceededError, 00:01 sent
userBudgetTokens: 23:59 sent, 23:59 BudgetExceededError, 00:01 sent
sessionBudgetTokens: 23:59 sent, 23:59 BudgetExceededError, 00:01 sent'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: 2000 tokens within two minutes, under a lifetime cap of 1000"
