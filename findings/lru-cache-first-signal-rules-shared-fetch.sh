#!/usr/bin/env bash
# In lru-cache, the first caller's AbortSignal decides a fetch that others wait for; theirs are ignored.
# Package: lru-cache==11.5.3 (npm)
# Expected: fetch() merges callers of one key into one call. A caller that aborts leaves; the others keep their answer.
# Happens: the first caller aborts: all three are rejected, although two of them have no signal. A later caller aborts:
#   nothing happens, and it waits to the end like the rest.
# Why it matters for a budget: one cancelled agent throws away a call that was sent, and may be billed, for all who
#   share it; each of them then pays for a call of its own. A later agent's time limit does not stop anything.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --silent --no-audit --no-fund --prefix "$dir" 'lru-cache@11.5.3' >/dev/null

cat >"$dir/run.cjs" <<'JS'
const { LRUCache } = require("lru-cache");
const wait = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

async function trial(name, aborting) {
  let calls = 0;
  const cache = new LRUCache({ max: 10, fetchMethod: async (key) => { calls += 1; await wait(200); return key; } });
  const ours = new AbortController();
  const waiting = [0, 1, 2].map((caller) => cache.fetch("prompt", caller === aborting ? { signal: ours.signal } : {}));
  await wait(20);
  ours.abort();
  const ends = (await Promise.allSettled(waiting)).map((end) => end.status);
  await Promise.allSettled([1, 2].map(() => cache.fetch("prompt")));
  console.log(`${name}: ${ends.join(", ")}; calls after the others try again: ${calls}`);
}
(async () => {
  await trial("first caller aborts", 0);
  await trial("third caller aborts", 2);
})();
JS
seen=$(node "$dir/run.cjs")
expected='first caller aborts: rejected, rejected, rejected; calls after the others try again: 2
third caller aborts: fulfilled, fulfilled, fulfilled; calls after the others try again: 1'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: one abort rejects three callers, or none"
