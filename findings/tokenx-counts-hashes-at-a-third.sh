#!/usr/bin/env bash
# tokenx estimates hashes, base64 and Thai at about a third of their tokens.
# Packages: tokenx==2.2.0, gpt-tokenizer==4.0.0 (npm)
# Expected: its page promises 95 % accuracy on average and 90 % on its worst sample, so a hold with a margin of
#   a third is safe on whatever an agent reads.
# Happens: English and code are within 7 %. Hex digests and base64 come out at 0.27 and 0.28 of the tokens of gpt-4o,
#   Thai at 0.35, UUIDs at 0.53, and a rule of dashes at 10.77.
# Why it matters for a budget: lock files, logs with ids and encoded attachments are what tools return. A hold by this
#   estimate covers less than a third of such a call, and isWithinTokenLimit lets it through.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
npm install --silent --no-audit --no-fund --prefix "$dir" 'tokenx@2.2.0' 'gpt-tokenizer@4.0.0' >/dev/null

cat >"$dir/run.mjs" <<'JS'
import { createHash } from "node:crypto";
import { encode } from "gpt-tokenizer/model/gpt-4o";
import { estimateTokenCount, isWithinTokenLimit } from "tokenx";

const digest = (form) => (_, number) => createHash("sha512").update(String(number)).digest(form);
const many = (make) => Array.from({ length: 60 }, make);
const uuid = (hex) => hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/, "$1-$2-$3-$4-$5");
const texts = {
  English: "The agent read the report and wrote a short answer. ".repeat(20),
  code: "function add(a, b) {\n    return a + b;\n}\n".repeat(20),
  "hex digests": many(digest("hex")).join("\n"),
  base64: many(digest("base64")).join(""),
  UUIDs: many(digest("hex")).map(uuid).join("\n"),
  Thai: "วันนี้อากาศดีมากเราไปเดินเล่นที่สวนสาธารณะกันเถอะ".repeat(20),
  "a rule of dashes": "-".repeat(2000),
};
for (const [name, text] of Object.entries(texts)) {
  const [estimate, tokens] = [estimateTokenCount(text), encode(text).length];
  const fits = isWithinTokenLimit(text, Math.floor(tokens * 0.6)) ? ", fits into 60 % of its tokens" : "";
  console.log(`${name}: estimate ${estimate}, tokens ${tokens}, ratio ${(estimate / tokens).toFixed(2)}${fits}`);
}
JS
seen=$(cd "$dir" && node run.mjs)
expected='English: estimate 220, tokens 221, ratio 1.00
code: estimate 300, tokens 280, ratio 1.07
hex digests: estimate 1199, tokens 4424, ratio 0.27, fits into 60 % of its tokens
base64: estimate 1026, tokens 3635, ratio 0.28, fits into 60 % of its tokens
UUIDs: estimate 752, tokens 1427, ratio 0.53, fits into 60 % of its tokens
Thai: estimate 140, tokens 400, ratio 0.35, fits into 60 % of its tokens
a rule of dashes: estimate 334, tokens 31, ratio 10.77'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: hex digests and base64 are estimated at less than a third"
