// The page: what is shown, what keys and buttons do, and news from the server.

import { Album, LABELS } from "./album.js";
import { Saver, ask, make, pause } from "./api.js";
import { Filing } from "./filing.js";
import { Grid } from "./grid.js";
import { listenToKeys } from "./keys.js";
import { Viewer } from "./viewer.js";
import { baseName, count, printable, words } from "./words.js";

const EVERY = 1000; // milliseconds between requests for changes
const LIMITS = [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.999, 1];
const [SMALLEST, LARGEST] = [100, 400]; // pixels of a tile

const $ = (name) => document.getElementById(name);
// What survives a reload: what is shown, where, and unsaved corrections.
const kept = JSON.parse(sessionStorage.getItem("kept") ?? "{}");
const show = { filter: "", order: "doubt", search: "", upTo: 1, tileSize: 200, fit: false, ...kept.show };
const album = new Album();
const grid = new Grid($("grid"), album, { changed: paintChosen, open: () => viewer.open() });
const viewer = new Viewer($("viewer"), album, grid);
const saver = new Saver(album, { changed: paint, undone, moved, dropped });
const filing = new Filing($("filing"), album, settled);
let isOver = false; // the server was told to stop
let warning = "";
let parting = ""; // what to say after the page has reloaded itself

function say(text) {
  $("said").textContent = "";
  requestAnimationFrame(() => { $("said").textContent = text; });
}

function warn(text) {
  warning = text;
  paint();
}

// What is shown.

function sort(row) {
  grid.show(album.view(show), row);
  paint();
}

function look(values) {
  Object.assign(show, values);
  for (const name of ["order", "search", "tileSize"]) $(name).value = show[name];
  $("upTo").value = LIMITS.indexOf(show.upTo);
  $("upTo").ariaValueText = $("upToValue").textContent = words.upToValue(show.upTo);
  $("fit").checked = show.fit;
  $("filters").querySelector(`[value=${show.filter}]`).checked = true;
  document.body.classList.toggle("fit", show.fit);
  grid.tileSize = show.tileSize;
  if ("tileSize" in values || "fit" in values) return grid.layout();
  grid.selected = new Set();
  sort(null);
  say(words.listed(grid.view.length));
}

function paint() {
  for (const [name, number] of Object.entries(album.counts())) $(`count-${name}`).textContent = count(number);
  const { table, running, expected, path, job, read_only, trouble } = album;
  const tally = album.tally();
  const begin = matchMedia("(hover: none)").matches ? words.beginTouch : words.begin;
  $("tally").textContent = tally.looked ? words.tally(tally) : begin;
  $("tally").title = words.tallyHint(tally);
  const kind = read_only || saver.problem ? "problem" : saver.queue.length ? "saving" : "saved";
  Object.assign($("state"), { textContent: words[kind], className: kind, title: words.savedIn(printable(table)) });
  const rows = saver.queue.reduce((sum, step) => sum + (step.rows?.length ?? 0), 0);
  const notice = read_only ? words.readOnly(read_only)
    : saver.problem ? words.notSaved(rows, saver.problem) : warning || printable(trouble);
  if ($("notice").textContent !== notice) $("notice").textContent = notice;
  $("empty").textContent = grid.view.length ? "" : running ? words.emptyRunning : words.empty;
  const isFiling = job && !job.finished;
  $("progress").hidden = !running && !isFiling;
  $("progress").lastElementChild.textContent =
    isFiling ? words.progress(job) : words.running(path.length, expected);
  const [value, max] = isFiling ? [job.done, job.total] : [path.length, expected ?? 0];
  Object.assign($("progress").firstElementChild, { value, max: max || 1 });
  paintChosen();
}

function paintChosen() {
  $("chosen").hidden = !grid.selected.size;
  $("chosen").firstElementChild.textContent = words.selected(grid.selected.size);
  grid.repaint();
  viewer.paint();
}

// What a person does.

