// The console as a terminal shows it: carriage returns, erasing, climbing; gaps in brackets.
// The same rules as runtime/terminal.py, without colours; a test holds the two together.

const ROWS = 64; // lines the cursor can climb back to
const COLUMNS = 4096; // characters kept of a line
const LINES = 5000; // kept on the page; the file has them all
const PRINTABLE = /[^\x00-\x1f\x7f-\x9f]+/y;
const PARAMETERS = /[ -?]+/y;
const END_OF_STRING = /[\x07\x18\x1a\x1b\n]/g;

class Row {
  text = "";
  width = 0;
  line = null; // its element, once something was written to it

  put(x, run) {
    this.width = Math.max(this.width, x + run.length);
    const shown = run.slice(0, Math.max(0, COLUMNS - x));
    if (shown) this.text = this.text.slice(0, x).padEnd(x) + shown + this.text.slice(x + shown.length);
  }

  erase(begin, end) {
    if (end !== undefined) {
      const stop = Math.min(end, this.text.length);
      this.text = this.text.slice(0, begin) + " ".repeat(Math.max(0, stop - begin)) + this.text.slice(stop);
      return;
    }
    this.text = this.text.slice(0, begin);
    this.width = Math.min(this.width, begin);
  }

  shown() {
    const more = this.width - COLUMNS;
    return this.text.replace(/ +$/, "") + (more > 0 ? `… [${more} more characters]` : "");
  }
}

export class Terminal {
  rows = [new Row()];
  x = 0;
  y = 0;
  state = "ground";
  parameters = "";
  changed = new Set();

  constructor(onLine) {
    this.onLine = onLine; // makes the element of a line when the first thing is written to it
  }

  feed(text) {
    for (let at = 0; at < text.length;) at = this[this.state](text, at);
    this.draw();
  }

  note(text) {
    this.state = "ground";
    this.y = this.rows.length - 1;
    if (this.rows[this.y].line) this.newLine();
    this.put(text);
    this.newLine();
  }

  draw() {
    for (const row of this.changed) row.line.textContent = `${row.shown()}\n`;
    this.changed.clear();
  }

  ground(text, at) {
    PRINTABLE.lastIndex = at;
    const run = PRINTABLE.exec(text);
    if (run) {
      this.put(run[0]);
      return PRINTABLE.lastIndex;
    }
    const character = text[at];
    if (character === "\x1b") this.state = "escape";
    else if ("\n\v\f".includes(character)) this.newLine();
    else if (character === "\r") this.x = 0;
    else if (character === "\b") this.x = Math.max(0, this.x - 1);
    else if (character === "\t") this.x += 8 - (this.x % 8);
    return at + 1;
  }

  escape(text, at) {
    const character = text[at];
    if (character === "[") {
      this.state = "sequence";
      this.parameters = "";
    } else if ("]PX^_".includes(character)) this.state = "string";
    else if (character < " " || character > "/") {
      this.state = "ground";
      if (character < "0" || character > "~") return at;
    }
    return at + 1;
  }

  sequence(text, at) {
    PARAMETERS.lastIndex = at;
    const run = PARAMETERS.exec(text);
    if (run) {
      this.parameters = (this.parameters + run[0]).slice(0, 64);
      return PARAMETERS.lastIndex;
    }
    this.state = "ground";
    if (text[at] < "@" || text[at] > "~") return at;
    if (this.parameters.length < 64) this.obey(text[at]);
    return at + 1;
  }

  string(text, at) {
    END_OF_STRING.lastIndex = at;
    const end = END_OF_STRING.exec(text);
    if (!end) return text.length;
    this.state = end[0] === "\x1b" ? "escape" : "ground";
    return end[0] === "\n" ? end.index : END_OF_STRING.lastIndex;
  }

  obey(command) {
    const first = this.parameters.split(";")[0];
    if (!/^\d*$/.test(first)) return;
    const number = Math.min(Number(first), COLUMNS);
    const steps = Math.max(1, number);
    if ("AF".includes(command)) this.y = Math.max(0, this.y - steps);
    else if ("BE".includes(command)) this.y = Math.min(this.rows.length - 1, this.y + steps);
    else if (command === "C") this.x += steps;
    else if (command === "D") this.x = Math.max(0, this.x - steps);
    else if ("G`".includes(command)) this.x = steps - 1;
    else if ("JK".includes(command)) this.erase(number, command === "J");
    if ("EF".includes(command)) this.x = 0;
  }

  erase(what, below) {
    const row = this.rows[this.y];
    if (what === 0) row.erase(this.x);
    else if (what === 1) row.erase(0, this.x + 1);
    else if (what === 2) row.erase(0);
    if (row.line) this.changed.add(row);
    if (!below || what === 1 || what > 2) return; // lines above are history and stay
    for (const gone of this.rows.splice(this.y + 1)) {
      this.changed.delete(gone);
      gone.line?.remove();
    }
  }

  put(text) {
    const row = this.rows[this.y];
    this.show(row);
    row.put(this.x, text);
    this.x += text.length;
  }

  newLine() {
    this.show(this.rows[this.y]);
    this.x = 0;
    this.y += 1;
    if (this.y === this.rows.length) this.rows.push(new Row());
    if (this.rows.length > ROWS) {
      this.rows.shift();
      this.y -= 1;
    }
  }

  show(row) {
    row.line ??= this.onLine();
    this.changed.add(row);
  }
}

export function notStored(bytes) {
  const units = ["kB", "MB", "GB", "TB", "PB", "EB"];
  let size = bytes / 1000;
  while (size >= 999.95 && units.length > 1) {
    size /= 1000;
    units.shift();
  }
  const amount = bytes < 1000 ? `${bytes} ${bytes === 1 ? "byte" : "bytes"}` : `${size.toFixed(1)} ${units[0]}`;
  return `[${amount} not stored]`;
}

// Pieces of all streams in one <pre>: a line stands where it began.
export class ConsoleView {
  terminals = new Map();

  constructor(pre) {
    this.pre = pre;
    pre.replaceChildren();
  }

  add(piece) {
    const key = `${piece.epoch} ${piece.stream}`;
    if (!this.terminals.has(key)) this.terminals.set(key, new Terminal(() => this.line(piece.stream)));
    const terminal = this.terminals.get(key);
    const atEnd = this.pre.scrollTop + this.pre.clientHeight >= this.pre.scrollHeight - 5;
    if (piece.missing) terminal.note(notStored(piece.missing));
    terminal.feed(piece.text);
    while (this.pre.childNodes.length > LINES) this.pre.firstChild.remove();
    if (atEnd) this.pre.scrollTop = this.pre.scrollHeight;
  }

  say(text) {
    this.line("prepare").textContent = `${text}\n`;
  }

  line(stream) {
    const line = document.createElement("span");
    line.className = stream;
    this.pre.append(line);
    return line;
  }
}
