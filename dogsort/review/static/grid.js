// The grid: only the tiles around what is seen exist, pictures load in the order of their need.

import { LABELS } from "./album.js";
import { baseName, printable, sure, words } from "./words.js";

const AHEAD = 1.5; // screens of tiles beyond the screen, in the direction of scrolling
const BEHIND = 0.5;
const REQUESTS = 5; // a browser opens six connections to a server: one is kept for corrections
const TALLEST = 16e6; // pixels; browsers draw no taller elements than some 17 million
const SIDES = [160, 320, 640]; // of the pictures that the server makes
const FAST = 4; // screens per second: pictures that pass by faster are not asked for
const SETTLED = 90; // milliseconds
const HOLD = 350; // milliseconds until a finger selects instead of scrolling
const SLIP = 8; // pixels that a press may move and still be a click
const EDGE = 48; // pixels from the edge where dragging scrolls

export class Grid extends EventTarget {
  view = [];
  active = 0; // a position in the view
  selected = new Set(); // rows; replaced, never changed, so that it can be gone back to
  cell = 160;
  columns = 1;
  #tiles = new Map(); // by position
  #free = [];
  #loading = 0;
  #anchor = 0; // where a range begins
  #base = this.selected; // what was selected when it began
  #scrolled = { top: 0, time: 0, down: true };

