"use strict";
// Draws what Python has worked out (page/runs.py): nothing is computed here but where it goes.
const capsoundPage = (main, { edge = null } = {}) => {
  const SVG = "http://www.w3.org/2000/svg";
  const COLOURS = 7;
  const WORDS = { billed: "billed", available: "free", held: "in flight", charged: "charged", forfeited: "written off", delegated: "delegated", returned: "returned" };
  let data = { tables: [], runs: [], title: "", verdict: "", lead: "" };
  let at = { run: 0, place: 0 };
  let view = null;

  // What a name has in it is shown, and does nothing: control characters and marks of direction as their codes.
  const shown = (value) => String(value).replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
  const cut = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

  const make = (name, attributes, ...children) => {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) {
      if (key === "onclick") node.addEventListener("click", value);
      else if (value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
    }
    for (const child of children) if (child !== null) node.append(child.nodeType ? child : shown(child));
    return node;
  };
  const draw = (name, attributes, text) => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = shown(text);
    return node;
  };
  const label = (x, y, text, most, kind = "", anchor = "start") => {
    const node = draw("text", { x, y, class: kind, "text-anchor": anchor }, cut(shown(text), most));
    node.append(draw("title", {}, text));
    return node;
  };
  const colour = (row) => (row < 0 ? "var(--c6)" : `var(--c${row % COLOURS})`);
  const who = (pane, name) => make("span", { class: "who", style: `--agent: ${colour(pane.rows.indexOf(name))}` }, name);
  const wrap = (text, most) => {
    const lines = [""];
    for (const word of shown(text).split(" ")) {
      const last = lines.length - 1;
      if ((lines[last] + " " + word).trim().length > most && lines[last]) lines.push(cut(word, most));
      else lines[last] = cut(`${lines[last]} ${word}`.trim(), most);
    }
    return lines.length > 4 ? [...lines.slice(0, 3), `${lines[3]}…`] : lines;
  };

  // ------------------------------------------------------------------------------------------ the picture

  const chart = (pane, run, count, room, least = 0) => {
    const left = Math.min(118, Math.max(74, room * 0.17)), right = 14;
    const step = Math.max(count > 60 ? 9 : 24, (room - left - right) / Math.max(1, count));
    const width = Math.max(room, left + step * count + right);
    const x = (place) => left + step * (place + 0.5);
    const wrong = pane.steps.map((s, n) => (s[5].length ? n : -1)).filter((n) => n >= 0);
    const last = wrong.length ? wrong[wrong.length - 1] : -1;
    const lines = last < 0 ? [] : wrap(`${pane.steps[last][5].slice(-1)[0].join(": ")}`, Math.max(24, Math.min(58, (room - left - 24) / 7.6)));
    const strip = Math.max(least, lines.length ? 16 * lines.length + 18 : 8);
    const capped = pane.caps.filter(([root, , ]) => pane.bills.some((b) => b[0] === root)).slice(0, 4);
    const panels = capped.length ? capped : pane.caps.slice(0, 1);
    const tall = panels.length > 1 ? 96 : 150, gap = 26;
    const rows = pane.rows.length ? pane.rows : [pane.steps.length ? "all calls" : ""];
    const ops = !pane.caps.length && !pane.bills.length;
    const rowHeight = ops ? 46 : 36;
    const lanes = rows.map(() => []);
    const bars = pane.bars.map(([name, row, begin, end, says, bad]) => {
      const place = Math.max(0, row), to = end === null ? count - 0.5 : end;
      let lane = lanes[place].findIndex((until) => until <= begin);
      if (lane < 0) lane = lanes[place].length;
      lanes[place][lane] = to;
      return { name, place, begin, end, to, says, bad, lane: Math.min(lane, 5) };
    });
    const heights = lanes.map((lane) => Math.max(rowHeight, 16 + 13 * Math.min(6, lane.length)));
    const body = strip + panels.length * (tall + gap);
    const tops = heights.map((_, n) => body + heights.slice(0, n).reduce((a, b) => a + b, 0));
    const bottom = body + heights.reduce((a, b) => a + b, 0);
    const height = bottom + 24;
    const svg = draw("svg", { width: width - left, height, viewBox: `${left} 0 ${width - left} ${height}`, role: "img" });
    const side = draw("svg", { class: "side", width: left, height, viewBox: `0 0 ${left} ${height}`, "aria-hidden": "true" });
    const told = wrong.length ? `Something is wrong in step ${wrong.map((n) => pane.steps[n][0]).join(", ")}.` : "Nothing is wrong.";
    svg.append(draw("title", {}, `Picture of ${pane.title || run.title}: ${count} steps from left to right. ${told} The list of steps says the same in words.`));
    const column = draw("rect", { class: "column", x: x(0) - step / 2, width: step, y: 0, height: bottom });
    svg.append(column);
    for (const n of wrong) svg.append(draw("line", { class: "wrong", x1: x(n), x2: x(n), y1: n === last ? strip - 8 : strip, y2: bottom }));
    panels.forEach(([root, cap, written], place) => {
      const base = strip + place * (tall + gap) + tall;
      const bills = pane.bills.filter((b) => b[0] === root);
      const totals = bills.map((b, n) => bills.slice(0, n + 1).reduce((sum, one) => sum + one[2], 0));
      const begin = bills.length ? (pane.begin || {})[root] || 0 : 0;
      const most = Math.max(cap < 1e39 ? cap : 0, begin + (totals[totals.length - 1] || 0), 1) * 1.1;
      const y = (amount) => base - tall * amount / most;
      svg.append(draw("line", { class: "rule", x1: left, x2: width - right, y1: base, y2: base }));
      side.append(label(4, base - 2, panels.length > 1 ? root : "0", 15, "soft"));
      bills.forEach(([, where, amount, name, row, total, said], n) => {
        const low = begin + (totals[n - 1] || 0), high = low + amount, from = x(where), far = width - right;
        const band = draw("rect", { class: "bill", x: from, width: Math.max(2, far - from), y: y(high), height: Math.max(1, y(low) - y(high)), fill: colour(row) });
        band.append(draw("title", {}, `${name} is billed: ${total} in all`));
        svg.append(band);
        if (y(low) - y(Math.max(low, Math.min(high, cap))) > 17 && far - from > 70) svg.append(label(from + 8, y(low) - 5, `${name} ${said}`, Math.floor((far - from) / 7.5), "on-bill"));
        if (high > cap) {
          const bar = draw("rect", { class: "over", x: from, width: Math.max(2, far - from), y: y(high), height: y(Math.max(low, cap)) - y(high) });
          bar.append(draw("title", {}, `above the cap: ${total} of ${written}`));
          svg.append(bar);
        }
      });
      const sum = bills[bills.length - 1];
      const top = begin + (totals[totals.length - 1] || 0);
      if (cap < 1e39) {
        svg.append(draw("line", { class: "cap", x1: left, x2: width - right, y1: y(cap), y2: y(cap) }));
        side.append(label(4, y(cap) + 4, `cap ${written}`, Math.floor(left / 7), "strong"));
      }
      if (sum && Math.abs(y(top) - y(cap)) > 13 && base - y(top) > 13) side.append(label(4, y(top) + 4, `billed ${sum[5]}`, Math.floor(left / 7), top > cap ? "bad" : "soft"));
    });
    rows.forEach((row, n) => {
      svg.append(draw("line", { class: "rule", x1: left, x2: width - right, y1: tops[n], y2: tops[n] }));
      side.append(label(4, tops[n] + heights[n] / 2 + 4, row, Math.floor(left / 7.2), ""));
    });
    for (const bar of bars) {
      const y = tops[bar.place] + heights[bar.place] / 2 - 5 + 13 * (bar.lane - (Math.min(6, lanes[bar.place].length) - 1) / 2);
      const w = Math.max(4, x(bar.to) - x(bar.begin));
      const rect = draw("rect", { class: bar.bad ? "hold bad-bar" : "hold", x: x(bar.begin), y, width: w, height: 10, rx: 5, fill: colour(bar.place), stroke: colour(bar.place) });
      if (bar.end === null) rect.setAttribute("stroke-dasharray", "4 3");
      rect.append(draw("title", {}, `${bar.says}${bar.end === null ? ", without an end" : ""}`));
      svg.append(rect);
      if (ops) svg.append(label(x(bar.begin), y - 3, bar.says, Math.max(8, Math.floor((width - x(bar.begin)) / 6.6)), bar.bad ? "bad" : "soft"));
    }
    pane.steps.forEach((s, n) => {
      const row = Math.max(0, pane.rows.indexOf(s[1]));
      if (!s[1] && pane.rows.length || ops) return;
      const cy = tops[row] + heights[row] / 2, refused = /refuse/.test(s[2]) || / refused /.test(s[3]), idle = s[2] === "nothing left to do";
      if (idle) return;
      if (refused) svg.append(draw("path", { class: "cross", d: `M ${x(n) - 5} ${cy - 5} l 10 10 m 0 -10 l -10 10` }));
      const billed = pane.bills.some((b) => b[1] === n);
      const mark = draw("circle", { class: s[5].length ? "mark found" : "mark", cx: x(n), cy, r: refused ? 9 : 5.5, stroke: colour(pane.rows.indexOf(s[1])), fill: "var(--card)" });
      if (billed) mark.setAttribute("style", `fill: ${colour(pane.rows.indexOf(s[1]))}`);
      if (refused) mark.setAttribute("style", "fill: transparent; stroke: transparent");
      mark.append(draw("title", {}, `${s[0]}: ${s[1]} ${s[3]}`));
      mark.addEventListener("click", () => view.go(n));
      svg.append(mark);
    });
    const every = step >= 22 ? 1 : Math.ceil(44 / step);
    pane.steps.forEach((s, n) => { if (n % every === 0 && s[0]) svg.append(label(x(n), bottom + 16, s[0], 8, "soft", "middle")); });
    if (last >= 0) {
      const wide = Math.min(width - left - 4, 14 + 7.5 * Math.max(...lines.map((l) => l.length)));
      const from = Math.max(left + 2, Math.min(x(last) - wide / 2, width - wide - 2));
      svg.append(draw("rect", { class: "flag", x: from, y: 1, width: wide, height: 16 * lines.length + 8, rx: 4 }));
      lines.forEach((text, n) => svg.append(draw("text", { x: from + 7, y: 17 + 16 * n, class: "bad" }, text)));
    }
    const frame = make("div", { class: "chart", tabindex: "0", role: "group", "aria-label": `Picture: ${pane.title || run.title}` }, side, svg);
    return { frame, strip, show: (n) => {
      column.setAttribute("x", x(n) - step / 2);
      if (x(n) < frame.scrollLeft + left + step || x(n) > frame.scrollLeft + frame.clientWidth - 30) frame.scrollLeft = x(n) - (frame.clientWidth + left) / 2;
    } };
  };

  const pattern = () => {
    const svg = draw("svg", { width: 0, height: 0, "aria-hidden": "true", style: "position: absolute" });
    const hatch = draw("pattern", { id: "hatch", width: 7, height: 7, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    hatch.append(draw("rect", { width: 7, height: 7, fill: "var(--bad-back)" }), draw("line", { class: "hatched", x1: 0, y1: 0, x2: 0, y2: 7 }));
    svg.append(hatch);
    return svg;
  };

  const legend = (run) => {
    const one = (shape, text) => {
      const svg = draw("svg", { width: 26, height: 14, "aria-hidden": "true" });
      svg.append(...[shape].flat());
      return make("li", {}, svg, text);
    };
    const bills = run.panes.some((p) => p.bills.length), ops = run.panes.every((p) => !p.caps.length);
    const out = [];
    if (run.panes.some((p) => p.caps.length)) out.push(one(draw("line", { class: "cap", x1: 0, x2: 26, y1: 7, y2: 7 }), "the cap"));
    if (bills) out.push(one(draw("rect", { width: 26, height: 14, fill: "var(--c0)" }), "truly billed, in the colour of its row"), one(draw("rect", { class: "over", x: 1, y: 1, width: 24, height: 12 }), "above the cap"));
    out.push(one(draw("rect", { class: "hold", x: 1, y: 2, width: 24, height: 10, rx: 5, fill: "var(--c0)", stroke: "var(--c0)" }), ops ? "an operation, from its call to its return" : "a call, from its admission to its end (dashed: it has none here)"));
    if (!ops) out.push(one(draw("circle", { class: "mark", cx: 13, cy: 7, r: 5.5, stroke: "var(--c0)" }), "a step (filled: it is billed)"), one(draw("path", { class: "cross", d: "M 8 2 l 10 10 m 0 -10 l -10 10" }), "refused"));
    out.push(one(draw("line", { class: "wrong", x1: 13, x2: 13, y1: 0, y2: 14 }), "something is wrong here"));
    return make("ul", { class: "legend", "aria-label": "Legend" }, ...out);
  };

  // ------------------------------------------------------------------------------------------ words

  const balances = (pane, place) => {
    const accounts = new Map(), changed = new Map();
    (pane.opening || []).forEach(([account, balance, now]) => { if (!accounts.has(account)) accounts.set(account, {}); accounts.get(account)[balance] = now; });
    for (let n = 0; n <= Math.min(place, pane.steps.length - 1); n += 1) {
      if (n === place) changed.clear();
      for (const [account, balance, was, now] of pane.steps[n][4]) {
        if (!accounts.has(account)) accounts.set(account, {});
        accounts.get(account)[balance] = now;
        if (n === place) changed.set(`${account}\n${balance}`, was);
      }
    }
    if (!accounts.size) return null;
    const moved = new Set([...changed.keys()].map((key) => key.split("\n")[0]));
    let names = [...accounts.keys()];
    if (names.length > 6) names = names.filter((name) => moved.has(name)).slice(0, 6);
    if (!names.length) return make("p", { class: "idle" }, "No balance changes.");
    const used = Object.keys(WORDS).filter((b) => names.some((name) => accounts.get(name)[b] !== undefined));
    const cell = (name, balance) => {
      const now = accounts.get(name)[balance] || "0", was = changed.get(`${name}\n${balance}`);
      const kind = `${was === undefined ? "" : "changed"}${now.startsWith("-") ? " below" : ""}`.trim();
      return was === undefined ? make("td", { class: kind || null }, now) : make("td", { class: kind }, make("span", { class: "was" }, `${was} → `), now);
    };
    return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": "Balances" }, make("table", { class: "balances" },
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "account"), ...used.map((b) => make("th", { scope: "col" }, WORDS[b])))),
      make("tbody", {}, ...names.map((name) => make("tr", {}, make("th", { scope: "row" }, name), ...used.map((b) => cell(name, b)))))));
  };

  const numbered = (pane, s) => (s[0] ? `${pane.counted} ${s[0]}` : "before the first step");
  const capital = (text) => text.replace(/^./, (c) => c.toUpperCase());
  const detail = (pane, place, several) => {
    const s = pane.steps[place];
    if (!s) return make("section", {}, make("h2", { class: "at" }, pane.title), make("p", { class: "idle" }, "This run has ended."));
    const action = s[2] && s[3].indexOf(s[2]) < 0 ? ` ${s[2]}:` : "";
    return make("section", {}, make("h2", { class: "at" }, several ? `${pane.title}: ${numbered(pane, s)}` : capital(numbered(pane, s))),
      make("p", {}, s[1] ? who(pane, s[1]) : "", s[1] ? `${action} ${s[3]}.` : `${s[3]}.`),
      ...s[5].map(([anomaly, told]) => make("p", { class: "finding" }, make("strong", {}, anomaly), `: ${told}.`)),
      balances(pane, place));
  };

  const table = ([title, columns, rows, marked]) => [make("h2", {}, title), make("div", { class: "card scroll", tabindex: "0", role: "group", "aria-label": title }, make("table", {},
    make("thead", {}, make("tr", {}, ...columns.map((c) => make("th", { scope: "col" }, c)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((text, n) => (n === 0 ? make("th", { scope: "row" }, text)
      : make("td", {}, marked && n === 1 ? make("span", { class: `chip ${text.replace(/ /g, "-")}` }, text) : text))))))))];

  // ------------------------------------------------------------------------------------------ the page

  const walk = (run) => {
    const count = Math.max(...run.panes.map((p) => p.steps.length)), last = count - 1;
    const wrong = run.panes[0].steps.map((s, n) => (s[5].length ? n : -1)).filter((n) => n >= 0);
    const several = run.panes.length > 1;
    const button = (text, key, act, kind) => make("button", { type: "button", onclick: act, class: kind || null }, text, make("kbd", { "aria-hidden": "true" }, key));
    const go = (place) => { at.place = Math.max(0, Math.min(last, place)); update(); };
    const first = button("First", "Home", () => go(0)), back = button("Back", "k", () => go(at.place - 1));
    const on = button("Next", "j", () => go(at.place + 1), "primary"), end = button("Last", "End", () => go(last));
    const jump = button("What breaks it", "v", () => view.jump());
    jump.disabled = !wrong.length;
    const panes = make("div", { class: "panes" });
    const figures = run.panes.map((pane) => {
      const words = make("figcaption", {}, pane.title ? make("strong", {}, pane.title) : "", several ? make("span", { class: `chip ${pane.verdict}` }, pane.verdict) : "", make("span", { class: "note mono" }, pane.note));
      const figure = make("figure", {}, words);
      panes.append(figure);
      return figure;
    });
    const charts = [];
    const paint = () => {
      run.panes.forEach((pane, n) => {
        const room = Math.max(280, figures[n].clientWidth - 30);
        const made = chart(pane, run, several ? count : pane.steps.length, room, n ? charts[0].strip : 0);
        if (charts[n]) charts[n].frame.replaceWith(made.frame); else figures[n].append(made.frame);
        charts[n] = made;
      });
    };
    const list = make("ol", { class: "steps", style: `--panes: ${run.panes.length}; --digits: ${Math.max(2, ...run.panes.flatMap((p) => p.steps.map((s) => String(s[0]).length)))}ch`, "aria-label": "Steps", tabindex: "0" });
    const items = Array.from({ length: count }, (_, n) => {
      const cells = run.panes.map((pane, p) => {
        const s = pane.steps[n];
        if (!s) return make("span", { class: "cell" });
        return make("span", { class: `cell${s[5].length ? " broken" : ""}${s[2] === "nothing left to do" ? " idle" : ""}` }, s[1] ? who(pane, s[1]) : "", `${s[1] ? " " : ""}${s[3]}`);
      });
      const number = run.panes.map((pane) => pane.steps[n]).find((s) => s);
      const item = make("button", { type: "button", class: wrong.includes(n) ? "found" : null, onclick: () => go(n) }, make("span", { class: "number" }, number[0] || "·"), ...cells);
      list.append(make("li", {}, item));
      return item;
    });
    const told = make("div", { class: "detail", "aria-live": "polite" });
    const update = () => {
      items.forEach((item, n) => { if (n === at.place) item.setAttribute("aria-current", "step"); else item.removeAttribute("aria-current"); });
      const item = items[at.place];
      if (item) list.scrollTop = Math.max(0, item.offsetTop - list.clientHeight / 2);
      first.disabled = back.disabled = at.place === 0;
      on.disabled = end.disabled = at.place === last;
      charts.forEach((one) => one.show(at.place));
      told.replaceChildren(...run.panes.map((pane) => detail(pane, at.place, several)));
      if (!edge) history.replaceState(null, "", `#${data.runs.length > 1 ? `run=${at.run + 1}&` : ""}step=${number(run, at.place)}`);
    };
    view = { go, first: () => go(0), back: () => go(at.place - 1), on: () => go(at.place + 1), end: () => go(last), jump: () => wrong.length && go(wrong[wrong.length - 1]), paint: () => { paint(); charts.forEach((one) => one.show(at.place)); } };
    return {
      nodes: [panes, legend(run),
        make("div", { class: "controls", role: "toolbar", "aria-label": "Walk through the run" }, first, back, on, end, jump),
        make("div", { class: several ? "walk wide" : "walk" }, make("section", { "aria-label": "Steps" }, list), told)],
      begin: () => { paint(); update(); },
    };
  };
  const number = (run, place) => (run.panes.map((pane) => pane.steps[place]).find((s) => s) || [place])[0];

  const told = (lines) => { const pre = make("pre", { class: "story" }); pre.textContent = lines.map(shown).join("\n"); return pre; };
  const why = (run) => {
    const pane = run.panes[0];
    const story = !pane && run.argument.length;
    const lines = run.argument.map((line) => make("li", { class: /^- /.test(line) ? null : "plain" }, line.replace(/^- /, "")));
    return [
      ...(lines.length ? [make("h2", {}, story ? "What happened" : "Why"), make("div", { class: "card" }, story ? told(run.argument) : make("ul", { class: "argument" }, ...lines))] : []),
      ...(run.over || run.rests ? [make("h2", {}, "How far it goes"), make("div", { class: "card" }, run.over ? make("p", {}, capital(`${run.over}.`)) : "", run.rests ? make("p", {}, capital(`${run.rests}.`)) : "")] : []),
      ...(run.cure ? [make("h2", {}, "The likely cure"), make("p", { class: "card cure" }, capital(`${run.cure}.`))] : []),
      ...(run.replay ? [make("h2", {}, "Run it again"), make("p", { class: "card" }, make("code", {}, run.replay))] : []),
    ];
  };

  const show = () => {
    const run = data.runs[at.run];
    const picker = make("select", { "aria-label": "Run" }, ...data.runs.map((r, n) => make("option", { value: n }, r.title)));
    picker.value = at.run;
    picker.addEventListener("change", () => { place(Number(picker.value), null); show(); });
    const head = make("header", {}, make("p", { class: "brand" }, `capsound ${data.command}`), make("h1", {}, run ? run.title : data.title),
      make("p", { class: "lead" }, make("span", { class: `chip ${run ? run.verdict : data.verdict}` }, run ? run.verdict : data.verdict), ` ${run ? run.hence : data.lead}`),
      data.runs.length > 1 ? make("p", {}, picker) : "");
    view = null;
    const walked = run && run.panes.length ? walk(run) : null;
    const rest = run ? why(run) : [make("p", { class: "card" }, data.verdict === "violated" ? "There is no run to walk through here: what is known stands below." : "There is no run to walk through: nothing was refuted.")];
    main.replaceChildren(pattern(), head, ...(edge ? edge() : []), ...(walked ? walked.nodes : []), ...rest, ...data.tables.flatMap(table),
      make("footer", {}, make("p", {}, "Made by capsound. This page holds the JSON document that it shows, and asks nothing of any network."),
        make("p", { class: "keys" }, "Keys: j next, k back, v what breaks it, Home, End.")));
    if (walked) walked.begin();
  };

  // Opens at the step that is asked for by its number, else where it breaks.
  const place = (run, step) => {
    at = { run: Math.max(0, Math.min(data.runs.length - 1, run)), place: 0 };
    const one = data.runs[at.run];
    if (!one || !one.panes.length) return;
    const steps = one.panes[0].steps;
    const wrong = steps.map((s, n) => (s[5].length ? n : -1)).filter((n) => n >= 0);
    const count = Math.max(...one.panes.map((p) => p.steps.length));
    const asked = step === null ? -1 : Array.from({ length: count }, (_, n) => number(one, n)).indexOf(step);
    at.place = asked >= 0 ? asked : wrong.length ? wrong[wrong.length - 1] : 0;
  };

  const KEYS = { j: "on", ArrowRight: "on", k: "back", ArrowLeft: "back", Home: "first", End: "end", v: "jump" };
  document.addEventListener("keydown", (event) => {
    const act = KEYS[event.key];
    if (!act || !view || event.ctrlKey || event.metaKey || event.altKey || /^(SELECT|INPUT|TEXTAREA)$/.test(event.target.tagName)) return;
    event.preventDefault();
    view[act]();
  });
  let wait = 0;
  window.addEventListener("resize", () => { clearTimeout(wait); wait = setTimeout(() => view && view.paint(), 80); });

  return {
    make,
    set: (given, run, step) => { data = given; place(run, step); show(); },
    asked: () => {
      const asked = new URLSearchParams(location.hash.slice(1));
      const step = asked.get("step");
      return [(Number(asked.get("run")) || 1) - 1, step === null || !/^\d+$/.test(step) ? null : Number(step)];
    },
  };
};
