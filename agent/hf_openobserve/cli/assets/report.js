// The page of `hf-openobserve report --html`. Calls stand in #data as JSON; all of their words are written as text.
(function () {
  "use strict";

  const DATA = JSON.parse(document.getElementById("data").textContent);
  const CALLS = DATA.calls;
  const ROWS_AT_ONCE = 100;
  const MOST_BARS = 60;
  const COLOURS = 7; // of models; the rest share one more
  const NONE = "–";
  const UNKNOWN_MODEL = "(unknown)";
  const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800];

  const byId = (id) => document.getElementById(id);
  const filters = { text: byId("f-text"), model: byId("f-model"), provider: byId("f-provider"), service: byId("f-service"), outcome: byId("f-outcome") };
  const state = { sort: "start_ms", down: true, rows: ROWS_AT_ONCE, open: new Set() };
  let charts = [];

  // --- Elements and numbers ----------------------------------------------------------------------------------------

  function h(tag, attributes, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
    }
    element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return element;
  }

  const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const count = (number) => (number === null ? NONE : whole.format(number));
  const counted = (number, noun) => whole.format(number) + " " + noun + (number === 1 ? "" : "s");
  const brief = (number) => (number === null ? NONE : number < 10000 ? whole.format(number) : short.format(number));
  const share = (part, all) => (all ? (100 * part / all).toFixed(part && part < all / 10 ? 1 : 0) + " %" : NONE);

  function duration(us) {
    if (us === null) return NONE;
    const ms = us / 1000;
    if (ms < 10) return ms.toFixed(1) + " ms";
    return ms < 1000 ? ms.toFixed(0) + " ms" : (ms / 1000).toFixed(2) + " s";
  }

  const seconds = (s) => (s === null ? NONE : duration(s * 1e6));
  const rate = (number) => (number === null ? NONE : number < 10 ? number.toFixed(1) : whole.format(number));

  function money(cost) {
    if (cost === null) return NONE;
    if (cost === 0) return "0";
    return cost.toFixed(cost >= 1 ? 2 : Math.min(8, 1 - Math.floor(Math.log10(cost)))); // two digits that count
  }

  const twoDigits = (number) => String(number).padStart(2, "0");
  const clock = (date) => [date.getHours(), date.getMinutes(), date.getSeconds()].map(twoDigits).join(":");
  const day = (date) => date.getFullYear() + "-" + twoDigits(date.getMonth() + 1) + "-" + twoDigits(date.getDate());
  const moment = (ms) => day(new Date(ms)) + " " + clock(new Date(ms));

  // By nearest rank, as the command's table has it.
  function percentile(ordered, percent) {
    return ordered.length ? ordered[Math.max(0, Math.ceil(ordered.length * percent / 100) - 1)] : null;
  }

  const known = (calls, value) => calls.map(value).filter((each) => each !== null);
  const ordered = (calls, value) => known(calls, value).sort((a, b) => a - b);
  const sum = (calls, value) => { const values = known(calls, value); return values.length ? values.reduce((a, b) => a + b, 0) : null; };
  const failed = (call) => call.error !== null;
  const modelOf = (call) => call.model || UNKNOWN_MODEL;
  const kindOf = (call) => call.error.kind || call.error.type;

  function groups(calls, name) {
    const found = new Map();
    for (const call of calls) {
      const key = name(call);
      if (!found.has(key)) found.set(key, []);
      found.get(key).push(call);
    }
    return [...found].sort((a, b) => b[1].length - a[1].length || (a[0] < b[0] ? -1 : 1));
  }

  const MODELS = groups(CALLS, modelOf).map(([model]) => model);
  const DAYS = new Set(CALLS.map((call) => day(new Date(call.start_ms)))).size;
  const colourOf = (model) => Math.min(MODELS.indexOf(model), COLOURS);

  // --- Filters -------------------------------------------------------------------------------------------------------

  function options(select, all, names) {
    select.replaceChildren(h("option", { value: "" }, all), ...names.map((name, index) => h("option", { value: "=" + index }, name)));
    select.names = names;
  }

  // A name may be any text, also an empty one: what is chosen is its place in the list.
  const chosen = (select) => (select.value ? select.names[Number(select.value.slice(1))] : null);

  const haystacks = new Map();
  function haystack(call) {
    if (!haystacks.has(call)) {
      const words = [modelOf(call), call.answered_by, call.served_by, call.service, call.operation, call.trace_id, call.span_id, call.request_id];
      if (failed(call)) words.push(call.error.kind, call.error.type, call.error.message, call.error.status_code);
      for (const message of [...(call.sent || []), ...(call.received || [])]) for (const part of message.parts) words.push(part.text);
      haystacks.set(call, words.filter(Boolean).join("\n").toLowerCase());
    }
    return haystacks.get(call);
  }

  const OUTCOMES = { OK: (call) => !failed(call), "Any error": failed, Retried: (call) => call.retries > 0 };

  function matching() {
    const words = filters.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const [model, provider, service, outcome] = ["model", "provider", "service", "outcome"].map((name) => chosen(filters[name]));
    return CALLS.filter((call) =>
      (model === null || modelOf(call) === model) &&
      (provider === null || (call.served_by || NONE) === provider) &&
      (service === null || call.service === service) &&
      (outcome === null || (OUTCOMES[outcome] ? OUTCOMES[outcome](call) : failed(call) && kindOf(call) === outcome)) &&
      words.every((word) => haystack(call).includes(word)));
  }

  function setUpFilters() {
    options(filters.model, "All models", MODELS);
    options(filters.provider, "All providers", groups(CALLS, (call) => call.served_by || NONE).map(([name]) => name));
    options(filters.service, "All services", groups(CALLS, (call) => call.service).map(([name]) => name));
    options(filters.outcome, "All outcomes", [...Object.keys(OUTCOMES), ...groups(CALLS.filter(failed), kindOf).map(([name]) => name)]);
    let waiting = 0;
    const form = byId("filters");
    form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(renderAnew, 80); });
    form.addEventListener("reset", () => setTimeout(renderAnew, 0));
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  // --- Tiles and tables ----------------------------------------------------------------------------------------------

  function renderTiles(calls) {
    const errors = calls.filter(failed), took = ordered(calls, (call) => call.duration_us);
    const first = ordered(calls, (call) => call.time_to_first_token_s), pace = ordered(calls, (call) => call.tokens_per_second);
    const [prompt, completion, cached] = ["prompt", "completion", "cached"].map((name) => sum(calls, (call) => call.tokens[name]));
    const cost = sum(calls.filter((call) => !failed(call)), (call) => call.cost);
    const retried = calls.filter((call) => call.retries > 0).length;
    const unpriced = calls.filter((call) => call.cost === null).length;
    const tile = (name, value, note, tone) => h("div", { class: "tile" + (tone ? " " + tone : "") }, h("dt", {}, name), h("dd", {}, h("b", {}, value), h("small", {}, note)));
    byId("tiles").replaceChildren(
      tile("Calls", count(calls.length), retried ? whole.format(retried) + " were retried" : "none was retried"),
      tile("Errors", count(errors.length), share(errors.length, calls.length) + " of calls", errors.length ? "bad" : ""),
      tile("Latency", duration(percentile(took, 50)), "median; p95 " + duration(percentile(took, 95))),
      tile("First token", seconds(percentile(first, 50)), first.length ? "median of " + counted(first.length, "stream") : "no streams"),
      tile("Tokens per second", rate(percentile(pace, 50)), pace.length ? "median of " + counted(pace.length, "stream") : "no streams"),
      tile("Tokens in", brief(prompt), cached ? share(cached, prompt) + " of them cached" : "none cached"),
      tile("Tokens out", brief(completion), "generated"),
      tile("Cost", money(cost), cost === null ? "no price known" : unpriced ? whole.format(unpriced) + " calls without a price" : "by the server's prices"));
  }

  function renderModels(calls) {
    const longest = Math.max(1, ...calls.map((call) => call.duration_us));
    const place = (us) => Math.max(0, Math.min(100, 100 * Math.log10(Math.max(1, us / 1000)) / Math.log10(Math.max(10, longest / 1000))));
    const rows = groups(calls, modelOf).map(([model, theirs]) => {
      const took = ordered(theirs, (call) => call.duration_us), errors = theirs.filter(failed).length;
      const [p50, p95] = [50, 95].map((percent) => percentile(took, percent));
      const others = [...new Set(known(theirs, (call) => call.answered_by))].filter((name) => name !== model).sort();
      const bar = h("div", { class: "range", "aria-hidden": "true" }, h("i", { class: "c" + colourOf(model) }), h("b", {}));
      bar.firstChild.style.left = place(p50) + "%";
      bar.firstChild.style.width = Math.max(1.5, place(p95) - place(p50)) + "%";
      bar.lastChild.style.left = place(p50) + "%";
      return h("tr", {},
        h("th", { scope: "row" }, h("span", { class: "dot c" + colourOf(model), "aria-hidden": "true" }), model, others.length ? h("small", {}, "answered by " + others.join(", ")) : null),
        h("td", { class: "number" }, count(theirs.length)),
        h("td", { class: "number" + (errors ? " bad" : "") }, count(errors)),
        h("td", { class: "number", "data-p": "50" }, duration(p50)),
        h("td", { class: "number", "data-p": "95" }, duration(p95)),
        h("td", { class: "number less" }, duration(percentile(took, 99))),
        h("td", { class: "number less" }, seconds(percentile(ordered(theirs, (call) => call.time_to_first_token_s), 50))),
        h("td", { class: "number less" }, rate(percentile(ordered(theirs, (call) => call.tokens_per_second), 50))),
        h("td", { class: "number less" }, brief(sum(theirs, (call) => call.tokens.prompt))),
        h("td", { class: "number less" }, brief(sum(theirs, (call) => call.tokens.completion))),
        h("td", { class: "number less" }, money(sum(theirs.filter((call) => !failed(call)), (call) => call.cost))),
        h("td", { class: "less bar" }, bar));
    });
    const head = [["Model", ""], ["Calls", "number"], ["Errors", "number"], ["p50", "number"], ["p95", "number"], ["p99", "number less"], ["First token p50", "number less"], ["Tokens/s p50", "number less"], ["Tokens in", "number less"], ["Tokens out", "number less"], ["Cost", "number less"], ["p50 to p95", "less"]];
    byId("models").replaceChildren(rows.length ? h("div", { class: "scroll" }, h("table", {}, h("thead", {}, h("tr", {}, head.map(([name, kind]) => h("th", { scope: "col", class: kind }, name)))), h("tbody", {}, rows))) : nothing());
  }

  const nothing = () => h("p", { class: "muted" }, CALLS.length ? "No call matches the filters." : "No calls.");

  function inline(pieces) {
    return pieces.map(([style, text]) => {
      if (style === "link") return h("a", { href: text, rel: "noreferrer noopener" }, text.replace(/^https:\/\//, ""));
      return style ? h(style, {}, text) : text;
    });
  }

  function renderErrors(calls) {
    const errors = calls.filter(failed);
    const cards = groups(errors, kindOf).map(([kind, theirs]) => {
      const remedy = DATA.remedies[kind], last = theirs[theirs.length - 1];
      const where = groups(theirs, (call) => modelOf(call) + (call.served_by ? " at " + call.served_by : "")).slice(0, 3);
      return h("article", { class: "error" },
        h("h3", {}, h("span", { class: "badge" }, count(theirs.length)), " ", h("code", {}, kind)),
        remedy ? h("p", {}, inline(remedy.meaning)) : h("p", {}, "An error of no known kind."),
        h("blockquote", {}, last.error.message || last.error.type, h("footer", {}, "Last at " + moment(last.start_ms) + (last.error.status_code ? ", HTTP " + last.error.status_code : ""))),
        h("p", { class: "muted" }, where.map(([name, some]) => whole.format(some.length) + " × " + name).join("; ")),
        remedy && remedy.steps.length ? [h("h4", {}, "What to do"), h("ul", {}, remedy.steps.map((step) => h("li", {}, inline(step))))] : null,
        h("button", { type: "button", class: "quiet", onclick: () => choose("outcome", kind) }, "Show these calls"));
    });
    byId("errors").replaceChildren(...(cards.length ? [h("div", { class: "errors" }, cards)] : [calls.length ? h("p", { class: "good" }, "No call failed.") : nothing()]));
  }

  function choose(filter, name) {
    filters[filter].value = "=" + filters[filter].names.indexOf(name);
    renderAnew();
    byId("calls").focus();
  }

  const COLUMNS = [
    ["Time", "time", (call) => call.start_ms, "start_ms"],
    ["Model", "", (call) => modelOf(call).toLowerCase(), "model"],
    ["Provider", "less", (call) => (call.served_by || "").toLowerCase(), "provider"],
    ["Service", "least", (call) => call.service.toLowerCase(), "service"],
    ["Latency", "number took", (call) => call.duration_us, "duration"],
    ["First token", "number least", (call) => call.time_to_first_token_s, "first"],
    ["Tokens/s", "number least", (call) => call.tokens_per_second, "pace"],
    ["In", "number less", (call) => call.tokens.prompt, "prompt"],
    ["Out", "number less", (call) => call.tokens.completion, "completion"],
    ["Cost", "number least", (call) => call.cost, "cost"],
    ["Outcome", "outcome", (call) => (failed(call) ? 1 + kindOf(call) : "0"), "outcome"],
  ];

  const medium = window.matchMedia("(max-width: 70rem)"), narrow = window.matchMedia("(max-width: 48rem)"); // as in the style
  const shownColumns = () => COLUMNS.filter(([, kind]) => !(medium.matches && kind.includes("least")) && !(narrow.matches && kind.includes("less"))).length;
  for (const width of [medium, narrow]) width.addEventListener("change", () => renderTable(matching()));

  function sorted(calls) {
    const value = COLUMNS.find((column) => column[3] === state.sort)[2];
    const turn = state.down ? -1 : 1;
    return calls.slice().sort((a, b) => {
      const [left, right] = [value(a), value(b)];
      if (left === right) return b.start_ms - a.start_ms;
      if (left === null || right === null) return left === null ? 1 : -1; // what is not known comes last either way
      return left < right ? -turn : turn;
    });
  }

  function outcomeOf(call) {
    const retries = call.retries ? h("small", {}, counted(call.retries, "retry").replace("retrys", "retries")) : null;
    if (!failed(call)) return [h("span", { class: "good" }, "OK"), retries];
    return [h("span", { class: "bad" }, (call.error.status_code ? call.error.status_code + " " : "") + kindOf(call)), retries];
  }

  function messages(title, list) {
    if (!list || !list.length) return null;
    return h("section", { class: "messages" }, h("h3", {}, title), list.map((message) => h("div", { class: "message" },
      message.role || message.finish_reason ? h("p", { class: "role" }, message.role, message.finish_reason ? h("span", { class: "muted" }, " ended by " + message.finish_reason) : null) : null,
      message.parts.map((part) => [
        part.label ? h("p", { class: "muted" }, part.label) : null,
        h("pre", {}, part.text),
        part.left_out ? h("p", { class: "muted" }, counted(part.left_out, "more character") + " left out") : null]))));
  }

  function details(call) {
    const facts = [
      ["Started", call.time], ["Asked for", modelOf(call)], ["Answered by", call.answered_by], ["Served by", call.served_by], ["Service", call.service], ["Operation", call.operation],
      ["Latency", duration(call.duration_us)], ["First token", call.time_to_first_token_s === null ? null : seconds(call.time_to_first_token_s)],
      ["Tokens per second", call.tokens_per_second === null ? null : rate(call.tokens_per_second)],
      ["Tokens", call.tokens.total === null && call.tokens.prompt === null ? null : count(call.tokens.prompt) + " in, " + count(call.tokens.completion) + " out"],
      ["Cached, reasoning", call.tokens.cached || call.tokens.reasoning ? count(call.tokens.cached) + ", " + count(call.tokens.reasoning) : null],
      ["Cost", call.cost === null ? null : money(call.cost)], ["Retries", call.retries || null], ["Request id", call.request_id], ["Trace id", call.trace_id], ["Span id", call.span_id],
    ].filter(([, value]) => value !== null && value !== undefined && value !== "");
    const remedy = failed(call) ? DATA.remedies[call.error.kind] : null;
    return h("div", { class: "details" },
      failed(call) ? h("section", { class: "failure" }, h("h3", {}, call.error.type), h("pre", {}, call.error.message || "The error has no message."),
        remedy ? h("ul", {}, remedy.steps.map((step) => h("li", {}, inline(step)))) : null) : null,
      h("dl", { class: "facts" }, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, String(value))))),
      call.content_note ? h("p", { class: "muted" }, "Prompt and answer: " + call.content_note + ".") : [messages("Prompt", call.sent), messages("Answer", call.received)]);
  }

  function row(call) {
    const id = "call-" + CALLS.indexOf(call), isOpen = state.open.has(call), date = new Date(call.start_ms);
    const button = h("button", { type: "button", class: "open", "aria-expanded": String(isOpen), "aria-controls": id, title: call.time, onclick: () => toggle(call, id, button) },
      h("span", { class: "caret", "aria-hidden": "true" }), h("span", {}, DAYS > 1 ? h("span", { class: "day" }, day(date) + " ") : null, clock(date)));
    const number = (text, kind) => h("td", { class: "number" + (kind ? " " + kind : "") }, text);
    const line = h("tr", { class: failed(call) ? "failed" : "" },
      h("td", {}, button),
      h("td", { class: "model" }, h("span", { class: "dot c" + colourOf(modelOf(call)), "aria-hidden": "true" }), modelOf(call), call.answered_by && call.answered_by !== call.model ? h("small", {}, "→ " + call.answered_by) : null),
      h("td", { class: "less" }, call.served_by || NONE),
      h("td", { class: "least" }, call.service),
      number(duration(call.duration_us)), number(seconds(call.time_to_first_token_s), "least"), number(rate(call.tokens_per_second), "least"),
      number(count(call.tokens.prompt), "less"), number(count(call.tokens.completion), "less"), number(money(call.cost), "least"),
      h("td", { class: "outcome" }, outcomeOf(call)));
    const more = h("tr", { id, class: "more", hidden: !isOpen }, h("td", { colspan: shownColumns() }, isOpen ? details(call) : null));
    return [line, more];
  }

  function toggle(call, id, button) {
    const more = byId(id), open = !state.open.has(call);
    state.open[open ? "add" : "delete"](call);
    button.setAttribute("aria-expanded", String(open));
    more.hidden = !open;
    if (open && !more.firstChild.firstChild) more.firstChild.append(details(call));
    reachable(more);
  }

  // What scrolls can be reached by the keyboard; what does not is no stop on its way.
  function reachable(within) {
    for (const box of within.querySelectorAll("pre, .scroll")) {
      if (box.scrollHeight > box.clientHeight + 1 || box.scrollWidth > box.clientWidth + 1) {
        box.tabIndex = 0;
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", box.tagName === "PRE" ? "Text" : "Table");
      }
    }
  }

  function renderTable(calls) {
    const rows = sorted(calls).slice(0, state.rows);
    const heads = COLUMNS.map(([name, kind, , key]) => {
      const is = state.sort === key;
      return h("th", { scope: "col", class: kind, "aria-sort": is ? (state.down ? "descending" : "ascending") : null },
        h("button", { type: "button", class: "sort", id: "sort-" + key, onclick: () => sortBy(key) }, name, h("span", { "aria-hidden": "true" }, is ? (state.down ? " ↓" : " ↑") : "")));
    });
    const more = calls.length - rows.length;
    byId("table").replaceChildren(...(calls.length ? [
      h("div", { class: "scroll" }, h("table", { class: "calls" }, h("caption", { class: "hidden" }, "Calls. The button with the time shows prompt and answer."), h("thead", {}, h("tr", {}, heads)), h("tbody", {}, rows.map(row)))),
      more > 0 ? h("p", {}, h("button", { type: "button", class: "quiet", id: "more", onclick: () => { state.rows += ROWS_AT_ONCE; renderTable(calls); focusAgain("more"); } }, "Show " + Math.min(more, ROWS_AT_ONCE) + " more of " + whole.format(more))) : null,
    ].filter(Boolean) : [nothing()]));
    reachable(byId("table"));
  }

  function sortBy(key) {
    state.down = state.sort === key ? !state.down : !["model", "provider", "service"].includes(key);
    state.sort = key;
    renderTable(matching());
    focusAgain("sort-" + key);
  }

  const focusAgain = (id) => { const element = byId(id); if (element) element.focus(); };

  function showCall(call) {
    state.open.add(call);
    state.rows = Math.max(state.rows, sorted(matching()).indexOf(call) + 1);
    renderTable(matching());
    const button = document.querySelector('[aria-controls="call-' + CALLS.indexOf(call) + '"]');
    button.scrollIntoView({ block: "center" });
    button.focus();
  }

  // --- Charts --------------------------------------------------------------------------------------------------------

  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const FONT = "12px system-ui, sans-serif";

  function axis(more) {
    return { stroke: css("--muted"), font: FONT, grid: { stroke: css("--grid"), width: 1, ...more.lines }, ticks: { stroke: css("--grid"), width: 1, size: 4, ...more.lines }, ...more.axis };
  }

  const timeAxis = () => axis({ axis: { values: times } });
  const figureAxis = (text, lines) => axis({ lines, axis: { size: 64, values: (_, splits) => splits.map((split) => (split === null ? null : text(split))) } });

  // 24 hours, and the day where it changes.
  function times(_, splits, __, ___, step) {
    let before = "";
    return splits.map((split) => {
      const date = new Date(split * 1000), today = day(date);
      const text = step >= 86400 ? today.slice(5) : clock(date).slice(0, step >= 60 ? 5 : 8);
      const line = step >= 86400 || today === before ? text : text + "\n" + today;
      before = today;
      return line;
    });
  }

  const decades = (_, splits) => splits.map((split) => (Math.abs(Math.log10(split) % 1) < 1e-9 ? split : null));

  // tip(index): the lines of text beside the pointer.
  function draw(figure, label, height, options, data, tip, click) {
    const frame = h("div", { class: "chart", role: "img", "aria-label": label });
    figure.append(frame);
    const tooltip = h("div", { class: "tip", hidden: true });
    const plot = new uPlot({
      width: Math.max(200, frame.clientWidth), height, legend: { show: false }, padding: [12, 28, 0, 0],
      ...options,
      cursor: { y: false, drag: { x: false, y: false }, ...options.cursor },
      hooks: { setCursor: [(u) => {
        const index = u.cursor.idx, inside = index !== null && index !== undefined && u.cursor.left >= 0;
        tooltip.hidden = !inside;
        if (!inside) return;
        tooltip.replaceChildren(...tip(index).map((line) => h("div", {}, line)));
        const left = u.valToPos(data[0][index], "x");
        tooltip.style.left = Math.max(0, Math.min(left + 12, u.over.clientWidth - tooltip.offsetWidth)) + "px";
        if (left + 12 + tooltip.offsetWidth > u.over.clientWidth) tooltip.style.left = Math.max(0, left - 12 - tooltip.offsetWidth) + "px";
      }] },
    }, data, frame);
    plot.over.append(tooltip);
    if (click) plot.over.addEventListener("click", () => { if (plot.cursor.idx !== null) click(plot.cursor.idx); });
    charts.push({ plot, frame, height });
  }

  function caption(figure, title, note) {
    figure.replaceChildren(h("figcaption", {}, h("h2", {}, title), note ? h("p", { class: "muted" }, note) : null));
  }

  const legend = (entries) => h("ul", { class: "legend" }, entries.map(([kind, name]) => h("li", {}, h("span", { class: "dot " + kind, "aria-hidden": "true" }), name)));

  function span(calls) {
    let [first, last] = [Infinity, -Infinity];
    for (const call of calls) { first = Math.min(first, call.start_ms); last = Math.max(last, call.start_ms); }
    return [first, last];
  }

  function renderLatency(calls) {
    const figure = byId("latency");
    caption(figure, "Latency over time", "A dot is a call, on a logarithmic scale. Choose one to see it below.");
    if (!calls.length) { figure.append(nothing()); return; }
    const inOrder = calls.slice().sort((a, b) => a.start_ms - b.start_ms);
    const present = [...new Set(inOrder.map((call) => colourOf(modelOf(call))))].sort((a, b) => a - b);
    const value = (call) => Math.max(call.duration_us, 100) / 1e6;
    const series = present.map((colour) => inOrder.map((call) => (!failed(call) && colourOf(modelOf(call)) === colour ? value(call) : null)));
    const errors = inOrder.map((call) => (failed(call) ? value(call) : null));
    const dots = (stroke, fill) => ({ paths: () => null, points: { show: true, size: 7, width: 1.5, stroke, fill } });
    const [first, last] = span(calls), pad = Math.max(500, (last - first) * 0.02);
    draw(figure, counted(calls.length, "call") + " from " + moment(first) + " to " + moment(last) + ". The same figures stand in the table of calls.", 280, {
      scales: { x: { time: true, range: [(first - pad) / 1000, (last + pad) / 1000] }, y: { distr: 3 } },
      axes: [timeAxis(), figureAxis((s) => (s >= 1 ? s + " s" : +(s * 1000).toFixed(1) + " ms"), { filter: decades })],
      series: [{}, ...present.map((colour) => dots(css("--c" + colour), css("--c" + colour) + "aa")), dots(css("--bad"), css("--card"))],
      cursor: { x: true, points: { show: false } },
    }, [inOrder.map((call) => call.start_ms / 1000), ...series, errors],
    (index) => { const call = inOrder[index]; return [moment(call.start_ms), modelOf(call), duration(call.duration_us) + (failed(call) ? ", " + kindOf(call) : "")]; },
    (index) => showCall(inOrder[index]));
    const names = present.map((colour) => ["c" + colour, colour < COLOURS ? MODELS[colour] : "other models"]);
    figure.append(legend(calls.some(failed) ? [...names, ["ring", "failed, of any model"]] : names));
  }

  function buckets(calls) {
    const [first, last] = span(calls);
    const step = 1000 * (STEPS_S.find((s) => (last - first) / 1000 / s < MOST_BARS) || STEPS_S[STEPS_S.length - 1]);
    const shift = new Date(first).getTimezoneOffset() * 60000; // days begin at midnight here
    const start = Math.floor((first - shift) / step) * step + shift;
    const all = Array.from({ length: Math.floor((last - start) / step) + 1 }, (_, index) => ({ from: start + index * step, calls: [] }));
    for (const call of calls) all[Math.floor((call.start_ms - start) / step)].calls.push(call);
    return { step, all };
  }

  const stepText = (ms) => { const [size, unit] = [[604800000, "week"], [86400000, "day"], [3600000, "hour"], [60000, "minute"], [1000, "second"]].find(([size]) => ms % size === 0); return ms === size ? unit : ms / size + " " + unit + "s"; };

  // layers: [name, class, colour, figure of some calls], from the bottom to the top.
  function renderBars(id, title, note, calls, layers, text) {
    const figure = byId(id);
    if (!calls.length) { caption(figure, title, null); figure.append(nothing()); return; }
    const { step, all } = buckets(calls);
    caption(figure, title, note ? note : "Per " + stepText(step) + ".");
    if (note) return;
    const figures = layers.map(([, , , figureOf]) => all.map((bucket) => figureOf(bucket.calls) || 0));
    const stacked = figures.map((_, layer) => all.map((_, index) => figures.slice(0, layer + 1).reduce((total, each) => total + each[index], 0)));
    const bars = uPlot.paths.bars({ size: [0.85, 40], radius: 0.12 });
    const total = layers.map(([name], layer) => text(figures[layer].reduce((a, b) => a + b, 0)) + " " + name).join(", ");
    draw(figure, title + ": " + total + ", from " + moment(all[0].from) + " per " + stepText(step) + ". The table below has each.", 220, {
      scales: { x: { time: true, range: [(all[0].from - step * 0.1) / 1000, (all[all.length - 1].from + step * 1.1) / 1000] }, y: { range: (_, min, max) => [0, max > 0 ? max * 1.08 : 1] } },
      axes: [timeAxis(), figureAxis((value) => (value === 0 ? "0" : text(value)))],
      series: [{}, ...layers.map(([, , colour]) => ({ paths: bars, points: { show: false }, fill: css(colour), stroke: css(colour), width: 0 })).reverse()],
      cursor: { x: false, points: { show: false } },
    }, [all.map((bucket) => (bucket.from + step / 2) / 1000), ...stacked.slice().reverse()],
    (index) => [moment(all[index].from), ...layers.map(([name], layer) => text(figures[layer][index]) + " " + name)]);
    const cells = all.map((bucket, index) => [bucket, index]).filter(([bucket]) => bucket.calls.length);
    figure.append(
      layers.length > 1 ? legend(layers.map(([name, kind]) => [kind, name])) : "",
      h("details", {}, h("summary", {}, "As a table"), h("div", { class: "scroll" }, h("table", {},
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "From"), layers.map(([name]) => h("th", { scope: "col", class: "number" }, name)))),
        h("tbody", {}, cells.map(([bucket, index]) => h("tr", {}, h("th", { scope: "row" }, moment(bucket.from)), figures.map((figure) => h("td", { class: "number" }, text(figure[index]))))))))));
    figure.querySelector("details").addEventListener("toggle", () => reachable(figure));
  }

  function renderCharts(calls) {
    charts.forEach(({ plot }) => plot.destroy());
    charts = [];
    const priced = calls.some((call) => call.cost > 0);
    for (const id of ["tokens", "cost"]) byId(id).classList.toggle("wide", !priced);
    renderLatency(calls);
    const total = (name) => (some) => sum(some, (call) => call.tokens[name]);
    const fresh = (some) => (total("prompt")(some) || 0) - (total("cached")(some) || 0);
    renderBars("tokens", "Tokens over time", null, calls, [["in, cached", "t0", "--t0", total("cached")], ["in", "t1", "--t1", fresh], ["out", "t2", "--t2", total("completion")]], brief);
    renderBars("cost", "Cost over time", priced ? null : "No call here has a price: the outbox knows none, OpenObserve those of its price list.",
      calls, [["cost", "t2", "--t2", (some) => sum(some, (call) => call.cost)]], money);
  }

  // --- The whole -----------------------------------------------------------------------------------------------------

  function render() {
    const calls = matching();
    const left = DATA.calls_left_out ? " " + whole.format(DATA.calls_left_out) + " older ones are left out of this page." : "";
    byId("shown").textContent = (calls.length === CALLS.length ? counted(CALLS.length, "call") + "." : whole.format(calls.length) + " of " + counted(CALLS.length, "call") + ".") + left;
    renderTiles(calls);
    renderCharts(calls);
    renderModels(calls);
    renderErrors(calls);
    renderTable(calls);
    reachable(document.body);
  }

  function renderAnew() {
    state.rows = ROWS_AT_ONCE;
    render();
  }

  function setUpTheme() {
    const button = byId("theme"), preferred = window.matchMedia("(prefers-color-scheme: dark)"), root = document.documentElement;
    const set = (dark) => {
      root.dataset.theme = dark ? "dark" : "light";
      button.textContent = dark ? "Light" : "Dark";
      button.setAttribute("aria-label", button.textContent + " colours");
    };
    button.addEventListener("click", () => { set(root.dataset.theme !== "dark"); renderCharts(matching()); });
    preferred.addEventListener("change", () => { set(preferred.matches); renderCharts(matching()); });
    set(preferred.matches);
  }

  function origin() {
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const range = CALLS.length ? span(CALLS).map(moment).join(" to ") : DATA.since === null ? "" : "since " + moment(DATA.since);
    byId("origin").textContent = [DATA.source, range, "made " + moment(DATA.made), "times are " + zone].filter(Boolean).join(" · ");
  }

  new ResizeObserver(() => charts.forEach(({ plot, frame, height }) => {
    const width = Math.max(200, frame.clientWidth);
    if (width !== plot.width) plot.setSize({ width, height });
  })).observe(document.querySelector("main"));

  setUpFilters();
  setUpTheme();
  origin();
  render();
  document.documentElement.dataset.ready = "";
})();