function decide(label, rows = viewer.dialog.open ? [grid.row] : grid.targets) {
  // A photo that cannot be shown has no label to confirm.
  if (label === "confirm") rows = rows.filter((row) => LABELS[album.label[row]] !== "failed");
  if (album.read_only || isOver || !rows.length) return;
  saver.add({ rows, label });
  const what = rows.length === 1 ? baseName(album.path[rows[0]]) : words.listed(rows.length);
  say(words.labelled(what, words.labels[LABELS.indexOf(label)] ?? words.confirm));
}

function decideAndGoOn(label) {
  decide(label);
  if (viewer.dialog.open) viewer.step(1);
  else grid.goOn();
}

function confirmShown() {
  if (grid.selected.size || viewer.dialog.open) return decideAndGoOn("confirm");
  const [from, to] = grid.shown;
  decide("confirm", grid.view.slice(from, to));
  grid.moveTo(to);
  grid.root.scrollTop = Math.floor(grid.active / grid.columns) * grid.cell;
}

async function undone(rows) {
  await poll();
  say(words.undone(rows.length));
  const position = grid.view.indexOf(rows[0]);
  if (position >= 0) grid.moveTo(position);
  if (viewer.dialog.open) viewer.show();
}

async function settled() {
  while (saver.queue.length) await pause(50);
}

async function end() {
  if (saver.queue.length && !confirm(words.unsavedEnd)) return;
  isOver = true;
  await ask("/done", {}).catch(() => {});
  const filed = album.job?.kind === "file" && album.job.undoable;
  document.body.replaceChildren(make("p", { id: "empty" }, words.ended(printable(album.table), filed)));
}

// News from the server.

let polling = Promise.resolve();
function poll() {
  return (polling = polling.then(askForNews));
}

async function askForNews() {
  const { generation, version, path: { length } } = album;
  const before = JSON.stringify([album.running, album.expected, album.job]);
  const news = await ask(`/changes?generation=${generation}&since=${version}`).catch((problem) => problem);
  if (isOver) return;
  if (news instanceof Error) filing.lost();
  if (news instanceof Error) return warn(news.status ? news.message : words.stopped(printable(album.table)));
  if (news.generation !== generation) return moved();
  if (warning) {
    warn("");
    grid.retry();
  }
  album.take(news);
  saver.setAgain();
  if (album.path.length > length) arrived(length);
  if (news.rows.length || before !== JSON.stringify([album.running, album.expected, album.job])) paint();
  filing.progress(album.job);
}

// Rows have new numbers after the table was read again, so reload the page, and keep its place.
function moved(why = words.reloaded) {
  parting = why;
  location.reload();
}

// If the server refused a label, what the page shows is wrong.
function dropped({ status, message }) {
  if (status === 400) setTimeout(moved, 0, message);
  else say(message);
}

// Sort new photos in until somebody has begun to look; then append them.
function arrived(from) {
  $("said").textContent = ""; // it may show an old count
  if (!grid.active && !grid.selected.size && !viewer.dialog.open) return sort(null);
  const rows = [...album.path.keys()].slice(from).filter((row) => album.matches(row, show));
  grid.view.push(...rows);
  grid.layout();
}

async function watch() {
  for (; !isOver; await pause(EVERY)) if (!document.hidden) await poll();
}

async function loadDates() {
  for (let complete = false; !complete && show.order !== "doubt" && show.order !== "path";) {
    const found = await ask(`/dates/${album.generation}`).catch(() => ({ complete: true, dates: [] }));
    ({ complete, dates: album.dates } = found);
    sort();
    await pause(EVERY);
  }
}

// Building the page.

