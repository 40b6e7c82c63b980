// The page of `capsound explore`: the same page, with every step that is possible now, and the token of the run.
{
  const main = document.getElementById("page");
  let now = JSON.parse(document.getElementById("document").textContent);
  let wrong = "";

  const copied = async (button, text) => {
    const before = button.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it and copy";
    }
    setTimeout(() => { button.textContent = before; }, 1500);
  };

  const edge = () => {
    const make = page.make;
    const step = (move) => {
      const amounts = move.amounts.length ? `, amount ${move.amounts.join(" and ")}` : "";
      const told = move.found.length ? move.found.join("; ") : move.ahead ? `the cap can break in ${move.ahead}` : "";
      return make("li", {}, make("button", { type: "button", class: move.ahead || move.found.length ? "ahead" : null, onclick: () => go(move.token) },
        make("strong", {}, move.actor), ` ${move.action}${amounts}`, told ? make("small", {}, told) : ""));
    };
    const undo = make("button", { type: "button", onclick: () => go(now.before) }, "Undo", make("kbd", { "aria-hidden": "true" }, "u"));
    undo.disabled = now.before === now.token;
    const again = make("button", { type: "button", onclick: () => go("") }, "Start again");
    const field = make("input", { type: "text", id: "token", value: now.token, spellcheck: "false", autocomplete: "off", class: "mono" });
    field.addEventListener("keydown", (event) => { if (event.key === "Enter") go(field.value.trim()); });
    const share = make("button", { type: "button", onclick: () => copied(share, now.token) }, "Copy the token");
    const open = make("button", { type: "button", onclick: () => go(field.value.trim()) }, "Go there");
    return [
      make("h2", {}, "What can happen now"),
      now.moves.length ? make("ul", { class: "next" }, ...now.moves.map(step)) : make("p", { class: "card" }, "Nothing more: every agent has ended, or waits for ever."),
      now.more ? make("p", { class: "idle" }, `and ${now.more} more, which are not offered here`) : make("p", {}),
      make("div", { class: "controls still" }, undo, again, make("label", { for: "token" }, "Token"), field, open, share),
      ...(wrong ? [make("p", { class: "finding", role: "alert" }, wrong)] : []),
    ];
  };

  const page = capsoundPage(main, { edge });

  const draw = () => {
    const steps = now.shown.runs[0].panes[0].steps;
    page.set(now.shown, 0, steps.length ? steps[steps.length - 1][0] : 0);
  };

  // The address is the run: the buttons of the browser undo and do again.
  const go = (token) => {
    if (location.hash.slice(1) === encodeURIComponent(token)) load(token);
    else location.hash = encodeURIComponent(token);
  };

  const load = async (token) => {
    try {
      const answer = await fetch(`/at?token=${encodeURIComponent(token)}`);
      const told = await answer.json();
      wrong = told.error ? [told.error.message, told.error.hint].filter(Boolean).join("; ") : "";
      if (!told.error) now = told;
    } catch {
      wrong = "The server does not answer: it may have been ended with Ctrl-C.";
    }
    draw();
    const first = main.querySelector(".next button");
    if (first) first.focus({ preventScroll: true });
  };

  document.addEventListener("keydown", (event) => {
    if (event.key !== "u" || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
    if (now.before !== now.token) go(now.before);
  });
  window.addEventListener("hashchange", () => load(decodeURIComponent(location.hash.slice(1))));
  if (location.hash.length > 1) load(decodeURIComponent(location.hash.slice(1)));
  else draw();
}
