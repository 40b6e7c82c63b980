"use strict";
(() => {
  const runs = JSON.parse(document.getElementById("runs").textContent);
  const main = document.getElementById("page");
  const SVG = "http://www.w3.org/2000/svg";
  const ENDS = { settle: 1, release: 1, forfeit: 1 };
  let at = { run: 0, event: 0 };
  let view = null;

  // What a name has in it is shown, and does nothing: control characters and marks of direction as their codes.
  const shown = (value) => String(value).replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g,
    (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));

  const make = (name, attributes, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key === "onclick") node.addEventListener("click", value);
      else if (value !== null && value !== false) node.setAttribute(key, value);
    }
    for (const child of children) node.append(child && child.nodeType ? child : shown(child));
    return node;
  };

  const draw = (name, attributes, text) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = shown(text);
    return node;
  };

  const words = (event) => {
    const e = event;
    switch (e.event) {
      case "open": return `${e.root} opens with a cap of ${e.cap}`;
      case "reserve": return `${e.hold} is admitted: ${e.amount} on ${e.account}`;
      case "refuse": return `${e.amount} refused on ${e.account}`;
      case "send": return `${e.call} is sent under ${e.hold}`;
      case "bill": return `${e.call} is billed ${e.amount}`;
      case "settle": return `${e.hold} is settled at ${e.amount}`;
      case "extend": return `${e.hold} is extended by ${e.amount}`;
      case "release": return `${e.hold} is released`;
      case "forfeit": return `${e.hold} is forfeited`;
      case "record": return `${e.amount} is recorded on ${e.account}`;
      case "delegate": return `${e.amount} is delegated from ${e.parent} to ${e.child}`;
      case "close": return `${e.child} is closed`;
      case "merge": return `${e.source} is merged into ${e.target}`;
      default: return [e.event, ...Object.entries(e).filter(([k]) => k !== "event" && k !== "agent").map(([k, v]) => `${k} ${typeof v === "object" ? JSON.stringify(v) : v}`)].join(" ");
    }
  };

  const found = (run, number) => run.findings.filter((f) => f.event === number + 1);

  // ------------------------------------------------------------------------------------------ the picture

  const chart = (run, go) => {
    const count = run.moments.length;
    const rows = [...new Set(run.moments.map((m) => m.actor))];
    const roots = run.caps.length ? run.caps : [];
    const left = 110, step = Math.max(16, Math.min(96, (Math.max(320, main.clientWidth) - left - 30) / Math.max(1, count)));
    const height = 110, gap = 26;
    const width = left + step * count + 20;
    const top = roots.length * (height + 20) + 10;
    const svg = draw("svg", { width, height: top + rows.length * gap + 24, viewBox: `0 0 ${width} ${top + rows.length * gap + 24}`, role: "img" });
    svg.append(draw("title", {}, `What was billed against the cap, and the events of ${rows.length} rows, from left to right`));
    const x = (n) => left + step * (n + 0.5);
    roots.forEach(([root, cap], place) => {
      const base = place * (height + 20) + height + 5;
      const bills = run.moments.map((m) => Number(m.billed[root] || 0));
      const most = Math.max(Number(cap), ...bills, 1) * 1.15;
      const y = (amount) => base - (height - 15) * amount / most;
      bills.forEach((bill, n) => {
        if (bill > Number(cap)) svg.append(draw("rect", { class: "over", x: x(n), y: y(bill), width: n === count - 1 ? step / 2 : step, height: y(Number(cap)) - y(bill) }));
      });
      svg.append(draw("line", { class: "grid", x1: left, x2: width - 10, y1: base, y2: base }));
      svg.append(draw("line", { class: "cap", x1: left, x2: width - 10, y1: y(Number(cap)), y2: y(Number(cap)) }));
      let path = `M ${x(0)} ${y(bills[0] || 0)}`;
      bills.forEach((bill, n) => { path += ` L ${x(n)} ${y(n ? bills[n - 1] : bill)} L ${x(n)} ${y(bill)}`; });
      svg.append(draw("path", { class: "bill", d: `${path} L ${x(count - 1) + step / 2} ${y(bills[count - 1] || 0)}` }));
      svg.append(short(6, y(Number(cap)) + 4, `cap ${cap}`), short(6, base - 2, `billed, ${root}`));
    });
    const holds = new Map();
    const lanes = rows.map(() => []);
    run.moments.forEach((m, n) => {
      const name = m.event.hold, row = rows.indexOf(m.actor);
      if (m.event.event === "reserve") holds.set(name, { from: n, to: count - 1, row });
      else if (ENDS[m.event.event] && holds.has(name) && holds.get(name).to === count - 1) holds.get(name).to = n;
    });
    for (const [name, hold] of holds) {
      let lane = lanes[hold.row].findIndex((end) => end < hold.from);
      if (lane < 0) lane = lanes[hold.row].length;
      lanes[hold.row][lane] = hold.to;
      const bar = draw("rect", { class: "hold", x: x(hold.from), y: top + hold.row * gap + 9 + [0, -7, 7][lane % 3], width: Math.max(3, x(hold.to) - x(hold.from)), height: 6, rx: 2 });
      bar.append(draw("title", {}, `${name} is held`));
      svg.append(bar);
    }
    rows.forEach((row, n) => svg.append(short(6, top + n * gap + 16, row || "the root")));
    const now = draw("line", { class: "now", y1: 4, y2: top + rows.length * gap, x1: 0, x2: 0 });
    svg.append(now);
    run.moments.forEach((m, n) => {
      const kinds = ["mark", m.event.event === "bill" ? "billed" : "", found(run, n).length ? "found" : ""].join(" ").trim();
      const mark = draw("circle", { class: kinds, cx: x(n), cy: top + rows.indexOf(m.actor) * gap + 12, r: 5 });
      mark.append(draw("title", {}, `${n + 1}: ${words(m.event)}`));
      mark.addEventListener("click", () => go(n));
      svg.append(mark);
    });
    const frame = make("div", { class: "chart", tabindex: "0", role: "group", "aria-label": "Picture of the run" }, svg);
    return { frame, show: (n) => {
      now.setAttribute("x1", x(n)); now.setAttribute("x2", x(n));
      if (x(n) < frame.scrollLeft + left || x(n) > frame.scrollLeft + frame.clientWidth - 30) frame.scrollLeft = x(n) - frame.clientWidth / 2;
    } };
  };

  const short = (x, y, text) => {
    const whole = shown(text);
    const node = draw("text", { x, y }, whole.length > 15 ? `${whole.slice(0, 14)}…` : whole);
    node.append(draw("title", {}, whole));
    return node;
  };

  const legend = () => {
    const one = (shape, text) => {
      const svg = draw("svg", { width: 26, height: 14, "aria-hidden": "true" });
      svg.append(shape);
      return make("li", {}, svg, ` ${text}`);
    };
    return make("ul", { class: "legend", "aria-label": "Legend" },
      one(draw("line", { class: "cap", x1: 0, x2: 26, y1: 7, y2: 7 }), "the cap"),
      one(draw("line", { class: "bill", x1: 0, x2: 26, y1: 7, y2: 7 }), "billed so far, in truth"),
      one(draw("rect", { class: "over", width: 26, height: 14 }), "above the cap"),
      one(draw("rect", { class: "hold", y: 4, width: 26, height: 6 }), "a hold"),
      one(draw("circle", { class: "mark", cx: 13, cy: 7, r: 5 }), "an event"),
      one(draw("circle", { class: "mark billed", cx: 13, cy: 7, r: 5 }), "a bill"),
      one(draw("circle", { class: "mark found", cx: 13, cy: 7, r: 5 }), "something is wrong here"));
  };

  // ------------------------------------------------------------------------------------------ the page

  const show = () => {
    const run = runs[at.run];
    const last = run.moments.length - 1;
    const wrong = run.findings.map((f) => f.event - 1).filter((n) => n >= 0 && n <= last);
    const go = (event) => { at.event = Math.max(0, Math.min(last, event)); update(); };
    const button = (label, key, act) => make("button", { type: "button", onclick: act }, label, make("kbd", {}, key ? ` ${key}` : ""));
    const first = button("First", "Home", () => go(0));
    const back = button("Back", "k", () => go(at.event - 1));
    const on = button("Next", "j", () => go(at.event + 1));
    const end = button("Last", "End", () => go(last));
    const jump = button("First violation", "v", () => go(Math.min(...wrong)));
    jump.disabled = !wrong.length;
    const picker = make("select", { "aria-label": "Run" }, ...runs.map((r, n) => make("option", { value: n }, r.title)));
    picker.value = at.run;
    picker.addEventListener("change", () => { at = { run: Number(picker.value), event: 0 }; show(); });
    const picture = chart(run, go);
    const list = make("ol", { class: "events", "aria-label": "Events" });
    const items = run.moments.map((m, n) => {
      const item = make("button", { type: "button", class: found(run, n).length ? "found" : null, onclick: () => go(n) },
        make("span", { class: "number" }, n + 1), make("span", { class: "actor" }, m.actor || "—"),
        make("span", {}, words(m.event)));
      list.append(make("li", {}, item));
      return item;
    });
    const detail = make("div", { class: "detail", "aria-live": "polite" });
    const update = () => {
      const m = run.moments[at.event];
      items.forEach((item, n) => { if (n === at.event) item.setAttribute("aria-current", "step"); else item.removeAttribute("aria-current"); });
      const item = items[at.event];
      if (item) list.scrollTop = Math.max(0, item.offsetTop - list.offsetTop - list.clientHeight / 2);
      first.disabled = back.disabled = at.event === 0;
      on.disabled = end.disabled = at.event === last;
      picture.show(at.event);
      const where = m.step === null ? "" : m.step ? `Step ${m.step}${m.action ? ` (${m.action})` : ""}` : "Before the first step";
      const rows = m.changes.map(([account, balance, before, after]) => make("tr", {},
        make("td", {}, account), make("td", {}, balance === "billed" ? "billed (in truth)" : balance),
        make("td", { class: "amount" }, before), make("td", { class: "amount" }, after)));
      detail.replaceChildren(
        make("h2", {}, `Event ${at.event + 1} of ${last + 1}`),
        make("p", {}, `${[where, m.actor].filter(Boolean).join(", ")}${where || m.actor ? ": " : ""}${words(m.event)}.`),
        ...found(run, at.event).map((f) => make("p", { class: "finding" }, `${f.anomaly}: ${f.sentence}.`)),
        rows.length ? make("table", {}, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "account"), make("th", { scope: "col" }, "balance"),
          make("th", { scope: "col", class: "amount" }, "before"), make("th", { scope: "col", class: "amount" }, "after"))), make("tbody", {}, ...rows))
          : make("p", {}, "No balance changes."));
      history.replaceState(null, "", `#run=${at.run + 1}&event=${at.event + 1}`);
    };
    main.replaceChildren(
      make("h1", {}, run.title),
      make("p", {}, make("span", { class: `verdict ${run.verdict}` }, run.verdict), run.findings.length ? ` · ${run.findings[run.findings.length - 1].sentence}` : ""),
      make("div", { class: "controls", role: "toolbar", "aria-label": "Walk through the run" }, ...(runs.length > 1 ? [picker] : []), first, back, on, end, jump),
      picture.frame, legend(),
      make("div", { class: "columns" }, make("section", { "aria-label": "Events" }, list), detail),
      make("h2", {}, "Why"), make("ul", { class: "argument" }, ...run.argument.map((line) => make("li", {}, line.replace(/^- /, "")))),
      ...(run.replay ? [make("p", {}, "Run it again: ", make("code", {}, run.replay))] : []));
    view = { go, first: () => go(0), back: () => go(at.event - 1), on: () => go(at.event + 1), end: () => go(last), jump: () => wrong.length && go(Math.min(...wrong)) };
    update();
  };

  const read = () => {
    const asked = new URLSearchParams(location.hash.slice(1));
    const run = Math.max(1, Math.min(runs.length, Number(asked.get("run")) || 1)) - 1;
    const most = runs[run].moments.length;
    const wrong = runs[run].findings.map((f) => f.event);
    const event = Number(asked.get("event")) || (wrong.length ? Math.max(...wrong) : 1);
    at = { run, event: Math.max(1, Math.min(most, event)) - 1 };
    show();
  };

  if (!runs.length || !runs.every((run) => run.moments.length)) {
    const one = JSON.parse(document.getElementById("document").textContent);
    const verdict = one && one.verdict ? one.verdict : "";
    main.replaceChildren(make("h1", {}, document.title), make("p", {}, verdict ? make("span", { class: `verdict ${verdict}` }, verdict) : ""), make("p", {}, "There is no run to show: nothing was refuted."));
    return;
  }
  const KEYS = { j: "on", ArrowRight: "on", k: "back", ArrowLeft: "back", Home: "first", End: "end", v: "jump" };
  document.addEventListener("keydown", (event) => {
    const act = KEYS[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    event.preventDefault();
    view[act]();
  });
  window.addEventListener("hashchange", read);
  read();
})();
