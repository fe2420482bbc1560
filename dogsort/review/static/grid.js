// The grid: only the tiles near the screen exist, and the most needed pictures load first.

import { LABELS } from "./album.js";
import { make } from "./api.js";
import { baseName, printable, sure, words } from "./words.js";

const AHEAD = 1.5; // screens of tiles beyond the screen, in the direction of scrolling
const BEHIND = 0.5;
const REQUESTS = 5; // a browser opens six connections to a server; one stays free for corrections
const CALM = 50; // milliseconds; pictures that scroll past faster are not requested
const TALLEST = 16e6; // pixels; browsers draw no element taller than about 17 million
const SIDES = [160, 320, 640]; // of the pictures that the server makes
const HOLD = 350; // milliseconds until a finger selects instead of scrolling
const SLIP = 8; // pixels that a press may move and still be a click
const EDGE = 48; // pixels from the edge where dragging scrolls

export class Grid {
  view = []; // rows
  active = 0; // a position in the view
  selected = new Set(); // rows; replaced, never changed, so that #base stays as it was
  tileSize = 200;
  #tiles = new Map(); // by position
  #anchor = 0; // where a range begins
  #base = this.selected; // what was selected when it began
  #top = 0;
  #down = true;

  // on: changed() when the active photo or the selection changes, open() for the large view.
  constructor(root, album, on) {
    Object.assign(this, { root, album, on, canvas: root.firstElementChild });
    new ResizeObserver(() => this.layout()).observe(root);
    root.addEventListener("scroll", () => this.render(), { passive: true });
    this.#listen();
  }

