// The loop that the adapters of npm packages share: docs/protocol.md says what is asked and answered.
// Nothing but answers may be printed on standard output.

import readline from "node:readline";

export class Refused extends Error {}
export class Rejected extends Error {}

// What is no amount comes by name. JavaScript cannot tell 2.0 from 2, so `float` is not among them.
const ODD = { nan: NaN, infinity: Infinity, "-infinity": -Infinity, text: "5", true: true, fraction: 1.5, null: null, list: [] };
const LARGEST = 2 ** 31; // sums of such caps are still exact
const SUSPENDED = new Set(["call", "reply", "fail", "cancel", "crash", "step"]);
const OBSERVERS = ["spent", "held", "remaining"];

const amount = (sent) => (typeof sent === "number" ? sent : ODD[sent.odd]);

/**
 * Serve the target that the first argument names. A target has a `gate`, `open(cap)`, and the operations of the gate on
 * what `open` returned: `check`, `record`, `charge`, or `call(scope, estimate, send)`; and `spent` or `remaining`.
 */
export async function serve(targets) {
  const name = process.argv[2];
  const target = targets[name];
  let scopes = new Map();
  let calls = new Map();
  let holds = 0;

  const operations = {
    open: async (r) => {
      if (r.cap > LARGEST) throw new RangeError(`${r.cap} is more than is counted exactly`);
      const opened = await target.open(amount(r.cap));
      const id = `s${scopes.size}`;
      scopes.set(id, opened);
      return id;
    },
  };
  if (target?.charge) {
    operations.charge = async (r) => {
      await target.charge(scopes.get(r.scope), amount(r.amount));
      return `h${holds++}`;
    };
  }
  for (const operation of ["check", "record"]) {
    if (target?.[operation]) operations[operation] = (r) => target[operation](scopes.get(r.scope), amount(r.amount));
  }

  function begin(request) {
    const call = { ended: null, reply: null, injected: null };
    calls.set(request.call, call);
    const send = () =>
      new Promise((resolve, reject) => (call.injected ? reject(call.injected) : (call.reply = { resolve, reject })));
    target.call(scopes.get(request.scope), request.estimate, send).then(
      () => (call.ended = { answer: "done", value: null }),
      (error) => (call.ended = outcome(error, call)),
    );
  }

  /** Nothing ends a promise from outside: whoever gives up, or is killed, is a rejection of what is awaited. */
  function goOn(request) {
    const call = calls.get(request.call);
    const { reply } = call;
    if (request.cmd === "step") return;
    call.reply = null;
    if (request.cmd === "reply") return reply.resolve(request.bill);
    call.injected = new Error(request.cmd === "fail" ? "the provider failed" : "the caller gave up");
    reply?.reject(call.injected);
  }

  const settled = () => new Promise(setImmediate);
  const place = (id) => {
    const call = calls.get(id);
    return call.ended ?? { answer: "waiting", call: id, for: call.reply ? "provider" : "turn" };
  };
  const does = (step) => (step.cmd === "call" ? begin : goOn)(step);

  async function alone(request) {
    does(request);
    await settled();
    return place(request.call);
  }

  async function turn({ steps }) {
    for (const step of steps) {
      for (let left = step.after ?? 0; left > 0; left--) await null;
      does(step);
    }
    await settled();
    return { answer: "turned", calls: Object.fromEntries(steps.map(({ call }) => [call, place(call)])) };
  }

  function outcome(error, call) {
    if (error instanceof Refused || target.refused?.(error)) return { answer: "refused", why: String(error?.message ?? "no room") };
    if (error instanceof Rejected) return { answer: "rejected", why: error.message };
    if (call && error === call.injected) return { answer: "raised", why: error.message };
    return { answer: "errored", message: String(error), traceback: error?.stack ?? "" };
  }

  const offered = OBSERVERS.filter((one) => target?.[one]);
  async function observe(scope) {
    const told = {};
    for (const one of offered) told[one] = await target[one](scopes.get(scope));
    return told;
  }

  const started = () => ({
    answer: "started",
    version: 1,
    harness: { name, language: "JavaScript", implementation: target.package, version: process.version },
    gate: target.gate,
    offers: [...Object.keys(operations), ...(target.call ? ["call"] : []), ...offered],
    claims: { copies: false, ...target.claims },
    assumes: target.assumes ?? [],
    odd: Object.keys(ODD),
  });

  async function answer(request) {
    const { cmd } = request;
    if (cmd === "start") return target ? started() : { answer: "skipped", reason: `choose one of ${Object.keys(targets)}` };
    if (cmd === "reset") return (scopes = new Map()), (calls = new Map()), (holds = 0), { answer: "done", value: null };
    if (cmd === "observe") return { answer: "done", value: await observe(request.scope) };
    if (cmd === "turn" && target.call) return turn(request);
    if (SUSPENDED.has(cmd) && target.call) return alone(request);
    if (!operations[cmd]) return { answer: "skipped", reason: `${cmd} is not offered` };
    return { answer: "done", value: (await operations[cmd](request)) ?? null };
  }

  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    if (request.cmd === "stop") break;
    const said = await answer(request).catch((error) => outcome(error, null));
    if (!["started", "errored", "skipped"].includes(said.answer)) {
      said.observed = {};
      for (const scope of scopes.keys()) said.observed[scope] = await observe(scope);
    }
    process.stdout.write(JSON.stringify({ seq: request.seq, ...said }) + "\n");
  }
  process.exit(0);
}
