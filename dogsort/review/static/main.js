// The page: what is shown, what the keys and buttons do, what the server says meanwhile.

import { Album, LABELS } from "./album.js";
import { ask, pause } from "./api.js";
import { Filing } from "./filing.js";
import { Grid } from "./grid.js";
import { listenToKeys } from "./keys.js";
import { Saver } from "./saver.js";
import { Viewer } from "./viewer.js";
import { baseName, count, photos, printable, words } from "./words.js";

const $ = (name) => document.getElementById(name);
const EVERY = 1000; // milliseconds between questions for what is new
const LIMITS = [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 1];
const TOAST = 6000; // milliseconds
const KEPT = "show"; // the name under which the browser keeps what is shown, for a reload

const album = new Album();
const grid = new Grid($("grid"), album);
const viewer = new Viewer($("viewer"), album, grid);
const saver = new Saver(album, { changed: paint, moved, dropped, undone });
const filing = new Filing($("filing"), album, { settled, say });
const show = {
  filter: "", order: "doubt", search: "", upTo: LIMITS.length - 1, tileSize: 200, fit: false,
  ...JSON.parse(sessionStorage.getItem(KEPT) ?? "{}"),
};
let isAway = false; // the server does not answer
let isOver = false; // the server was told to stop
let isStale = false; // some photos may be out of place in the list

function say(text) {
  $("said").textContent = "";
  requestAnimationFrame(() => { $("said").textContent = text; });
}

function notice(text) {
  $("notice").textContent = text;
  $("notice").hidden = !text;
}

function toast(text) {
  say(text);
  $("toast").firstElementChild.textContent = text;
  $("toast").hidden = false;
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => { $("toast").hidden = true; }, TOAST);
}

// What is to be seen.

function sort(find) {
  const { filter, order, search, upTo } = show;
  const wanted = { filter, order, search: search.toLowerCase(), upTo: LIMITS[upTo] };
  grid.show(album.view(wanted), find);
  isStale = false;
  paint();
}

function change(values) {
  Object.assign(show, values);
  sessionStorage.setItem(KEPT, JSON.stringify(show));
  grid.tileSize = show.tileSize;
  document.body.classList.toggle("fit", show.fit);
  if ("tileSize" in values) grid.layout();
  for (const name of ["order", "search", "upTo", "tileSize"]) $(name).value = show[name];
  $("fit").checked = show.fit;
  const percent = LIMITS[show.upTo] * 100;
  $("upToValue").textContent = words.upToValue(percent);
  $("upTo").setAttribute("aria-valuetext", words.upToValue(percent));
  for (const radio of document.querySelectorAll("[name=filter]")) {
    radio.checked = radio.value === show.filter;
  }
}

function look(values) {
  change(values);
  grid.clear();
  grid.active = 0;
  sort(() => undefined);
  say(photos(grid.view.length));
}

function paint() {
  const counts = album.counts();
  for (const [name, number] of Object.entries(counts)) {
    $(`count-${name}`).textContent = count(number);
    $(`count-${name}`).closest("label").hidden = name === "failed" && !number;
  }
  const tally = album.tally();
  const begin = words.begin[matchMedia("(hover: none)").matches ? "touch" : "keys"];
  $("tally").textContent = tally.looked ? words.tally(tally) : begin;
  $("tally").title = tally.looked ? words.tallyHint : "";
  const chosen = grid.selected.size;
  $("chosen").hidden = !chosen;
  $("chosen").firstElementChild.textContent = words.selected(chosen);
  const { table, running, expected, size, job } = album;
  const { unsaved, problem } = saver;
  const kind = album.read_only || problem ? "problem" : saver.queue.length ? "saving" : "saved";
  const text = album.read_only ? words.readOnly(album.read_only)
    : problem ? words.notSaved(unsaved, problem) : words[kind];
  if ($("state").textContent !== text) $("state").textContent = text;
  $("state").className = kind;
  $("state").title = words.savedHint(printable(table));
  $("refresh").hidden = !isStale;
  $("empty").hidden = grid.view.length > 0;
  $("empty").textContent = running && !size ? words.emptyRunning
    : show.search ? words.empty.search : show.filter === "all" ? words.empty.all
      : words.empty.other;
  const working = job && !job.finished;
  $("progress").hidden = !running && !working;
  $("progress").lastElementChild.textContent =
    working ? words.progress(job) : words.running(size, expected);
  const bar = $("progress").firstElementChild;
  const [value, max] = working ? [job.done, job.total] : [size, expected];
  if (max) Object.assign(bar, { value, max });
  else bar.removeAttribute("value");
  grid.repaint();
  viewer.paint();
}

