// The large view: one photo, zoom, pan, facts; the photos before and after are loaded ahead.

import { LABELS } from "./album.js";
import { ask } from "./api.js";
import { baseName, printable, size, sure, words } from "./words.js";

const MOST = 12; // times the size that fits
const STEP = 1.4; // of a key or a button
const REST = 80; // milliseconds on a photo until it is loaded in full
const PREVIEW = 640; // pixels; the picture shown until the photo is there
const SWIPE = 60; // pixels

export class Viewer {
  #ahead = [];
  #fingers = new Map();

  constructor(dialog, album, grid) {
    Object.assign(this, { dialog, album, grid, scale: 1, x: 0, y: 0 });
    const find = (name) => dialog.querySelector(name);
    [this.stage, this.image, this.why] = [find(".stage"), find("img"), find(".why")];
    find(".close").addEventListener("click", () => dialog.close());
    find(".previous").addEventListener("click", () => this.step(-1));
    find(".next").addEventListener("click", () => this.step(1));
    find(".in").addEventListener("click", () => this.zoom(STEP));
    find(".out").addEventListener("click", () => this.zoom(1 / STEP));
    dialog.addEventListener("close", () => this.#forget());
    this.image.addEventListener("error", () => {
      if (this.image.getAttribute("src")) this.#cannot(words.unreadable);
    });
    this.#listen();
  }

  get isOpen() {
    return this.dialog.open;
  }

  open() {
    if (!this.grid.view.length) return;
    this.dialog.showModal();
    this.show();
  }

  step(by) {
    const moved = this.grid.moveTo(this.grid.active + by);
    if (moved) this.show();
    return moved;
  }

  // Show the grid's active photo.
  show() {
    const { album, grid, image } = this;
    const { row } = grid;
    this.#forget();
    this.row = row;
    this.reset();
    this.paint();
    this.why.hidden = true;
    image.alt = baseName(album.path[row]);
    if (album.error[row]) return this.#cannot(printable(album.error[row]));
    image.src = album.address("thumbnail", row, PREVIEW);
    this.timer = setTimeout(() => this.#loadFull(row), REST);
  }

  async #loadFull(row) {
    ask(`/facts/${this.album.generation}/${row}`).then((facts) => {
      if (this.row === row) this.paint(facts);
    }, () => {});
    const full = this.#load(row);
    try {
      await full.decode();
    } catch {
      return;
    }
    if (this.row !== row || !this.isOpen) return;
    this.image.src = full.src;
    const { view, active } = this.grid;
    for (const near of [view[active + 1], view[active - 1]]) {
      if (near !== undefined && !this.album.error[near]) this.#load(near);
    }
  }

  #load(row) {
    const image = new Image();
    image.src = this.album.address("photo", row);
    this.#ahead.push(image);
    return image;
  }

  // Cancel what is on its way.
  #forget() {
    clearTimeout(this.timer);
    for (const image of this.#ahead) if (!image.complete) image.removeAttribute("src");
    this.#ahead = this.#ahead.filter((image) => image.complete).slice(-3);
    this.image.removeAttribute("src");
    this.row = this.facts = undefined;
  }

  #cannot(reason) {
    this.image.removeAttribute("src");
    this.why.textContent = `${this.image.alt}: ${reason}`;
    this.why.hidden = false;
  }

  paint(facts = this.facts) {
    const { album, grid, row } = this;
    if (row === undefined) return;
    this.facts = facts;
    const say = (name, text) => { this.dialog.querySelector(name).textContent = text; };
    const given = album.network_label[row];
    const chances = album.p_dog[row] === null || album.p_pet[row] === null ? "" : words.chances(
      sure(album.p_dog[row] * album.p_pet[row]), sure((1 - album.p_dog[row]) * album.p_pet[row]));
    say(".place", words.place(grid.active + 1, grid.view.length));
    say(".path", printable(album.path[row]));
    say(".chip", words.labels[album.label[row]]);
    this.dialog.querySelector(".chip").className = `chip ${LABELS[album.label[row]]}`;
    say(".facts", [
      given < 0 ? "" : given === album.label[row] ? words.byYou
        : `${words.byYou} (${words.network(words.labels[given])})`,
      chances, facts?.date, facts?.width && words.pixels(facts.width, facts.height), facts?.format,
      facts && size(facts.bytes), album.filed[row] && words.filed(printable(album.filed[row])),
    ].filter(Boolean).join(" · "));
  }

  // Zoom and pan: the picture is scaled, then moved by x and y from the middle of the stage.

  reset() {
    Object.assign(this, { scale: 1, x: 0, y: 0 });
    this.#transform();
  }

  // Keep the point at (x, y), from the middle of the stage, where it is.
  zoom(by, x = 0, y = 0) {
    const scale = Math.max(1, Math.min(this.scale * by, MOST));
    this.x = x - (x - this.x) * (scale / this.scale);
    this.y = y - (y - this.y) * (scale / this.scale);
    this.scale = scale;
    this.#transform();
  }

  pan(x, y) {
    this.x += x;
    this.y += y;
    this.#transform();
  }

  #transform() {
    const { clientWidth, clientHeight } = this.stage;
    const [wide, high] = [clientWidth / 2, clientHeight / 2].map((half) => half * (this.scale - 1));
    this.x = Math.max(-wide, Math.min(this.x, wide));
    this.y = Math.max(-high, Math.min(this.y, high));
    this.image.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
  }

  #fromMiddle({ clientX, clientY }) {
    const box = this.stage.getBoundingClientRect();
    return [clientX - box.left - box.width / 2, clientY - box.top - box.height / 2];
  }

  #listen() {
    const { stage } = this;
    const fingers = this.#fingers;
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 400), ...this.#fromMiddle(event));
    }, { passive: false });
    stage.addEventListener("dblclick", (event) => {
      if (event.target.closest("button")) return;
      if (this.scale > 1) this.reset();
      else this.zoom(2.5, ...this.#fromMiddle(event));
    });
    stage.addEventListener("pointerdown", (event) => {
      if (event.target.closest("button")) return;
      stage.setPointerCapture(event.pointerId);
      fingers.set(event.pointerId, event);
      this.start = fingers.size === 1 && this.scale === 1 ? event : null;
    });
    stage.addEventListener("pointermove", (event) => {
      const before = fingers.get(event.pointerId);
      if (!before) return;
      const other = [...fingers.values()].find((one) => one.pointerId !== event.pointerId);
      fingers.set(event.pointerId, event);
      if (!other) return this.pan(event.clientX - before.clientX, event.clientY - before.clientY);
      const apart = (one) => Math.hypot(one.clientX - other.clientX, one.clientY - other.clientY);
      const middle = this.#fromMiddle(event).map((at, n) => (at + this.#fromMiddle(other)[n]) / 2);
      this.pan((event.clientX - before.clientX) / 2, (event.clientY - before.clientY) / 2);
      this.zoom(apart(event) / Math.max(1, apart(before)), ...middle);
    });
    for (const name of ["pointerup", "pointercancel"]) {
      stage.addEventListener(name, (event) => {
        fingers.delete(event.pointerId);
        const across = this.start && name === "pointerup" ? event.clientX - this.start.clientX : 0;
        if (Math.abs(across) > SWIPE) this.step(across < 0 ? 1 : -1);
        this.start = null;
      });
    }
  }
}
