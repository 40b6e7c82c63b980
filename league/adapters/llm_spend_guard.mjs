// llm-spend-guard 2.0.6: its client of OpenAI compares an estimate with the counter, sends, and adds the usage.
// Nothing is set aside, and what is added at the same time is lost: the script beside this one shows two calls at once.

import { BudgetExceededError, LLMGuard } from "llm-spend-guard";
import { serve } from "./harness.mjs";

const OVERHEAD = 3; // tokens that it estimates for no messages

serve({
  chat: {
    package: "llm-spend-guard 2.0.6",
    gate: "call",
    claims: { zero_is_unlimited: true },
    refused: (error) => error instanceof BudgetExceededError,
    open: (cap) => {
      const create = async ({ send }) => ({ usage: { prompt_tokens: await send(), completion_tokens: 0 } });
      const guard = new LLMGuard({ globalBudgetTokens: cap });
      return { guard, openai: guard.wrapOpenAI({ chat: { completions: { create } } }) };
    },
    call: ({ openai }, estimate, send) =>
      openai.chat({ model: "claude", messages: [], max_tokens: estimate - OVERHEAD, send }),
    spent: async ({ guard }) => (await guard.getStats())[0].used,
    remaining: ({ guard }) => guard.getRemainingBudget(),
  },
});