// What a person decides.

function decide(label) {
  if (album.read_only || isOver) return;
  const isOne = viewer.isOpen || !grid.selected.size;
  let rows = viewer.isOpen ? [grid.row] : grid.targets;
  if (label === "confirm") rows = rows.filter((row) => LABELS[album.label[row]] !== "failed");
  if (!rows.length) return;
  isStale ||= show.filter !== "all";
  saver.label(rows, label);
  const named = label === "confirm" ? words.right : words.labels[LABELS.indexOf(label)];
  if (isOne) say(`${baseName(album.path[rows[0]])}: ${named}`);
  else toast(words.labelled(rows.length, named));
  const moved = viewer.isOpen ? viewer.step(1) : grid.goOn();
  if (!moved && isOne) say(words.end);
}

function confirmShown() {
  if (grid.selected.size || viewer.isOpen) return decide("confirm");
  if (album.read_only || isOver) return;
  const [first, last] = grid.shown;
  const rows = grid.view.slice(first, last + 1)
    .filter((row) => LABELS[album.label[row]] !== "failed");
  if (!rows.length) return;
  saver.label(rows, "confirm");
  toast(words.confirmed(rows.length));
  grid.goOnAfter(last);
}

async function undone(rows) {
  await poll();
  toast(words.undone(rows.length));
  const position = grid.view.findIndex((row) => row === rows[0]);
  if (position >= 0) grid.moveTo(position);
  if (viewer.isOpen) viewer.show();
}

function dropped(problem) {
  notice(problem.message);
  poll();
}

async function moved() {
  const find = await album.reload();
  saver.renumber(find);
  sort(find);
  if (viewer.isOpen) viewer.show();
  notice(words.reloaded);
}

async function settled() {
  while (saver.queue.length) await pause(50);
}

// What the server says.

let polling = Promise.resolve();
function poll() {
  polling = polling.then(askForNews, askForNews);
  return polling;
}

async function askForNews() {
  const { generation, version } = album;
  const news = await ask(`/changes?generation=${generation}&since=${version}`);
  if (isAway) {
    isAway = false;
    notice("");
    grid.retry();
  }
  if (news.generation !== generation) return moved();
  const before = JSON.stringify([album.running, album.job, album.size]);
  const added = album.take(news);
  saver.setAgain();
  if (added.length) arrived(added);
  const after = JSON.stringify([album.running, album.job, album.size]);
  if (news.rows.length || before !== after) paint();
  filing.progress(album.job);
}

// Photos that were just classified: in their place as long as nobody has begun to look.
function arrived(rows) {
  const untouched = grid.active === 0 && !grid.selected.size && grid.root.scrollTop === 0
    && !viewer.isOpen;
  if (untouched) return sort();
  const wanted = { ...show, search: show.search.toLowerCase(), upTo: LIMITS[show.upTo] };
  grid.append(rows.filter((row) => album.matches(row, wanted)));
  isStale = true;
}

async function watch() {
  while (!isOver) {
    await pause(EVERY);
    if (document.hidden && !album.running) continue;
    try {
      await poll();
    } catch (problem) {
      if (isOver) return;
      isAway = true;
      notice(problem.status === 403 ? problem.message : words.stopped(printable(album.table)));
    }
  }
}

async function watchDates() {
  while (!isOver && (show.order === "old" || show.order === "young")) {
    const complete = await album.loadDates().catch(() => false);
    sort();
    if (complete) return;
    await pause(EVERY);
  }
}

async function end() {
  if (saver.queue.length && !confirm(words.unsavedEnd)) return;
  await ask("/done", {}).catch(() => {});
  isOver = true;
  document.body.classList.add("over");
  document.body.replaceChildren(Object.assign(document.createElement("p"),
    { id: "empty", role: "status", textContent: words.ended(printable(album.table)) }));
}

