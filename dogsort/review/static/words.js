// All that the page says. To translate the page, translate this file.

const LANG = "en";
const integer = new Intl.NumberFormat(LANG);
const hundredths = new Intl.NumberFormat(LANG, { style: "percent", maximumFractionDigits: 1 });
const bytes = ["B", "kB", "MB", "GB", "TB"];

export const count = (number) => integer.format(number);
export const photos = (number) => (number === 1 ? "1 photo" : `${count(number)} photos`);
export const share = (value) => hundredths.format(value);
// Rounded down, because 99.7% sure is not "100% sure".
export const sure = (confidence) => `${Math.floor(confidence * 100 + 1e-9)}%`;

export function size(number) {
  const power = Math.min(Math.floor(Math.log10(Math.max(number, 1)) / 3), bytes.length - 1);
  return `${(number / 1000 ** power).toPrecision(3).replace(/\.?0+$/, "")} ${bytes[power]}`;
}

// Names of files may hold anything. What cannot be seen, or would turn the text round, is escaped.
export const printable = (text) =>
  text.replace(/[\p{Cc}\p{Cs}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, (sign) =>
    `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
export const baseName = (path) => printable(path.slice(path.search(/[^/\\]*[/\\]*$/)));

export const words = {
  lang: LANG,
  labels: ["dog", "cat", "neither", "unsure", "failed"],
  filters: {
    all: "All", unsure: "Unsure", dog: "Dog", cat: "Cat", neither: "Neither", failed: "Failed",
    looked: "Looked at",
  },
  orders: { doubt: "Least sure first", path: "By path", old: "Oldest first", young: "Newest first" },
  actions: { move: "Move", copy: "Copy", link: "Link" },
  // Texts of the page's elements, by the name in their data-word or data-label.
  dog: "Dog", cat: "Cat", neither: "Neither", unsure: "Unsure",
  right: "Right", rightHint: "The label is right (R)",
  allRight: "All shown are right",
  allRightHint: "Confirm all photos on the screen, or all that are selected (Shift+A)",
  undo: "Undo", undoHint: "Undo the last correction (Ctrl+Z)",
  keys: "Keys", file: "File photos", done: "Done", close: "Close", clear: "Clear",
  show: "Show", filter: "Which photos", order: "Order", search: "Search in paths", searchHint: "Search",
  upTo: "Sure at most", tileSize: "Size of the pictures", fit: "Whole photos",
  refresh: "Sort again", refreshHint: "Sort again and take out what no longer belongs here (S)",
  photosHere: "Photos", opening: "Opening the table…", previous: "Previous (←)", next: "Next (→)",
  zoomIn: "Zoom in (+)", zoomOut: "Zoom out (-)", large: "Large view", setLabel: "Set the label",
  fileTitle: "File photos", how: "How", alsoFile: "File these, too", stop: "Stop",
  undoFiling: "Undo filing", example: "From and to", working: "Working…",
  moveHint: "into folders dog and cat; the photos leave where they are now",
  copyHint: "the photos stay, copies go into the folders",
  linkHint: "the photos stay, the folders hold links to them",
  keysTitle: "Keys",
  keyList: [
    ["D C N U", "label dog, cat, neither, unsure, and go on"],
    ["R", "the label is right; go on"],
    ["Shift+A", "all shown are right; next screen"],
    ["← ↑ ↓ →", "move; with Shift, select"],
    ["Space", "select or unselect"],
    ["Ctrl+A", "select all photos of this list"],
    ["Esc", "unselect all; leave the large view"],
    ["Enter", "large view"],
    ["Ctrl+Z", "undo, as often as you like"],
    ["+ -", "larger, smaller; zoom in the large view"],
    ["Shift+← ↑ ↓ →", "in the large view: move the picture"],
    ["S", "sort again"],
    ["/", "search in paths"],
    ["?", "these keys"],
  ],
  mouseHint: "Press and drag over photos to select them; on a touch screen, hold first. Double-click " +
    "or tap for the large view. Shift-click selects up to a photo, Ctrl-click a single one.",

  saved: "Saved", saving: "Saving…",
  savedHint: (table) => `Every correction is in ${table}`,
  notSaved: (rows, why) => `Not saved: ${photos(rows)}. ${why} Trying again.`,
  readOnly: (why) => `Corrections cannot be saved. ${why}`,
  gone: "dogsort has stopped or cannot be reached.",
  refused: (status) => `dogsort refuses this (${status}).`,
  lapsed: "This page is no longer valid. Open the address that dogsort printed.",
  stopped: (table) => `dogsort has stopped. What was shown as saved is in ${table}. To go on, start ` +
    "dogsort review again.",
  reloaded: "The table was changed by another program and was read again.",
  running: (done, expected) =>
    expected ? `Classifying: ${count(done)} of ${count(expected)}` : `Classifying: ${count(done)}`,
  begin: { keys: "Press D, C, N or U to correct a photo, R if it is right.",
    touch: "Tap a photo to see it large, hold to select." },
  tally: ({ looked, given, corrected, low, high }) => {
    const rate = given ? ` (${share(corrected / given)}, ${share(low)} to ${share(high)})` : "";
    return `You looked at ${count(looked)}, corrected ${count(corrected)} ${
      given === looked ? "" : `of ${count(given)} labelled`}${rate}`.replace("  ", " ");
  },
  tallyHint: "How often the network was wrong on the photos that it had labelled dog, cat or " +
    "neither and that you looked at, with its 95% interval",
  selected: (number) => `${count(number)} selected`,
  upToValue: (percent) => (percent === 100 ? "any" : `${percent}%`),
  labelled: (number, label) => `${photos(number)}: ${label}`,
  confirmed: (number) => `${photos(number)} confirmed`,
  undone: (number) => (number ? `Undone: ${photos(number)}` : "Nothing to undo"),
  end: "End of the list.",
  chip: ({ label, likeliest, confidence, byYou }) =>
    byYou ? `${label} ✓` : likeliest ? `${label} (${likeliest} ${confidence})`
      : `${label} ${confidence}`.trim(),
  tile: ({ name, chip, byYou, filed, error }) =>
    [name, chip.replace(" ✓", ""), byYou && "set by you", filed && "filed", error]
      .filter(Boolean).join(", "),
  byYou: "set by you",
  network: (label) => `the network said ${label}`,
  chances: (dog, cat) => `dog ${dog}, cat ${cat}`,
  pixels: (width, height) => `${count(width)} × ${count(height)}`,
  filed: (place) => `filed: ${place}`,
  place: (position, total) => `${count(position)} of ${count(total)}`,
  unreadable: "cannot be shown",
  empty: { all: "No photos yet.", other: "No photos here.", search: "No photo matches." },
  emptyRunning: "Photos appear as they are classified.",
  ended: (table) => `Done. Your corrections are in ${table}. You can close this page.`,
  unsavedEnd: "Some corrections are not saved yet. End all the same?",
  plan: {
    goes: (number, place) => `${photos(number)} to ${place}`,
    nothing: "No photo is to be filed.",
    sidecars: (number) => `${count(number)} sidecar files go with their photos`,
    conflicts: (number) => `${photos(number)} get a new name, because theirs is taken`,
    already: (number) => `${photos(number)} already there`,
    stays: (number) => `${photos(number)} stay where they are`,
    failed: (number) => `${photos(number)} cannot be filed`,
  },
  doIt: (action, number) => `${words.actions[action]} ${photos(number)}`,
  jobs: { file: "Filing", undo: "Undoing" },
  progress: (job) => `${words.jobs[job.kind]}: ${count(job.done)} of ${count(job.total)}`,
};
