#!/usr/bin/env bash
# gpt-tokenizer's estimateCost prices gpt-4o, gpt-4.1 and gpt-5 like the old gpt-4-turbo.
# Packages: gpt-tokenizer==4.0.0 (npm), genai-prices==0.2.3 (PyPI) for comparison
# Expected: dollars per million tokens of each model's price list: gpt-4o 2.5/10, gpt-5 1.25/10, o3 2/8. For a model
#   without a price, a result that says so.
# Happens: gpt-4o, gpt-4.1 and gpt-5 are 10/30, gpt-4-turbo's price; o3 is 15/60, o1's. The cheaper siblings
#   (gpt-4o-mini, gpt-4.1-mini, gpt-5-mini, o4-mini) raise an error.
# Why it matters for a budget: a hold made from it is up to 8 times the bill, so a cap that pays for eight calls admits
#   one; and a router that asks it for the cheaper model gets an exception instead of a price.
set -euo pipefail

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --disable-pip-version-check 'genai-prices==0.2.3'
npm install --silent --no-audit --no-fund --prefix "$dir" 'gpt-tokenizer@4.0.0' >/dev/null

cat >"$dir/run.mjs" <<'JS'
for (const name of ["gpt-4o", "gpt-4.1", "gpt-5", "o3", "gpt-4o-mini", "gpt-5-mini"]) {
  const model = await import(`gpt-tokenizer/model/${name}`);
  try {
    const { main } = model.estimateCost(1_000_000);
    console.log(`gpt-tokenizer ${name} ${main.input}/${main.output}`);
  } catch (error) {
    console.log(`gpt-tokenizer ${name} ${error.constructor.name}`);
  }
}
JS
cat >"$dir/run.py" <<'PY'
from genai_prices import Usage, calc_price

for name in ("gpt-4o", "gpt-4.1", "gpt-5", "o3"):
    # Two calls of less than any long-context threshold, scaled, so that tiers play no part.
    into = calc_price(Usage(input_tokens=1000), name, provider_id="openai").total_price * 1000
    out = calc_price(Usage(output_tokens=1000), name, provider_id="openai").total_price * 1000
    print(f"genai-prices {name} {into.normalize():f}/{out.normalize():f}")
PY
seen=$(cd "$dir" && node run.mjs && venv/bin/python run.py)
expected='gpt-tokenizer gpt-4o 10/30
gpt-tokenizer gpt-4.1 10/30
gpt-tokenizer gpt-5 10/30
gpt-tokenizer o3 15/60
gpt-tokenizer gpt-4o-mini Error
gpt-tokenizer gpt-5-mini Error
genai-prices gpt-4o 2.5/10
genai-prices gpt-4.1 2/8
genai-prices gpt-5 1.25/10
genai-prices o3 2/8'
printf '%s\n' "$seen"
if [ "$seen" != "$expected" ]; then
    echo "changed: expected"
    printf '%s\n' "$expected"
    exit 1
fi
echo "still so: gpt-5's input is priced at 8 times its list price"
