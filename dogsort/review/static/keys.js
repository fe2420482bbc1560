// The shortcuts. Letters count only while the grid or the large view has the focus, so that they
// do not disturb anybody who dictates or types (WCAG 2.1.4).

const PAN = 80; // pixels
const TYPING = "input:not([type=radio], [type=checkbox], [type=range]), select";

export function listenToKeys(grid, viewer, { decide, confirmShown, sort, undo, help, search, resize }) {
  const anywhere = { "Ctrl+z": undo, "?": help };
  const letters = { d: "dog", c: "cat", n: "neither", u: "unsure", r: "confirm" };
  const both = Object.fromEntries(
    Object.entries(letters).map(([key, label]) => [key, () => decide(label)]));
  both[" "] = () => grid.toggle();
  const inGrid = {
    ...both, "Shift+a": confirmShown, "Ctrl+a": () => grid.select(grid.view), s: () => sort(),
    Escape: () => grid.select([]), Enter: () => viewer.open(), "/": search,
    "+": () => resize(1), "=": () => resize(1), "-": () => resize(-1),
  };
  const inViewer = {
    ...both, Home: () => viewer.step(-Infinity), End: () => viewer.step(Infinity),
    "+": () => viewer.zoom(1.4), "=": () => viewer.zoom(1.4), "-": () => viewer.zoom(1 / 1.4),
    0: () => viewer.zoom(0), Enter: () => viewer.dialog.close(),
  };
  const screen = () => Math.max(1, Math.floor(grid.root.clientHeight / grid.cell)) * grid.columns;
  const moves = {
    ArrowLeft: () => -1, ArrowRight: () => 1, PageUp: () => -screen(), PageDown: screen,
    ArrowUp: () => (grid.active < grid.columns ? 0 : -grid.columns), ArrowDown: () => grid.columns,
    Home: () => -Infinity, End: () => Infinity,
  };
  for (const [key, by] of Object.entries(moves)) {
    inGrid[key] = () => grid.moveTo(grid.active + by());
    inGrid[`Shift+${key}`] = () => grid.moveTo(grid.active + by(), true);
  }
  for (const [key, x, y] of [["Left", -1, 0], ["Right", 1, 0], ["Up", 0, -1], ["Down", 0, 1]]) {
    inViewer[`Arrow${key}`] = () => viewer.step(x + y);
    inViewer[`Shift+Arrow${key}`] = () => viewer.pan(x * PAN, y * PAN);
  }

  let isByPointer = false;
  document.addEventListener("pointerdown", () => { isByPointer = true; }, true);
  document.addEventListener("keydown", (event) => {
    isByPointer = false;
    const { target, ctrlKey, metaKey, shiftKey } = event;
    // Letters count in either case, because Caps Lock may be on; signs, with or without Shift.
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const isShifted = shiftKey && (key.length > 1 || key !== key.toUpperCase());
    const name = `${ctrlKey || metaKey ? "Ctrl+" : ""}${isShifted ? "Shift+" : ""}${key}`;
    const dialog = [...document.querySelectorAll("dialog[open]")].at(-1);
    if (event.altKey || (dialog && dialog !== viewer.dialog)) return;
    const isTyping = target.matches(TYPING) && key !== "Escape" && key !== "Enter";
    const isPressed = target.matches("button") && (key === "Enter" || key === " ");
    const isHome = dialog ? !isPressed : target === document.body || grid.root.contains(target);
    const act = target.matches(TYPING) ? () => grid.root.focus()
      : (isHome && (dialog ? inViewer : inGrid)[name]) || anywhere[name];
    if (!act || isTyping) return;
    event.preventDefault();
    act();
  });
  // After a click, keys go to the grid; keyboard users stay where they are.
  for (const type of ["change", "click"]) {
    document.addEventListener(type, ({ target }) => {
      const isOurs = type === "change" ? !target.matches("#search") : target.closest("button, label");
      if (isByPointer && isOurs && !document.querySelector("dialog[open]")) grid.root.focus();
    });
  }
}
