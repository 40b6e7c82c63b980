// A tool loop of Vercel's `ai` that stops when its steps have cost enough. Cured: a hold for each request.
//
// What a tool asks of a model is no part of the steps, and the step that goes over the limit is billed already.
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, tool } from 'ai';
import { z } from 'zod';

const CAP = 140_000_000; // nano-dollars: 0.14 dollars
const [INPUT, OUTPUT, LIMIT] = [2_500, 10_000, 4_000];
const cured = process.argv.includes('cured');
const cost = (usage) => (usage.inputTokens ?? 0) * INPUT + (usage.outputTokens ?? 0) * OUTPUT;

/** Return a fetch that holds room for each request, and lets go of it only when the usage is told. */
function holding(cap) {
  let taken = 0;
  return async (url, init) => {
    const most = Buffer.byteLength(init.body) * INPUT + LIMIT * OUTPUT;
    if (taken + most > cap) return new Response('{"error": {"message": "no room"}}', { status: 402 });
    taken += most; // where anything below fails, it stays taken
    const response = await fetch(url, init);
    const text = await response.text();
    const usage = response.ok && JSON.parse(text).usage;
    if (usage) taken += usage.prompt_tokens * INPUT + usage.completion_tokens * OUTPUT - most;
    return new Response(text, response);
  };
}

const openai = createOpenAI(cured ? { fetch: holding(CAP) } : {});
const asked = { model: openai.chat('gpt-4o'), maxOutputTokens: LIMIT };
const expert = tool({
  description: 'Ask an expert.',
  inputSchema: z.object({ question: z.string() }),
  execute: async ({ question }) => (await generateText({ ...asked, prompt: question })).text,
});

try {
  const spent = (steps) => steps.reduce((sum, step) => sum + cost(step.usage), 0);
  const result = await generateText({
    ...asked,
    prompt: 'Plan a trip.',
    tools: { expert },
    stopWhen: ({ steps }) => spent(steps) >= CAP,
  });
  console.log(result.text, cost(result.totalUsage));
} catch (error) {
  console.log(error.name, String(error.message).slice(0, 100));
}