  constructor(root, album) {
    super();
    this.root = root;
    this.canvas = root.querySelector(".canvas");
    this.album = album;
    this.tileSize = 200;
    new ResizeObserver(() => this.layout()).observe(root);
    root.addEventListener("scroll", () => this.#onScroll(), { passive: true });
    this.#listen();
  }

  // Show these rows; what was active, selected and at the top stays so, if it is among them.
  show(rows, find = (row) => row) {
    const active = find(this.view[this.active]);
    const top = this.root.scrollTop;
    this.view = rows;
    for (const tile of this.#tiles.values()) this.#drop(tile);
    this.#tiles.clear();
    const present = new Set(rows);
    this.selected = new Set([...this.selected].map(find).filter((row) => present.has(row)));
    this.active = Math.max(0, active === undefined ? 0 : rows.indexOf(active));
    this.#restart();
    this.layout();
    this.root.scrollTop = active === undefined ? 0 : top;
    if (rows.length) this.reveal(this.active);
    this.#tell();
  }

  append(rows) {
    this.view.push(...rows);
    this.layout();
  }

  layout() {
    const width = this.canvas.clientWidth;
    const first = Math.floor(this.root.scrollTop / this.cell) * this.columns;
    let columns = Math.max(2, Math.round(width / this.tileSize));
    while (Math.ceil(this.view.length / columns) * (width / columns) > TALLEST) columns++;
    const changed = columns !== this.columns || width / columns !== this.cell;
    this.columns = columns;
    this.cell = width / columns;
    this.canvas.style.setProperty("--cell", `${this.cell}px`);
    this.canvas.style.height = `${Math.ceil(this.view.length / columns) * this.cell}px`;
    if (changed) this.root.scrollTop = Math.floor(first / columns) * this.cell;
    for (const tile of this.#tiles.values()) this.#place(tile);
    this.render();
  }

  // The first and the last position on the screen: whole tiles only, if there are such.
  get shown() {
    const top = this.root.scrollTop / this.cell;
    const first = Math.max(0, Math.ceil(top - 0.05));
    const last = Math.floor(top + this.root.clientHeight / this.cell + 0.05) - 1;
    const end = (Math.max(first, last) + 1) * this.columns;
    return [first * this.columns, Math.min(end, this.view.length) - 1];
  }

  render() {
    const { scrollTop, clientHeight } = this.root;
    const { down } = this.#scrolled;
    const above = clientHeight * (down ? BEHIND : AHEAD);
    const below = clientHeight * (down ? AHEAD : BEHIND);
    const row = (y) => Math.floor(y / this.cell) * this.columns;
    const from = Math.max(0, row(scrollTop - above));
    const to = Math.min(this.view.length, row(scrollTop + clientHeight + below) + this.columns);
    for (const [position, tile] of this.#tiles) {
      if ((position < from || position >= to) && position !== this.active) {
        this.#tiles.delete(position);
        this.#drop(tile);
      }
    }
    for (let position = from; position < to; position++) this.#ensure(position);
    if (this.active < this.view.length) this.#ensure(this.active);
    this.#load();
  }

  repaint() {
    for (const tile of this.#tiles.values()) this.#paint(tile);
    this.root.setAttribute("aria-activedescendant", this.view.length ? `tile${this.active}` : "");
  }

  // Ask again for pictures that could not be had, for example because the server was away.
  retry() {
    for (const tile of this.#tiles.values()) if (tile.state === "failed") this.#forget(tile);
    this.repaint();
    this.#load();
  }

  #ensure(position) {
    if (this.#tiles.has(position)) return;
    const tile = this.#free.pop() ?? this.#make();
    tile.position = position;
    tile.element.id = `tile${position}`;
    tile.row = this.view[position];
    tile.name.textContent = baseName(this.album.path[tile.row]);
    this.#tiles.set(position, tile);
    this.#place(tile);
    this.#paint(tile);
    this.canvas.append(tile.element);
  }

  #make() {
    const element = document.createElement("div");
    element.setAttribute("role", "option");
    const make = (tag, name) => {
      const child = element.appendChild(document.createElement(tag));
      child.className = name;
      return child;
    };
    const image = make("img", "picture");
    Object.assign(image, { alt: "", draggable: false, decoding: "async" });
    const name = make("bdi", "name");
    const tile = { element, image, name, chip: make("span", "chip"), tick: make("span", "tick") };
    image.addEventListener("load", () => this.#arrived(tile, "ready"));
    image.addEventListener("error", () => this.#arrived(tile, "failed"));
    return Object.assign(tile, { state: "" });
  }

  #place({ element, position }) {
    const x = (position % this.columns) * this.cell;
    const y = Math.floor(position / this.columns) * this.cell;
    element.style.transform = `translate(${x}px, ${y}px)`;
  }

  #paint({ element, position, row, state, name, chip }) {
    const { album } = this;
    const [label, byYou] = [album.label[row], album.isLooked(row)];
    const classes = ["tile", LABELS[label], state, byYou && "by-you",
      this.selected.has(row) && "selected", position === this.active && "active"];
    element.className = classes.filter(Boolean).join(" ");
    const likeliest = LABELS[label] === "unsure" ? album.likeliest(row) : -1;
    const confidence = album.confidence[row] === null ? "" : sure(album.confidence[row]);
    chip.textContent = words.chip(
      { label: words.labels[label], likeliest: words.labels[likeliest], confidence, byYou });
    const error = printable(album.error[row]) || (state === "failed" ? words.unreadable : "");
    name.dataset.why = error;
    element.title = printable(album.path[row]);
    const said = { name: baseName(album.path[row]), chip: chip.textContent, byYou, error };
    const values = {
      label: words.tile({ ...said, filed: album.filed[row] }), selected: this.selected.has(row),
      posinset: position + 1, setsize: this.view.length,
    };
    for (const [key, value] of Object.entries(values)) element.setAttribute(`aria-${key}`, value);
  }

  #drop(tile) {
    this.#forget(tile);
    tile.element.remove();
    this.#free.push(tile);
  }

  // Cancel the request, if there is one, and show no picture.
  #forget(tile) {
    if (tile.state === "loading") this.#loading--;
    tile.state = "";
    tile.image.removeAttribute("src");
  }

  #arrived(tile, state) {
    if (tile.state !== "loading") return;
    this.#loading--;
    tile.state = state;
    this.#paint(tile);
    this.#load();
  }

  // What is seen comes first, then what is ahead, then what is behind.
  #load() {
    if (this.#loading >= REQUESTS || this.#isFast()) return;
    const first = this.root.scrollTop / this.cell;
    const last = first + this.root.clientHeight / this.cell;
    const distance = ({ position }) => {
      const row = Math.floor(position / this.columns);
      if (row + 1 > first && row < last) return position / 1e6;
      const ahead = row >= last;
      return (ahead ? row - last + 1 : first - row) + (ahead === this.#scrolled.down ? 1 : 1e6);
    };
    const wanted = [...this.#tiles.values()]
      .filter((tile) => !tile.state && !this.album.error[tile.row])
      .map((tile) => [distance(tile), tile]).sort((a, b) => a[0] - b[0]);
    const pixels = this.cell * Math.min(window.devicePixelRatio, 2) * 1.1;
    const side = SIDES.find((one) => one >= pixels) ?? SIDES.at(-1);
    for (const [, tile] of wanted.slice(0, REQUESTS - this.#loading)) {
      this.#loading++;
      tile.state = "loading";
      tile.image.src = this.album.address("thumbnail", tile.row, side);
    }
  }

  #isFast() {
    clearTimeout(this.#scrolled.timer);
    const fast = performance.now() - this.#scrolled.time < SETTLED && this.#scrolled.fast;
    if (fast) this.#scrolled.timer = setTimeout(() => this.#load(), SETTLED);
    return fast;
  }

  #onScroll() {
    const [top, time] = [this.root.scrollTop, performance.now()];
    const before = this.#scrolled;
    const speed = Math.abs(top - before.top) / Math.max(16, time - before.time) * 1000;
    const down = top === before.top ? before.down : top > before.top;
    const fast = speed > FAST * this.root.clientHeight;
    this.#scrolled = { top, time, down, fast, timer: before.timer };
    this.render();
  }

  // Which photos are active and selected.

  get row() {
    return this.view[this.active];
  }

  // The rows that a key or a button is about.
  get targets() {
    if (this.selected.size) return [...this.selected];
    return this.view.length ? [this.row] : [];
  }

  reveal(position) {
    const top = Math.floor(position / this.columns) * this.cell;
    const bottom = top + this.cell - this.root.clientHeight;
    this.root.scrollTop = Math.max(Math.min(this.root.scrollTop, top), bottom);
  }

  moveTo(position, extend = false) {
    if (!this.view.length) return false;
    const to = Math.max(0, Math.min(position, this.view.length - 1));
    const moved = to !== this.active;
    this.active = to;
    if (extend) this.#select(this.#anchor, to);
    else this.#restart();
    this.reveal(to);
    this.render();
    this.#tell();
    return moved;
  }

  toggle(position = this.active) {
    const selected = new Set(this.selected);
    const row = this.view[position];
    if (!selected.delete(row)) selected.add(row);
    this.selected = selected;
    this.moveTo(position);
  }

  selectAll() {
    this.#setSelected(new Set(this.view));
  }

  clear() {
    this.#setSelected(new Set());
  }

  // Go to the photo after those that were just decided.
  goOn() {
    let last = this.active;
    if (this.selected.size) last = this.view.findLastIndex((row) => this.selected.has(row));
    this.selected = new Set();
    return this.moveTo(last + 1);
  }

  goOnAfter(position) {
    this.selected = new Set();
    this.moveTo(position + 1);
    this.root.scrollTop = Math.floor(this.active / this.columns) * this.cell;
  }

  #restart() {
    this.#anchor = this.active;
    this.#base = this.selected;
  }

  #select(from, to) {
    const selected = new Set(this.#base);
    for (let at = Math.min(from, to); at <= Math.max(from, to); at++) selected.add(this.view[at]);
    this.selected = selected;
  }

  #setSelected(selected) {
    this.selected = selected;
    this.#restart();
    this.#tell();
  }

  #tell() {
    this.repaint();
    this.dispatchEvent(new Event("change"));
  }

