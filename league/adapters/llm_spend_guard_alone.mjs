// llm-spend-guard 2.0.6, alone: two calls of 5 tokens at once under a budget of 5; both are sent, and one is counted.

import assert from "node:assert";
import { LLMGuard } from "llm-spend-guard";

let sent = 0;
const create = async () => (sent++, await null, { usage: { prompt_tokens: 5, completion_tokens: 0 } });
const guard = new LLMGuard({ globalBudgetTokens: 5 });
const openai = guard.wrapOpenAI({ chat: { completions: { create } } });
const call = () => openai.chat({ model: "claude", messages: [], max_tokens: 2 });
await Promise.all([call(), call()]);
assert.deepEqual([sent, (await guard.getStats())[0].used], [2, 5]);
await assert.rejects(call(), { name: "BudgetExceededError" });