function build() {
  document.documentElement.lang = words.lang;
  $("viewer").querySelector(".foot").append(document.querySelector(".labels").cloneNode(true));
  for (const one of document.querySelectorAll("[data-word]")) one.append(words[one.dataset.word]);
  for (const one of document.querySelectorAll("[data-label]")) {
    one.title = one.ariaLabel = words[one.dataset.label];
  }
  $("search").placeholder = words.search;
  for (const [value, text] of Object.entries(words.filters)) {
    $("filters").append(make("label", { className: value },
      make("input", { type: "radio", name: "filter", value }), text, make("b", { id: `count-${value}` })));
  }
  for (const [value, text] of Object.entries(words.orders)) $("order").add(new Option(text, value));
  for (const [keys, what] of Object.entries(words.keyList)) {
    const signs = keys.split(" ").flatMap((key) => [make("kbd", {}, key), " "]);
    $("keys").querySelector("dl").append(make("dt", {}, ...signs), make("dd", {}, what));
  }
}

const commands = {
  decide: decideAndGoOn, confirmShown, sort, undo: () => saver.add({}),
  help: () => $("keys").showModal(), search: () => $("search").focus(),
  resize: (by) => look({ tileSize: Math.max(SMALLEST, Math.min(show.tileSize + by * 40, LARGEST)) }),
};

function listen() {
  const buttons = {
    undo: commands.undo, help: commands.help, file: () => filing.open(), done: end,
    clear: () => grid.select([]), allRight: confirmShown, refresh: () => sort(),
  };
  for (const [name, act] of Object.entries(buttons)) $(name).addEventListener("click", act);
  for (const button of document.querySelectorAll("[data-set]")) {
    button.addEventListener("click", () => decideAndGoOn(button.dataset.set));
  }
  const on = (name, type, act) => $(name).addEventListener(type, ({ target }) => act(target));
  on("filters", "change", ({ value }) => look({ filter: value }));
  on("search", "input", ({ value }) => look({ search: value }));
  on("upTo", "input", ({ value }) => look({ upTo: LIMITS[value] }));
  on("tileSize", "input", ({ value }) => look({ tileSize: Number(value) }));
  on("fit", "change", ({ checked }) => look({ fit: checked }));
  on("order", "change", ({ value }) => {
    look({ order: value });
    loadDates();
  });
  window.addEventListener("beforeunload", (event) => {
    if (saver.queue.length && !parting) event.preventDefault();
  });
  window.addEventListener("pagehide", keep);
  // Not popover=auto: on a phone, View also shows the search field, which is elsewhere.
  document.addEventListener("pointerdown", ({ target }) => {
    if (!target.closest("#more, #controls, #search")) $("controls").togglePopover(false);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !$("controls").matches(":popover-open")) return;
    event.stopPropagation();
    $("controls").togglePopover(false);
    $("more").focus();
  }, true);
  listenToKeys(grid, viewer, commands);
}

function keep() {
  const unsaved = saver.queue.filter(({ rows }) => rows)
    .map(({ rows, label }) => ({ paths: rows.map((row) => album.path[row]), label }));
  sessionStorage.setItem("kept", JSON.stringify({ show, path: album.path[grid.row], unsaved, parting }));
}

async function start() {
  build();
  try {
    await album.load();
  } catch ({ message }) {
    return ($("empty").textContent = message);
  }
  $("folder").title = printable(album.folder || album.table);
  $("folder").textContent = baseName(album.folder || album.table);
  document.title = `${$("folder").textContent} · dogsort`;
  const isUnsure = album.path.some((_, row) => LABELS[album.label[row]] === "unsure" && !album.isLooked(row));
  look({ filter: show.filter || (isUnsure ? "unsure" : "all") });
  listen();
  for (const { paths, label } of kept.unsaved ?? []) {
    const rows = paths.map((path) => album.path.indexOf(path)).filter((row) => row >= 0);
    if (rows.length) saver.add({ rows, label });
  }
  const position = grid.view.findIndex((row) => album.path[row] === kept.path);
  if (position > 0) grid.moveTo(position);
  if (kept.parting) say(kept.parting);
  loadDates();
  grid.root.focus();
  watch();
}

start();