// The page's parts.

function build() {
  document.documentElement.lang = words.lang;
  for (const element of document.querySelectorAll("[data-word]")) {
    element.textContent = words[element.dataset.word];
  }
  for (const element of document.querySelectorAll("[data-label], [data-hint]")) {
    const { label, hint } = element.dataset;
    if (label) element.setAttribute("aria-label", words[label]);
    element.title = words[label ?? hint];
  }
  $("search").placeholder = words.searchHint;
  for (const [name, text] of Object.entries(words.filters)) {
    const label = $("filters").appendChild(document.createElement("label"));
    label.className = name;
    const radio = Object.assign(document.createElement("input"),
      { type: "radio", name: "filter", value: name });
    const number = Object.assign(document.createElement("b"), { id: `count-${name}` });
    label.append(radio, `${text} `, number);
  }
  for (const [value, text] of Object.entries(words.orders)) $("order").add(new Option(text, value));
  for (const [keys, what] of words.keyList) {
    const term = document.createElement("dt");
    for (const key of keys.split(" ")) {
      term.append(Object.assign(document.createElement("kbd"), { textContent: key }), " ");
    }
    const said = Object.assign(document.createElement("dd"), { textContent: what });
    $("keys").querySelector("dl").append(term, said);
  }
  // The same buttons below the large view.
  const copy = document.querySelector(".labels").cloneNode(true);
  $("viewer").querySelector(".foot").append(copy);
}

const commands = {
  decide, confirmShown, undo: () => saver.undo(), sort: () => sort(), help: () => $("keys").showModal(),
  search: () => { $("more").setAttribute("aria-expanded", "true"); $("search").focus(); },
  resize: (by) => change({ tileSize: Math.max(100, Math.min(show.tileSize + by * 40, 400)) }),
};

function listen() {
  const click = (name, act) => $(name).addEventListener("click", act);
  click("undo", commands.undo);
  click("help", commands.help);
  click("file", () => filing.open());
  click("done", end);
  click("clear", () => grid.clear());
  click("allRight", confirmShown);
  click("refresh", () => sort());
  click("more", () => {
    const isOpen = $("more").getAttribute("aria-expanded") === "true";
    $("more").setAttribute("aria-expanded", String(!isOpen));
  });
  $("toast").querySelector("button").addEventListener("click", commands.undo);
  for (const button of document.querySelectorAll("[data-set]")) {
    button.addEventListener("click", () => decide(button.dataset.set));
  }
  $("filters").addEventListener("change", (event) => look({ filter: event.target.value }));
  $("order").addEventListener("change", (event) => {
    look({ order: event.target.value });
    watchDates();
  });
  $("upTo").addEventListener("input", (event) => look({ upTo: Number(event.target.value) }));
  $("tileSize").addEventListener("input", (event) => change({ tileSize: +event.target.value }));
  $("fit").addEventListener("change", (event) => change({ fit: event.target.checked }));
  let typing;
  $("search").addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(() => look({ search: event.target.value }), 150);
  });
  grid.addEventListener("open", () => viewer.open());
  grid.addEventListener("change", () => {
    $("chosen").hidden = !grid.selected.size;
    $("chosen").firstElementChild.textContent = words.selected(grid.selected.size);
  });
  document.addEventListener("visibilitychange", () => document.hidden || poll().catch(() => {}));
  window.addEventListener("beforeunload", (event) => saver.queue.length && event.preventDefault());
  listenToKeys(grid, viewer, commands);
}

async function start() {
  build();
  listen();
  try {
    await album.load();
  } catch (problem) {
    return notice(problem.message);
  }
  $("folder").textContent = printable(album.folder ?? album.table);
  document.title = `${baseName(album.folder ?? album.table)} · dogsort`;
  const unlooked = (row) => LABELS[album.label[row]] === "unsure" && !album.isLooked(row);
  change({ filter: show.filter || (album.label.some((_, row) => unlooked(row)) ? "unsure" : "all") });
  sort();
  watchDates();
  grid.root.focus();
  watch();
}

start();
