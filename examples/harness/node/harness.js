"use strict";
// A harness for capsound in plain Node: node harness.js racy | sound | racy-call | sound-call
// docs/protocol.md walks through it. Nothing but answers may be printed on standard output.

const readline = require("node:readline");

class Refused extends Error {}
class Rejected extends Error {}
class Stale extends Error {}

// ------------------------------------------------------------------------------ the budgets under test

function whole(amount) {
  if (!Number.isInteger(amount) || amount < 0) throw new Rejected(`${amount} is not an amount`);
  return amount;
}

/** Checks, and records afterwards: whoever asks before the first bill is recorded is told yes as well. */
class RacyBudget {
  constructor(cap) {
    this.cap = whole(cap);
    this.spent = 0;
  }

  fits(estimate) {
    return this.spent + whole(estimate) <= this.cap;
  }

  record(cost) {
    this.spent += whole(cost);
  }

  get remaining() {
    return this.cap - this.spent;
  }

  /** The same race inside one function: others pass the check while this one awaits. */
  async call(estimate, send) {
    if (!this.fits(estimate)) throw new Refused(`${estimate} does not fit`);
    let cost = estimate; // a call that fails is written off
    try {
      cost = await send();
    } finally {
      this.spent += cost;
    }
    return cost;
  }
}

/** Sets the estimate aside before the call, and settles once: it knows itself which holds are open, and no copy does. */
class SoundBudget {
  #open = new Set();

  constructor(cap) {
    this.available = whole(cap);
    this.held = 0;
    this.spent = 0;
  }

  reserve(amount) {
    if (whole(amount) > this.available) throw new Refused(`${amount} of ${this.available}`);
    this.available -= amount;
    this.held += amount;
    const hold = { budget: this, amount, id: Symbol() };
    this.#open.add(hold.id);
    return hold;
  }

  /** Nothing is awaited between the question whether it fits and the hold. */
  async call(estimate, send) {
    const hold = this.reserve(estimate);
    let cost = estimate; // a call that fails is written off
    try {
      cost = await send();
    } finally {
      SoundBudget.resolve(hold, cost);
    }
    return cost;
  }

