// The keys. Letters only count while the grid or the large view has the focus, so that they are in
// nobody's way who dictates or types (WCAG 2.1.4).

export function listenToKeys(grid, viewer, commands) {
  const label = (name) => () => commands.decide(name);
  const anywhere = { "Ctrl+z": commands.undo, "?": commands.help };
  const both = {
    d: label("dog"), c: label("cat"), n: label("neither"), u: label("unsure"), r: label("confirm"),
    " ": () => grid.toggle(),
  };
  const inGrid = {
    ...both,
    "Shift+a": commands.confirmShown,
    "Ctrl+a": () => grid.selectAll(),
    Escape: () => grid.clear(),
    Enter: () => viewer.open(),
    s: commands.sort,
    "/": commands.search,
    "+": () => commands.resize(1),
    "=": () => commands.resize(1),
    "-": () => commands.resize(-1),
  };
  const screen = () => Math.max(1, Math.floor(grid.root.clientHeight / grid.cell)) * grid.columns;
  const moves = {
    ArrowLeft: () => grid.active - 1,
    ArrowRight: () => grid.active + 1,
    // Below the last whole row there may be photos farther left.
    ArrowUp: () => (grid.active < grid.columns ? grid.active : grid.active - grid.columns),
    ArrowDown: () => grid.active + grid.columns,
    PageUp: () => grid.active - screen(),
    PageDown: () => grid.active + screen(),
    Home: () => 0,
    End: () => grid.view.length - 1,
  };
  for (const [key, to] of Object.entries(moves)) {
    inGrid[key] = () => grid.moveTo(to());
    inGrid[`Shift+${key}`] = () => grid.moveTo(to(), true);
  }
  const PAN = 80;
  const inViewer = {
    ...both,
    ArrowLeft: () => viewer.step(-1), ArrowUp: () => viewer.step(-1),
    ArrowRight: () => viewer.step(1), ArrowDown: () => viewer.step(1),
    "Shift+ArrowLeft": () => viewer.pan(PAN, 0), "Shift+ArrowRight": () => viewer.pan(-PAN, 0),
    "Shift+ArrowUp": () => viewer.pan(0, PAN), "Shift+ArrowDown": () => viewer.pan(0, -PAN),
    Home: () => viewer.step(-Infinity), End: () => viewer.step(Infinity),
    "+": () => viewer.zoom(1.4), "=": () => viewer.zoom(1.4), "-": () => viewer.zoom(1 / 1.4),
    0: () => viewer.reset(),
    Enter: () => viewer.dialog.close(),
  };

  let byPointer = false;
  document.addEventListener("pointerdown", () => { byPointer = true; }, true);
  document.addEventListener("keydown", (event) => {
    byPointer = false;
    const { target } = event;
    const isTyping = target.matches("input:not([type=radio], [type=checkbox], [type=range]), select");
    if (event.altKey || event.isComposing) return;
    if (isTyping) {
      if (event.key === "Escape" || event.key === "Enter") grid.root.focus();
      return;
    }
    // A letter is meant in either case: Caps Lock may be on.
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const isShifted = event.shiftKey && (key.length > 1 || key !== key.toUpperCase());
    const name = (event.ctrlKey || event.metaKey ? "Ctrl+" : "") + (isShifted ? "Shift+" : "") + key;
    const dialog = [...document.querySelectorAll("dialog[open]")].at(-1);
    if (dialog && dialog !== viewer.dialog) return;
    const isHome = target === document.body || grid.root.contains(target) ||
      (dialog && !(target.matches("button") && ["Enter", " "].includes(key)));
    const act = (isHome && (dialog ? inViewer : inGrid)[name]) || anywhere[name];
    if (!act) return;
    event.preventDefault();
    act();
  });
  // Who clicked goes on with keys in the grid; who came by keyboard stays where they are.
  const back = (event) => {
    if (!byPointer || document.querySelector("dialog[open]")) return;
    if (!event.target.closest("#search, #grid")) grid.root.focus();
  };
  for (const part of document.querySelectorAll("header, footer, #toast")) {
    part.addEventListener("change", back);
    part.addEventListener("click", (event) => event.target.closest("button") && back(event));
  }
}