  // Mouse, pen and finger.

  #at({ clientX, clientY }) {
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((clientX - box.left) / this.cell);
    const row = Math.floor((clientY - box.top) / this.cell);
    const position = row * this.columns + Math.max(0, Math.min(column, this.columns - 1));
    return Math.max(0, Math.min(position, this.view.length - 1));
  }

  #listen() {
    let press = null; // {x, y, position, dragging, timer, event: the last of its kind}
    let dragged = false; // the click that ends a drag is none
    const begin = () => {
      press.dragging = dragged = true;
      this.root.setPointerCapture(press.event.pointerId);
      this.moveTo(press.position);
      this.#select(press.position, press.position);
      this.#tell();
      requestAnimationFrame(scroll);
    };
    const scroll = () => {
      if (!press?.dragging) return;
      const { top, bottom } = this.root.getBoundingClientRect();
      const y = press.event.clientY;
      const by = Math.min(0, y - top - EDGE) + Math.max(0, y - bottom + EDGE);
      if (by) this.root.scrollTop += by / 3;
      this.active = this.#at(press.event);
      this.#select(press.position, this.active);
      this.#tell();
      requestAnimationFrame(scroll);
    };
    const end = () => {
      clearTimeout(press?.timer);
      if (press?.dragging) this.#restart();
      press = null;
    };
    const on = (name, listen, options) => this.root.addEventListener(name, listen, options);
    on("pointerdown", (event) => {
      dragged = false;
      if (event.button || !event.isPrimary || !event.target.closest(".tile")) return end();
      press = { x: event.clientX, y: event.clientY, position: this.#at(event), event };
      if (event.pointerType === "touch") press.timer = setTimeout(begin, HOLD);
    });
    on("pointermove", (event) => {
      if (!press) return;
      press.event = event;
      const far = Math.hypot(event.clientX - press.x, event.clientY - press.y) > SLIP;
      if (press.dragging || !far) return;
      if (event.pointerType === "touch") end();
      else begin();
    });
    on("pointerup", end);
    on("pointercancel", end);
    // A finger that selects does not scroll, and opens no menu.
    on("touchmove", (event) => press?.dragging && event.preventDefault(), { passive: false });
    on("contextmenu", (event) => (press?.timer || dragged) && event.preventDefault());
    on("click", (event) => {
      const tile = event.target.closest(".tile");
      if (dragged || !tile) return;
      const position = Number(tile.id.slice("tile".length));
      const tick = event.target.closest(".tick");
      if (event.shiftKey) this.moveTo(position, true);
      else if (event.ctrlKey || event.metaKey || tick || this.selected.size) this.toggle(position);
      else {
        this.moveTo(position);
        if (event.pointerType === "touch") this.dispatchEvent(new Event("open"));
      }
    });
    on("dblclick", (event) => {
      if (event.target.closest(".tile") && !this.selected.size && !event.target.closest(".tick")) {
        this.dispatchEvent(new Event("open"));
      }
    });
  }
}