  static resolve(hold, cost) {
    if (!hold.budget.#open.delete(hold.id)) throw new Stale("the hold was resolved before");
    hold.budget.held -= hold.amount;
    hold.budget.spent += cost;
    hold.budget.available += hold.amount - cost;
  }

  get remaining() {
    return this.available;
  }
}

// ------------------------------------------------------------- the operations that each of them offers

let things, scopes, calls;

function reset() {
  things = new Map();
  scopes = [];
  calls = new Map();
}

/** Returns an id that depends on nothing but the requests since the last reset. */
function keep(letter, thing) {
  const id = `${letter}${things.size}`;
  things.set(id, thing);
  if (letter === "s") scopes.push(id);
  return id;
}

const racy = {
  open: (r) => keep("s", new RacyBudget(amount(r.cap))),
  spent: (r) => things.get(r.scope).spent,
  remaining: (r) => things.get(r.scope).remaining,
};

const sound = {
  open: (r) => keep("s", new SoundBudget(amount(r.cap))),
  spent: (r) => things.get(r.scope).spent,
  held: (r) => things.get(r.scope).held,
  remaining: (r) => things.get(r.scope).remaining,
};

/** What a program may do to a hold, `{ ...hold }`; a budget has a private field, without which a copy is of no use. */
function copy({ of }) {
  if (things.get(of) instanceof SoundBudget) throw new Rejected("a budget cannot be copied");
  return { answer: "done", value: keep("k", { ...things.get(of) }) };
}

const TARGETS = {
  racy: {
    gate: "check",
    operations: {
      ...racy,
      check: (r) => things.get(r.scope).fits(amount(r.amount)),
      record: (r) => void things.get(r.scope).record(amount(r.amount)),
    },
  },
  "racy-call": { gate: "call", operations: { ...racy, call: alone } },
  "sound-call": { gate: "call", operations: { ...sound, call: alone } },
  sound: {
    gate: "reserve",
    operations: {
      ...sound,
      reserve: (r) => keep("h", things.get(r.scope).reserve(amount(r.amount))),
      settle: (r) => void SoundBudget.resolve(things.get(r.hold), whole(amount(r.actual))),
      forfeit: (r) => void SoundBudget.resolve(things.get(r.hold), things.get(r.hold).amount),
    },
  },
};

// What is no amount comes by name. JavaScript cannot tell 2.0 from 2, so `float` is not among them.
const ODD = { nan: NaN, infinity: Infinity, "-infinity": -Infinity, text: "5", true: true, fraction: 1.5, null: null, list: [] };

function amount(sent) {
  return typeof sent === "number" ? sent : ODD[sent.odd];
}

// ------------------------------------------------------------------------- calls that the library makes

/** Begins a call: `send` is what the library awaits, and the checker decides when, and how, that ends. */
function begin(request) {
  const call = { ended: null, reply: null, injected: null };
  calls.set(request.call, call);
  const send = () =>
    new Promise((resolve, reject) => (call.injected ? reject(call.injected) : (call.reply = { resolve, reject })));
  things
    .get(request.scope)
    .call(request.estimate, send)
    .then(
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
  reply?.reject(call.injected); // one that is given up on its way hears of it when it would send
}

/** Lets everything run that can run. */
const settled = () => new Promise(setImmediate);

function place(id) {
  const call = calls.get(id);
  return call.ended ?? { answer: "waiting", call: id, for: call.reply ? "provider" : "turn" };
}

/** Begins a call, or lets it go on, alone. */
async function alone(request) {
  (request.cmd === "call" ? begin : goOn)(request);
  await settled();
  return place(request.call);
}

/** Does several of them in one turn: a second call begins while the first is at one of its awaits. */
async function turn({ steps }) {
  for (const step of steps) {
    for (let left = step.after ?? 0; left > 0; left--) await null;
    (step.cmd === "call" ? begin : goOn)(step);
  }
  await settled();
  return { answer: "turned", calls: Object.fromEntries(steps.map(({ call }) => [call, place(call)])) };
}

// -------------------------------------------------------------------------------------------- the pipe

const chosen = TARGETS[process.argv[2]];
const SUSPENDED = new Set(["call", "reply", "fail", "cancel", "crash", "step"]);
const OBSERVERS = ["spent", "held", "remaining"];

function observe(scope) {
  const offered = OBSERVERS.filter((name) => name in chosen.operations);
  return Object.fromEntries(offered.map((name) => [name, chosen.operations[name]({ scope })]));
}

function outcome(error, call) {
  if (error instanceof Refused) return { answer: "refused", why: error.message };
  if (error instanceof Rejected) return { answer: "rejected", why: error.message };
  if (error instanceof Stale) return { answer: "stale", why: error.message };
  if (call && error === call.injected) return { answer: "raised", why: error.message };
  return { answer: "errored", message: String(error), traceback: error.stack ?? "" };
}

function started() {
  return {
    answer: "started",
    version: 1,
    harness: { name: process.argv[2], language: "JavaScript", implementation: "example budget", version: process.version },
    gate: chosen.gate,
    offers: Object.keys(chosen.operations),
    claims: { strict: true, copies: true },
    odd: Object.keys(ODD),
  };
}

async function answer(request) {
  const { cmd } = request;
  if (cmd === "start") return chosen ? started() : { answer: "skipped", reason: `choose one of ${Object.keys(TARGETS)}` };
  if (cmd === "reset") return reset(), { answer: "done", value: null };
  if (cmd === "observe") return { answer: "done", value: observe(request.scope) };
  if (cmd === "turn") return turn(request);
  if (cmd === "copy") return copy(request);
  const operation = chosen.operations[SUSPENDED.has(cmd) ? "call" : cmd];
  if (!operation) return { answer: "skipped", reason: `${cmd} is not offered` };
  if (SUSPENDED.has(cmd)) return alone(request);
  return { answer: "done", value: (await operation(request)) ?? null };
}

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    if (request.cmd === "stop") break;
    const said = await answer(request).catch((error) => outcome(error, null));
    if (!["started", "errored", "skipped"].includes(said.answer)) {
      said.observed = Object.fromEntries((scopes ?? []).map((scope) => [scope, observe(scope)]));
    }
    process.stdout.write(JSON.stringify({ seq: request.seq, ...said }) + "\n");
  }
  process.exit(0);
}

main();
