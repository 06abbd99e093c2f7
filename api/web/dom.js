// What the parts of the page are made with: whatever users wrote becomes a text node, never markup.

export const $ = (selector) => document.querySelector(selector);

export function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text ?? "";
  made.className = className;
  return made;
}

export function row(...cells) {
  const tr = document.createElement("tr");
  for (const cell of cells) {
    const td = cell instanceof Node ? document.createElement("td") : element("td", cell);
    if (cell instanceof Node) td.append(cell);
    tr.append(td);
  }
  return tr;
}

export const when = (seconds) => (seconds ? new Date(seconds * 1000).toLocaleString() : "");
export const stateOf = (task) => (task.phase ? `${task.state}, ${task.phase}` : task.state);
