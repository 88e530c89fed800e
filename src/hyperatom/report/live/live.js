// Follows a run: asks the server every second, and changes what has changed.
"use strict";

const EVERY = 1000; // ms between two questions
const find = (id) => document.getElementById(id);
let held = false;
let shown = "";
let state = {};
const drawn = new Map();
const space = { key: "", view: null };

function make(tag, text, className) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (className) node.className = className;
  return node;
}

function drawing(markup) {
  const parsed = new DOMParser().parseFromString(markup, "image/svg+xml");
  return document.importNode(parsed.documentElement, true);
}

async function ask() {
  if (held) return;
  try {
    const answer = await fetch("state.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(answer.statusText);
    const text = await answer.text();
    lost(false);
    if (text !== shown) {
      shown = text;
      state = JSON.parse(text);
      show();
    }
  } catch {
    lost(true);
  }
}

function lost(yes) {
  if (yes) tell("The page's server has ended. What you see is the last that it said.");
  else tell(state.problem || "");
  find("state").classList.toggle("lost", yes);
}

function tell(sentence) {
  const place = find("problem");
  if (place.textContent !== sentence) place.textContent = sentence;
  place.hidden = !sentence;
}

function show() {
  document.title = `${state.word} · ${state.title}`;
  find("title").textContent = state.title;
  find("subtitle").textContent = state.subtitle;
  find("word").textContent = state.word;
  // One beat for each piece of news; a dot that never rests would cost the run processor time.
  find("state").className = `state ${state.state}`;
  requestAnimationFrame(() => find("state").classList.add("beat"));
  tell(state.problem || "");
  const sentence = find("sentence");
  sentence.replaceChildren(state.sentence);
  if (state.command) sentence.append(" ", make("code", state.command));
  stages();
  find("tiles").replaceChildren(...state.tiles.map(tile));
  for (const place of document.querySelectorAll("[data-picture]")) picture(place);
  find("walkers").replaceChildren(...state.walkers.map(walker));
  find("notes").replaceChildren(...state.notes.map((note) => make("p", note, "note")));
  find("farm-rows").replaceChildren(...state.farm.map(([name, value]) => {
    const row = make("tr");
    row.append(make("th", name), make("td", value));
    return row;
  }));
  find("workers").hidden = state.workers.length === 0;
  find("worker-rows").replaceChildren(...state.workers.map(worker));
  find("log-lines").textContent = state.log.join("\n") || "Nothing yet.";
  inSpace();
  tick();
}

function stages() {
  const current = { start: 0, learn: 0, probe: 1, produce: 2, average: 3 }[state.state];
  const tones = ["learn", "probe", "produce", "average"];
  const names = ["learning", "probation", "production", "guide alone"];
  const list = find("stages");
  while (list.children.length > state.stages.length) list.lastChild.remove();
  state.stages.forEach((stage, place) => {
    let item = list.children[place];
    if (!item) {
      item = make("li");
      const bar = make("span", undefined, "bar");
      bar.append(make("i"));
      item.append(bar, make("span", "", "name"), make("span", "", "count"));
      list.append(item);
    }
    const kind = names.indexOf(stage.name);
    item.className = tones[kind];
    if (kind === current) item.setAttribute("aria-current", "step");
    else item.removeAttribute("aria-current");
    item.querySelector("i").style.width = `${Math.min(100, (100 * stage.done) / stage.total)}%`;
    item.querySelector(".name").textContent = stage.name;
    item.querySelector(".count").textContent =
      `${stage.done.toLocaleString("en")} of ${stage.total.toLocaleString("en")} ${stage.unit}`;
  });
}

function tile({ name, value, remark }) {
  const box = make("div");
  const number = make("dd", value);
  number.append(make("small", remark));
  box.append(make("dt", name), number);
  return box;
}

function picture(place) {
  const name = place.dataset.picture;
  const found = state.pictures[name];
  const key = found ? found.svg : "";
  if (drawn.get(name) === key) return;
  drawn.set(name, key);
  if (!found) {
    place.replaceChildren(make("p", place.dataset.empty, "empty"));
    return;
  }
  const figure = make("figure");
  figure.id = name;
  const wide = make("div", undefined, "wide");
  wide.append(drawing(found.svg));
  figure.append(wide, make("figcaption", found.caption));
  place.replaceChildren(figure);
}

// Decisions: height and colour both tell them apart; pale ones do not count.
const MARKS = {
  a: [22, "accepted"],
  r: [12, "rejected by the reference"],
  v: [6, "rejected unasked: the guide does not trust itself"],
  f: [16, "no answer from the reference"],
};

function mark(letter, x) {
  const kind = letter.toLowerCase();
  const height = MARKS[kind][0];
  const pale = kind === letter ? " pale" : "";
  return `<rect class="mark-${kind}${pale}" x="${x}" y="${22 - height}" width="6" height="${height}" rx="1.5"/>`;
}

function strip(letters, width) {
  const marks = [...letters].map((letter, place) => mark(letter, 8 * place)).join("");
  return drawing(
    `<svg xmlns="http://www.w3.org/2000/svg" class="decisions" viewBox="0 0 ${width} 22" ` +
    `preserveAspectRatio="xMinYMid meet" role="img" aria-label="${letters}">${marks}</svg>`);
}

function walker(one) {
  const row = make("tr");
  const number = (text) => make("td", text, "number");
  const last = make("td", undefined, "wider");
  last.append(strip(one.decisions, 8 * Math.max(40, one.decisions.length)));
  row.append(
    make("td", String(one.walker)),
    number(one.steps.toLocaleString("en")),
    number(one.counted.toLocaleString("en")),
    number(one.acceptance === null ? "–" : `${(100 * one.acceptance).toFixed(0)} %`),
    number(one.energy === null ? "–" : `${one.energy >= 0 ? "+" : "−"}${Math.abs(one.energy).toFixed(2)} meV/atom`),
    last);
  return row;
}

function worker(one) {
  const row = make("tr");
  row.append(
    make("td", one.worker, one.busy ? "busy" : "idle"), make("td", one.doing),
    make("td", String(one.done), "number"), make("td", String(one.failed), "number"),
    make("td", `${one.silent} ago`, "number"));
  return row;
}

function legend() {
  const entries = Object.entries(MARKS).map(([kind, [, words]]) => {
    const entry = make("span");
    entry.append(drawing(
      `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 6 22">${mark(kind.toUpperCase(), 0)}</svg>`),
      words);
    return entry;
  });
  find("legend").replaceChildren(...entries, make("span", "pale: learning, counts for nothing"));
}

function inSpace() {
  const place = find("space");
  if (find("structure").hidden) return;
  if (!state.space) {
    place.replaceChildren(make("p", "No configuration yet.", "empty"));
    return;
  }
  const key = JSON.stringify(state.space);
  if (key === space.key) return;
  space.key = key;
  if (space.view) space.view.change(state.space);
  else space.view = hyperatomSpace(place, state.space, "3Dmol.js");
}

function tick() {
  if (!state.changed) return;
  const seconds = Math.max(0, Math.round(Date.now() / 1000 - state.changed));
  const spans = [[86400, "days"], [3600, "h"], [60, "min"]];
  const [size, unit] = spans.find(([length]) => seconds >= 2 * length) || [1, "s"];
  const span = `${size === 1 ? seconds : (seconds / size).toFixed(1)} ${unit}`;
  find("ago").textContent = state.state === "finished" || state.state === "stopped"
    ? `last step ${span} ago` : `${span} since the last step`;
}

function choose(name, focus) {
  for (const tab of find("tabs").children) {
    const chosen = tab.getAttribute("aria-controls") === name;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    find(tab.getAttribute("aria-controls")).hidden = !chosen;
    if (chosen && focus) tab.focus();
  }
  history.replaceState(null, "", `#${name}`);
  if (state.title) inSpace();
}

find("tabs").addEventListener("click", (event) => {
  const tab = event.target.closest("[role=tab]");
  if (tab) choose(tab.getAttribute("aria-controls"));
});
find("tabs").addEventListener("keydown", (event) => {
  const names = [...find("tabs").children].map((tab) => tab.getAttribute("aria-controls"));
  const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!move) return;
  const now = names.findIndex((name) => !find(name).hidden);
  choose(names[(now + move + names.length) % names.length], true);
});
find("hold").addEventListener("click", () => {
  held = !held;
  find("hold").setAttribute("aria-pressed", String(held));
  find("hold").textContent = held ? "Go on" : "Hold";
  if (!held) ask();
});
find("shade").addEventListener("click", () => {
  const shades = ["auto", "light", "dark"];
  const now = document.documentElement.dataset.shade || "auto";
  const next = shades[(shades.indexOf(now) + 1) % shades.length];
  if (next === "auto") delete document.documentElement.dataset.shade;
  else document.documentElement.dataset.shade = next;
  find("shade").textContent = `Theme: ${next}`;
  space.key = "";
  if (state.title) inSpace();
});

legend();
const wanted = location.hash.slice(1);
choose(["learning", "chains", "structure", "farm", "log"].includes(wanted) ? wanted : "learning");
ask();
setInterval(ask, EVERY);
setInterval(tick, 1000);
