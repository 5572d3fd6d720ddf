// The browser of the questions. What models wrote is hostile: it reaches the page as text nodes only.

const PAGE = 20; // questions at once: few enough to draw within a frame or two
const VERDICTS = { right: "✓ right", wrong: "✗ wrong", none: "– no answer" };
const STAGES = { stage1: "stage 1", stage2: "stage 2", rejected: "rejected" };
const OF_RESPONSES = {
  source: (said, wanted) => said.source === wanted,
  score: (said, wanted) => String(said.score) === wanted,
  verdict: (said, wanted) => said.verdict === wanted,
  tool: (said, wanted) => (said.tool ? "yes" : "no") === wanted,
};

const form = document.getElementById("filters");
const list = document.getElementById("list");
const status = document.getElementById("status");
let questions = []; // all of them
let found = []; // those that the filters leave, as numbers into questions
let page = 0;

// Elements. Every string among the children becomes a text node.
function make(name, className, ...children) {
  const element = document.createElement(name);
  if (className) element.className = className;
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

// The text in parts, with what is searched for marked.
function marked(text, needle) {
  if (!needle) return [text];
  const pattern = new RegExp(`(${needle.replace(/[.*+?^$${}()|[\]\\]/g, "\\$&")})`, "gi");
  return text.split(pattern).map((part, at) => (at % 2 ? make("mark", "", part) : part));
}

function card(said, wanted) {
  const isMatch = wanted.some(([test, value]) => test(said, value)) && wanted.every(([test, value]) => test(said, value));
  const text = make("div", "text");
  const needle = form.elements.search.value.trim();
  if (said.call) {
    const [start, end] = said.call;
    text.append(
      ...marked(said.text.slice(0, start), needle),
      make("code", "", ...marked(said.text.slice(start, end), needle)),
      make("span", "result", said.error ? " → fails" : ` → ${said.answer ?? "nothing"}`),
      ...marked(said.text.slice(end), needle),
    );
  } else {
    text.append(...(said.text ? marked(said.text, needle) : [make("span", "quiet", "(empty)")]));
  }
  const scored = said.score !== undefined;
  const badge = scored ? make("span", `badge score-${said.score}`, String(said.score)) : null;
  if (badge) badge.title = `score ${said.score}`;
  const answer = said.answer && !said.call ? `, answers ${said.answer}` : null;
  return make(
    "section",
    isMatch ? "card match" : "card",
    make("header", "", make("h4", "", said.source), badge),
    text,
    make(
      "footer",
      "",
      make("span", `is-${said.verdict}`, VERDICTS[said.verdict]),
      answer,
      said.error ? make("div", "", `The call fails: ${said.error}`) : null,
      said.note ? make("div", "quiet", said.note) : null,
    ),
  );
}

function article(question, wanted) {
  const needle = form.elements.search.value.trim();
  const link = make("a", "", ...marked(question.id, needle));
  link.href = `#${encodeURIComponent(question.id)}`;
  const tags = question.stages.map((stage) => make("span", stage === "rejected" ? "tag bad" : "tag", STAGES[stage]));
  const element = make(
    "article",
    "",
    make("h3", "", link),
    make("span", "tag", question.split),
    ...tags,
    make("p", "question", ...marked(question.question, needle)),
    make("p", "", "Gold answer: ", make("span", "gold", question.gold.join(" or ") || "not known")),
    question.reason ? make("p", "is-wrong", `Rejected: ${question.reason}`) : null,
    question.solution
      ? make("details", "", make("summary", "", "Worked solution"), make("div", "text", question.solution))
      : null,
    make("div", "cards", ...question.responses.map((said) => card(said, wanted))),
  );
  element.tabIndex = -1;
  return element;
}

// What is asked of a question as a whole, and of one of its responses.
function filters() {
  const value = Object.fromEntries(new FormData(form));
  const wanted = Object.entries(OF_RESPONSES)
    .filter(([name]) => value[name])
    .map(([name, test]) => [test, value[name]]);
  return { ...value, needle: value.search.trim().toLowerCase(), wanted };
}

function select() {
  const { split, stage, reason, needle, wanted } = filters();
  found = [];
  questions.forEach((question, at) => {
    if (split && question.split !== split) return;
    if (stage && !question.stages.includes(stage)) return;
    if (reason && question.reason !== reason) return;
    if (wanted.length && !question.responses.some((said) => wanted.every(([test, v]) => test(said, v)))) return;
    if (needle && !question.haystack.includes(needle)) return;
    found.push(at);
  });
}

function show() {
  const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
  page = Math.min(Math.max(page, 0), last);
  const { wanted } = filters();
  const shown = found.slice(page * PAGE, (page + 1) * PAGE);
  list.replaceChildren(...shown.map((at) => article(questions[at], wanted)));
  const count = (number) => number.toLocaleString("en");
  const which = `${count(page * PAGE + 1)} to ${count(page * PAGE + shown.length)} of ${count(found.length)}`;
  const of = found.length < questions.length ? ` (${count(questions.length)} in all)` : "";
  status.textContent = found.length ? `Questions ${which}${of}` : `No question fits${of}`;
  for (const button of document.querySelectorAll("[data-page]")) {
    button.disabled = button.dataset.page === "1" ? page === last : page === 0;
  }
}

// After a change of a filter. The address keeps the filters, so that a view can be sent as a link.
function refresh() {
  const set = [...new FormData(form)].filter(([, value]) => value);
  history.replaceState(null, "", set.length ? `#?${new URLSearchParams(set)}` : "#");
  page = 0;
  select();
  show();
}

function turn(by) {
  page += by;
  show();
  list.firstElementChild?.scrollIntoView();
}

function focus(element) {
  element?.focus({ preventScroll: true });
  element?.scrollIntoView();
}

// "#id" is one question; "#?split=test&score=0" is a view.
function follow() {
  const hash = location.hash.slice(1);
  if (hash.startsWith("?")) {
    form.reset();
    for (const [name, value] of new URLSearchParams(hash)) {
      if (form.elements[name]) form.elements[name].value = value;
    }
  }
  page = 0;
  select();
  const id = hash.startsWith("?") ? "" : decoded(hash);
  const at = id ? questions.findIndex((question) => question.id === id) : -1;
  if (at < 0) return show();
  if (!found.includes(at)) {
    form.reset();
    select();
  }
  page = Math.floor(found.indexOf(at) / PAGE);
  show();
  focus(list.children[found.indexOf(at) % PAGE]);
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function fill(name, values, names = {}) {
  const options = [...values].map((value) => new Option(names[value] ?? value, value));
  form.elements[name].replaceChildren(new Option("any", ""), ...options);
  form.elements[name].disabled = options.length === 0;
}

function prepare(data) {
  questions = data.questions;
  const said = questions.flatMap((question) => question.responses);
  for (const question of questions) {
    const texts = question.responses.map((response) => response.text);
    question.haystack = [question.id, question.question, ...texts].join("\n").toLowerCase();
  }
  const scores = new Set(said.map((response) => response.score).filter((score) => score !== undefined));
  const reasons = new Set(questions.map((question) => question.reason).filter(Boolean));
  fill("split", new Set(questions.map((question) => question.split)));
  fill("stage", Object.keys(STAGES).filter((stage) => questions.some((q) => q.stages.includes(stage))), STAGES);
  fill("source", new Set([...data.sources, ...said.map((response) => response.source)]));
  fill("score", [...scores].sort((a, b) => b - a));
  fill("verdict", Object.keys(VERDICTS), VERDICTS);
  fill("tool", ["yes", "no"], { yes: "calls it", no: "does not" });
  fill("reason", reasons);
}

function listen() {
  let waiting = 0;
  form.addEventListener("input", (event) => {
    clearTimeout(waiting);
    waiting = setTimeout(refresh, event.target.name === "search" ? 120 : 0);
  });
  form.addEventListener("reset", () => setTimeout(refresh));
  form.addEventListener("submit", (event) => event.preventDefault());
  document.addEventListener("click", (event) => {
    const { page: by, filter, value } = event.target.dataset ?? {};
    if (by) turn(Number(by));
    if (!filter) return;
    form.reset();
    form.elements[filter].value = value;
    clearTimeout(waiting);
    setTimeout(() => (refresh(), form.scrollIntoView()));
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    const current = list.contains(document.activeElement) ? document.activeElement.closest("article") : null;
    const act = {
      "/": () => form.elements.search.focus(),
      j: () => focus(current ? current.nextElementSibling : list.firstElementChild),
      k: () => focus(current?.previousElementSibling),
      n: () => turn(1),
      p: () => turn(-1),
    }[event.key];
    if (act) event.preventDefault(), act();
  });
  addEventListener("hashchange", follow);
}

async function unpack(letters) {
  const text = atob(letters);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) bytes[at] = text.charCodeAt(at);
  if (typeof DecompressionStream === "undefined") return JSON.parse(new TextDecoder().decode(inflate(bytes)));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

// For browsers before 2023, which have no DecompressionStream: gzip as of RFC 1951 and 1952, without extra fields.
function inflate(bytes) {
  const out = new Uint8Array(new DataView(bytes.buffer).getUint32(bytes.length - 4, true));
  const order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
  let [at, to, held, bits] = [10, 0, 0, 0];
  function take(count) {
    for (; bits < count; bits += 8) held |= bytes[at++] << bits;
    const value = held & ((1 << count) - 1);
    held >>>= count;
    bits -= count;
    return value;
  }
  function tree(lengths) {
    const counts = new Uint16Array(16);
    for (const length of lengths) if (length) counts[length]++;
    const starts = new Uint16Array(17);
    counts.forEach((count, length) => (starts[length + 1] = starts[length] + count));
    const symbols = new Uint16Array(lengths.length);
    lengths.forEach((length, symbol) => length && (symbols[starts[length]++] = symbol));
    return { counts, symbols };
  }
  function symbol({ counts, symbols }) {
    for (let code = 0, first = 0, index = 0, length = 1; length < 16; length++) {
      code |= take(1);
      if (code - first < counts[length]) return symbols[index + code - first];
      index += counts[length];
      first = (first + counts[length]) << 1;
      code <<= 1;
    }
    throw new Error("the data in this page is damaged");
  }
  function dynamic() {
    const [literals, distances, codes] = [take(5) + 257, take(5) + 1, take(4) + 4];
    const lengths = new Array(19).fill(0);
    for (let i = 0; i < codes; i++) lengths[order[i]] = take(3);
    const codeTree = tree(lengths);
    const all = [];
    while (all.length < literals + distances) {
      const code = symbol(codeTree);
      if (code < 16) all.push(code);
      else if (code === 16) all.push(...new Array(3 + take(2)).fill(all.at(-1)));
      else all.push(...new Array(code === 17 ? 3 + take(3) : 11 + take(7)).fill(0));
    }
    return [tree(all.slice(0, literals)), tree(all.slice(literals))];
  }
  const plain = Array.from({ length: 288 }, (_, i) => (i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8));
  for (let isLast = 0; !isLast; ) {
    isLast = take(1);
    const kind = take(2);
    if (kind === 0) {
      held = bits = 0;
      const size = bytes[at] | (bytes[at + 1] << 8);
      out.set(bytes.subarray(at + 4, at + 4 + size), to);
      [at, to] = [at + 4 + size, to + size];
      continue;
    }
    const [literals, distances] = kind === 1 ? [tree(plain), tree(new Array(30).fill(5))] : dynamic();
    for (let code = symbol(literals); code !== 256; code = symbol(literals)) {
      if (code < 256) {
        out[to++] = code;
        continue;
      }
      const group = code < 265 || code === 285 ? 0 : (code - 261) >> 2;
      const length = code === 285 ? 258 : (code < 265 ? code - 254 : ((4 + ((code - 265) & 3)) << group) + 3) + take(group);
      const far = symbol(distances);
      const more = far < 4 ? 0 : (far >> 1) - 1;
      const from = to - ((far < 4 ? far : (2 + (far & 1)) << more) + 1) - take(more);
      for (let i = 0; i < length; i++) out[to++] = out[from + i];
    }
  }
  return out;
}

unpack(document.getElementById("data").textContent)
  .then((data) => {
    prepare(data);
    listen();
    follow();
    performance.mark("shown");
    document.body.dataset.ready = "yes";
  })
  .catch((error) => {
    status.textContent = `The questions cannot be shown: ${error.message}`;
    throw error;
  });
