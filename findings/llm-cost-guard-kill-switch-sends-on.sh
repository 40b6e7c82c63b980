#!/usr/bin/env bash
# After its kill switch has fired, llm-cost-guard's wrapped client still sends every call, pays, and withholds the answer.
# Packages: llm-cost-guard==1.5.0, openai==7.59.0 (npm)
# Expected: the call that crosses the limit is paid; the next ones throw BudgetExceededError before anything is sent.
# Happens: wrap() compares after the answer, on every call. Under a limit of 0.001 five calls of 0.00075 are all sent
#   and billed, 0.00375; four of the answers are replaced by the error.
# Why it matters for a budget: the limit does not limit. A loop that tries again on an error pays each time and gets
#   nothing; only the alert is real.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --silent --no-audit --no-fund --prefix "$dir" 'llm-cost-guard@1.5.0' 'openai@7.59.0' >/dev/null

cat >"$dir/run.cjs" <<'JS'
const { createGuard } = require("llm-cost-guard");
const OpenAI = require("openai");

let sent = 0;
const usage = { prompt_tokens: 100, completion_tokens: 50, total_tokens: 150 };
const choices = [{ index: 0, message: { role: "assistant", content: "four" }, finish_reason: "stop" }];
const body = JSON.stringify({ id: "c", object: "chat.completion", created: 1, model: "gpt-4o", choices, usage });
// Stands for the provider: whatever reaches it is billed.
const provider = async () => {
  sent += 1;
  return new Response(body, { status: 200, headers: { "content-type": "application/json" } });
};
(async () => {
  const guard = createGuard({ budgets: [{ id: "hour", limitUsd: 0.001, windowMs: 3_600_000 }] });
  const client = guard.wrap(new OpenAI({ apiKey: "k", baseURL: "http://127.0.0.1:9/v1", fetch: provider }), {});
  for (let call = 1; call <= 5; call += 1) {
    let end = "answer";
    try {
      await client.chat.completions.create({ model: "gpt-4o", messages: [{ role: "user", content: "x" }] });
    } catch (error) {
      end = error.name;
    }
    console.log(`call ${call}: ${end}, sent so far ${sent}`);
  }
  console.log(`spent ${(await guard.getUsage()).totalSpendUsd.toFixed(5)} of 0.00100`);
})();
JS
seen=$(node "$dir/run.cjs")
expected='call 1: answer, sent so far 1
call 2: BudgetExceededError, sent so far 2
call 3: BudgetExceededError, sent so far 3
call 4: BudgetExceededError, sent so far 4
call 5: BudgetExceededError, sent so far 5
spent 0.00375 of 0.00100'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: three calls were sent after the kill switch"