  // Show these rows; the active and selected ones stay so, if they are among them.
  show(rows, row = this.row) {
    const present = new Set(rows);
    for (const position of this.#tiles.keys()) this.#drop(position);
    this.view = rows;
    this.selected = new Set([...this.selected].filter((one) => present.has(one)));
    this.layout();
    this.moveTo(rows.indexOf(row));
  }

  layout() {
    const width = this.canvas.clientWidth;
    let columns = Math.max(2, Math.round(width / this.tileSize));
    while (Math.ceil(this.view.length / columns) * (width / columns) > TALLEST) columns++;
    const first = Math.round(this.root.scrollTop / this.cell) * this.columns;
    const isNew = columns !== this.columns || width / columns !== this.cell;
    Object.assign(this, { columns, cell: width / columns });
    this.canvas.style.setProperty("--cell", `${this.cell}px`);
    this.canvas.style.height = `${Math.ceil(this.view.length / columns) * this.cell}px`;
    if (isNew) {
      for (const position of this.#tiles.keys()) this.#drop(position);
      this.root.scrollTop = Math.floor(first / columns) * this.cell;
    }
    this.render();
  }

  render() {
    const { scrollTop, clientHeight } = this.root;
    if (scrollTop !== this.#top) this.#down = scrollTop > this.#top;
    this.#top = scrollTop;
    const [above, below] = this.#down ? [BEHIND, AHEAD] : [AHEAD, BEHIND];
    const start = (y) => Math.max(0, Math.floor(y / this.cell)) * this.columns;
    const from = start(scrollTop - above * clientHeight);
    const to = Math.min(start(scrollTop + (1 + below) * clientHeight) + this.columns, this.view.length);
    const wanted = new Set([this.active].filter((position) => position < this.view.length));
    for (let position = from; position < to; position++) wanted.add(position);
    for (const position of this.#tiles.keys()) if (!wanted.has(position)) this.#drop(position);
    for (const position of wanted) if (!this.#tiles.has(position)) this.#make(position);
    this.#loadSoon();
  }

  repaint() {
    for (const tile of this.#tiles.values()) this.#paint(tile);
    this.root.setAttribute("aria-activedescendant", this.view.length ? `tile${this.active}` : "");
  }

  // Request failed pictures again, because the server was away.
  retry() {
    for (const tile of this.#tiles.values()) if (tile.state === "failed") tile.state = "";
    this.#loadSoon();
  }

  #make(position) {
    const row = this.view[position];
    const path = this.album.path[row];
    const image = make("img", { className: "picture", alt: "", draggable: false, decoding: "async" });
    const name = make("bdi", { className: "name" }, baseName(path));
    const chip = make("span", { className: "chip" });
    const element = make("div", { id: `tile${position}`, role: "option", title: printable(path) },
      image, name, chip, make("span", { className: "tick" }));
    this.canvas.append(element);
    const tile = { element, image, name, chip, position, row, state: "" };
    this.#tiles.set(position, tile);
    const [x, y] = [position % this.columns, Math.floor(position / this.columns)];
    element.style.translate = `${x * this.cell}px ${y * this.cell}px`;
    for (const [event, state] of Object.entries({ load: "ready", error: "failed" })) {
      image.addEventListener(event, () => {
        tile.state = state;
        this.#paint(tile);
        this.#load();
      });
    }
    this.#paint(tile);
  }

  #paint({ element, position, row, state, name, chip }) {
    const { album } = this;
    const [label, byYou, isSelected] =
      [LABELS[album.label[row]], album.isLooked(row), this.selected.has(row)];
    element.className = ["tile", label, state, byYou && "by-you", isSelected && "selected",
      position === this.active && "active"].filter(Boolean).join(" ");
    const chances = label === "unsure" && album.chances(row);
    const likeliest = chances && words.labels[chances.indexOf(Math.max(...chances))];
    const confidence = album.confidence[row] === null ? "" : sure(album.confidence[row]);
    const said = words.chip(words.labels[album.label[row]], byYou, likeliest, confidence);
    const why = printable(album.error[row]) || (state === "failed" ? words.unreadable : "");
    const where = printable(album.place(row)).replace(/[^/\\]*$/, ""); // its folder
    const filed = where && words.filed(where);
    chip.textContent = filed ? `${said} · ${filed}` : said;
    name.dataset.why = why;
    Object.assign(element, {
      ariaLabel: words.tile([name.firstChild.data, said, byYou && words.byYou, why, filed]),
      ariaSelected: isSelected, ariaPosInSet: position + 1, ariaSetSize: this.view.length,
    });
  }

  // Cancels a picture that is still loading.
  #drop(position) {
    const { element, image } = this.#tiles.get(position);
    image.removeAttribute("src");
    element.remove();
    this.#tiles.delete(position);
  }

  #loadSoon() {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      this.#load();
    }, CALM);
  }

  // Tiles on the screen come first, then those ahead, then those behind.
  #load() {
    const first = this.root.scrollTop / this.cell;
    const last = first + this.root.clientHeight / this.cell;
    const need = ({ position }) => {
      const row = Math.floor(position / this.columns);
      if (row + 1 > first && row < last) return position / 1e7;
      return row < first === this.#down ? 1e6 + first - row : Math.abs(row - first);
    };
    const tiles = [...this.#tiles.values()].filter(({ row }) => !this.album.error[row]);
    const free = REQUESTS - tiles.filter(({ state }) => state === "loading").length;
    const pixels = this.cell * Math.min(devicePixelRatio, 2);
    const side = SIDES.find((one) => one >= pixels) ?? SIDES.at(-1);
    const wanted = tiles.filter(({ state }) => !state).sort((a, b) => need(a) - need(b));
    for (const tile of wanted.slice(0, Math.max(0, free))) {
      tile.state = "loading";
      tile.image.src = this.album.address("thumbnail", tile.row, side);
    }
  }

  // Which photos are active, selected and shown.

  get row() {
    return this.view[this.active];
  }

  // The rows that a key or a button acts on.
  get targets() {
    return this.selected.size ? [...this.selected] : this.view.slice(this.active, this.active + 1);
  }

  // The positions of the photos that are fully on the screen, or else partly: [from, to).
  get shown() {
    const top = this.root.scrollTop / this.cell;
    const from = Math.ceil(top - 0.05);
    const to = Math.max(from + 1, Math.floor(top + this.root.clientHeight / this.cell + 0.05));
    return [from * this.columns, Math.min(to * this.columns, this.view.length)];
  }

  // Make a photo active; with extend, select up to it. Return whether another one was.
  moveTo(position, extend = false) {
    const to = Math.max(0, Math.min(position, this.view.length - 1));
    const moved = to !== this.active;
    this.active = to;
    if (extend) this.#select(this.#anchor, to);
    else [this.#anchor, this.#base] = [to, this.selected];
    const top = Math.floor(to / this.columns) * this.cell;
    const bottom = top + this.cell - this.root.clientHeight;
    this.root.scrollTop = Math.max(Math.min(this.root.scrollTop, top), bottom);
    this.render();
    this.on.changed();
    return moved;
  }

  select(rows, position = this.active) {
    this.selected = new Set(rows);
    return this.moveTo(position);
  }

  toggle(position = this.active) {
    return this.select(this.selected.symmetricDifference(new Set([this.view[position]])), position);
  }

  #select(from, to) {
    const range = this.view.slice(Math.min(from, to), Math.max(from, to) + 1);
    this.selected = new Set([...this.#base, ...range]);
  }

  // Go to the photo after those that were just labelled.
  goOn() {
    return this.select([], 1 + (this.selected.size
      ? this.view.findLastIndex((row) => this.selected.has(row)) : this.active));
  }

  #at({ clientX, clientY }) {
    const { left, top } = this.canvas.getBoundingClientRect();
    const column = Math.max(0, Math.min(Math.floor((clientX - left) / this.cell), this.columns - 1));
    const position = Math.floor((clientY - top) / this.cell) * this.columns + column;
    return Math.max(0, Math.min(position, this.view.length - 1));
  }

  // Mouse, pen and finger: click, and press and drag.
  #listen() {
    const { root } = this;
    const on = (name, act, options) => root.addEventListener(name, act, options);
    let press = null; // {x, y, event: the latest, timer, from: where the drag began}
    let isDragged = false; // the click that ends a drag does not count
    const drag = () => {
      if (press?.from === undefined) return;
      const { top, bottom } = root.getBoundingClientRect();
      const y = press.event.clientY;
      root.scrollTop += (Math.min(0, y - top - EDGE) + Math.max(0, y - bottom + EDGE)) / 3;
      const to = this.#at(press.event);
      if (to !== this.active || !this.selected.has(this.row)) {
        this.active = to;
        this.#select(press.from, to);
        this.on.changed();
      }
      requestAnimationFrame(drag);
    };
    const begin = () => {
      isDragged = true;
      press.from = this.#at({ clientX: press.x, clientY: press.y });
      this.moveTo(press.from);
      root.setPointerCapture(press.event.pointerId);
      drag();
    };
    const end = () => {
      clearTimeout(press?.timer);
      if (isDragged) this.moveTo(this.active);
      press = null;
    };
    on("pointerdown", (event) => {
      isDragged = false;
      if (event.button || !event.isPrimary || !event.target.closest(".tile")) return;
      press = { x: event.clientX, y: event.clientY, event };
      if (event.pointerType === "touch") press.timer = setTimeout(begin, HOLD);
    });
    on("pointermove", (event) => {
      if (!press) return;
      press.event = event;
      if (isDragged || Math.hypot(event.clientX - press.x, event.clientY - press.y) < SLIP) return;
      if (event.pointerType === "touch") end(); // it scrolls
      else begin();
    });
    on("pointerup", end);
    on("pointercancel", end);
    // A finger that selects does not scroll, and opens no menu.
    on("touchmove", (event) => isDragged && event.preventDefault(), { passive: false });
    on("contextmenu", (event) => press && event.preventDefault());
    on("click", (event) => {
      const tile = event.target.closest(".tile");
      if (isDragged || !tile) return;
      const position = Number(tile.id.slice("tile".length));
      const isTick = event.target.matches(".tick") || event.ctrlKey || event.metaKey;
      if (event.shiftKey) this.moveTo(position, true);
      else if (isTick || this.selected.size) this.toggle(position);
      else {
        this.moveTo(position);
        if (event.pointerType === "touch" || event.detail === 2) this.on.open();
      }
    });
  }
}
