// The dialog that files: the plan as --dry-run shows it, one question, progress, undo.

import { ask } from "./api.js";
import { photos, printable, words } from "./words.js";

const add = (parent, tag, text = "") => {
  const child = parent.appendChild(document.createElement(tag));
  child.textContent = text;
  return child;
};

export class Filing {
  #asked = 0; // plans; only the last one's answer counts

  // settled() resolves when all corrections are saved; say(text) announces.
  constructor(dialog, album, { settled, say }) {
    Object.assign(this, { dialog, album, settled, say });
    const find = (name) => dialog.querySelector(name);
    [this.form, this.plan, this.work] = [find("form"), find(".plan"), find(".work")];
    this.buttons = Object.fromEntries(
      ["close", "stop", "undo", "go"].map((name) => [name, find(`button.${name}`)]));
    for (const action of Object.keys(words.actions)) {
      const label = add(find(".how"), "label");
      label.className = "check";
      const input = Object.assign(add(label, "input"), { type: "radio", name: "action" });
      Object.assign(input, { value: action, checked: action === "move" });
      const text = add(label, "span");
      add(text, "b", words.actions[action]);
      add(text, "small", words[`${action}Hint`]);
    }
    this.form.addEventListener("change", () => this.#ask());
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.buttons.close.addEventListener("click", () => dialog.close());
    this.buttons.go.addEventListener("click", () => this.#start("/file", this.choice));
    this.buttons.undo.addEventListener("click", () => this.#start("/file/undo", {}));
    this.buttons.stop.addEventListener("click", () => ask("/file/stop", {}).catch(() => {}));
  }

  get choice() {
    const { action, neither, unsure } = this.form.elements;
    return {
      generation: this.album.generation, action: action.value, neither: neither.checked,
      unsure: unsure.checked,
    };
  }

  open() {
    this.dialog.showModal();
    const { job } = this.album;
    if (job && !job.finished) this.progress(job);
    else this.#ask();
  }

  async #ask() {
    const asked = ++this.#asked;
    this.#shows("go");
    this.buttons.go.disabled = true;
    this.buttons.go.textContent = words.file;
    this.plan.replaceChildren();
    add(this.plan, "p", words.working);
    try {
      await this.settled();
      const plan = await ask("/plan", this.choice);
      if (asked === this.#asked) this.#show(plan);
    } catch (problem) {
      if (asked === this.#asked) this.#complain(problem);
    }
  }

  #show(plan) {
    const { action } = this.choice;
    const total = Object.values(plan.counts).reduce((sum, one) => sum + one, 0);
    this.plan.replaceChildren();
    const list = add(this.plan, "ul");
    if (!total) add(list, "li", words.plan.nothing);
    for (const [label, number] of Object.entries(plan.counts)) {
      if (!number) continue;
      const item = add(list, "li", words.plan.goes(number, printable(`${plan.folder}/${label}`)));
      item.className = label;
    }
    const already = (plan.already ?? 0) + (plan.in_place ?? 0);
    for (const [name, number] of Object.entries({ ...plan, already })) {
      if (["sidecars", "conflicts", "already", "stays", "failed"].includes(name) && number) {
        add(list, "li", words.plan[name](number)).className = "less";
      }
    }
    this.#failures(plan.failures);
    if (plan.steps.length) {
      const details = add(this.plan, "details");
      add(details, "summary", words.example);
      const steps = add(details, "ol");
      for (const [source, target] of plan.steps) {
        add(steps, "li", `${printable(source)} → ${printable(target)}`);
      }
    }
    this.buttons.go.textContent = words.doIt(action, total);
    this.buttons.go.disabled = !total;
  }

  #failures(failures) {
    if (!failures?.length) return;
    const list = add(this.plan, "ul");
    list.className = "failures";
    for (const [path, why] of failures) add(list, "li", `${printable(path)}: ${printable(why)}`);
  }

  #complain(problem) {
    this.plan.replaceChildren();
    add(this.plan, "p", problem.message).className = "failures";
  }

  async #start(path, body) {
    this.plan.replaceChildren();
    try {
      this.progress(await ask(path, body));
    } catch (problem) {
      this.#complain(problem);
    }
  }

  // Show how far the server is; called whenever it says something new.
  progress(job) {
    if (!job || !this.dialog.open) return;
    const { total, done, finished, failed, message } = job;
    this.#shows(finished ? (job.kind === "file" && done ? "undo" : "") : "stop");
    this.form.hidden = this.plan.hidden = true;
    this.work.hidden = false;
    const bar = this.work.querySelector("progress");
    Object.assign(bar, { max: Math.max(total, 1), value: finished ? Math.max(total, 1) : done });
    this.work.querySelector("p").textContent = finished ? message : words.progress(job);
    if (!finished) return;
    this.plan.replaceChildren();
    this.plan.hidden = false;
    this.#failures(failed);
  }

  // Which button stands beside Close.
  #shows(name) {
    this.form.hidden = this.plan.hidden = this.work.hidden = false;
    if (name === "go") this.work.hidden = true;
    for (const other of ["stop", "undo", "go"]) this.buttons[other].hidden = other !== name;
    if (name && document.activeElement === document.body) this.buttons[name].focus();
  }
}
