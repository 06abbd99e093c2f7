// Plots and debug samples of a task: drawn here from their numbers, nothing of a user's is run.
// Lines, points, bars, matrices, tables and pictures are drawn; of other kinds the page says so.

import { element, row } from "./dom.js";

const WIDTH = 560, HEIGHT = 280, LEFT = 60, TOP = 10, BOTTOM = 30;
const COLOURS = ["#2563c9", "#c33", "#2a7d3a", "#8a6d00", "#7a3db8", "#00808a"];
const CELLS = 2500; // of a matrix that are drawn; a larger one is told by its size
const ROWS = 100; // of a table
const IMAGE_BYTES = 8 << 20;
const IMAGES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);

const finite = (values) => values.filter((value) => typeof value === "number" && isFinite(value));
const short = (value) => (typeof value === "number" ? String(Number(value.toPrecision(4))) : String(value ?? ""));
const titleOf = (axis) => (typeof axis?.title === "string" ? axis.title : axis?.title?.text) ?? "";

function svg(name, attributes, text) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

// Values of an axis as places: numbers and dates by size, anything else by first appearance.
export function scale(values, from, to, isLog = false) {
  const dates = values.every((v) => v === null || (typeof v === "string" && /^\d{4}-\d\d-\d\d/.test(v)));
  let numberOf = (value) => value;
  let labelOf = short;
  if (values.some((value) => typeof value === "string")) {
    const names = [...new Set(values)];
    numberOf = dates ? (value) => Date.parse(value) : (value) => names.indexOf(value);
    labelOf = dates ? (at) => new Date(at).toISOString().slice(0, 16) : (at) => short(names[at]);
  } else if (isLog) {
    numberOf = (value) => (value > 0 ? Math.log10(value) : NaN);
    labelOf = (at) => short(10 ** at);
  }
  const known = finite(values.map(numberOf));
  const low = known.reduce((a, b) => Math.min(a, b), Infinity);
  const high = known.reduce((a, b) => Math.max(a, b), -Infinity);
  const span = high - low || 1;
  const place = (value) => (value === null ? NaN : from + ((numberOf(value) - low) / span) * (to - from));
  return { place, low: known.length ? labelOf(low) : "", high: known.length ? labelOf(high) : "" };
}

function frame(layout, x, y) {
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "plot" });
  const bottom = HEIGHT - BOTTOM;
  const text = (at, say, anchor = "start") =>
    drawing.append(svg("text", { x: at[0], y: at[1], "text-anchor": anchor }, say));
  drawing.append(svg("path", { d: `M${LEFT} ${TOP}V${bottom}H${WIDTH}`, class: "axis" }));
  text([LEFT - 4, bottom], y.low, "end");
  text([LEFT - 4, TOP + 8], y.high, "end");
  text([LEFT - 4, (TOP + bottom) / 2], titleOf(layout.yaxis), "end");
  text([LEFT, HEIGHT - 12], x.low);
  text([WIDTH, HEIGHT - 12], x.high, "end");
  text([(LEFT + WIDTH) / 2, HEIGHT - 12], titleOf(layout.xaxis), "middle");
  return drawing;
}

const listOf = (values, like) => (Array.isArray(values) ? values : like.map((_, at) => at));

function drawLines(figure) {
  const traces = figure.data.map((trace) => {
    const y = listOf(trace.y, trace.x ?? []);
    return { ...trace, x: listOf(trace.x, y), y };
  });
  const isFlat = traces.some((trace) => trace.type === "bar" && trace.orientation === "h");
  const zero = traces.some((trace) => trace.type === "bar") ? [0] : [];
  const of = (name) => traces.flatMap((trace) => trace[name]);
  const isLog = (axis) => figure.layout[axis]?.type === "log";
  const x = scale([...of("x"), ...(isFlat ? zero : [])], LEFT + 8, WIDTH - 8, isLog("xaxis"));
  const y = scale([...of("y"), ...(isFlat ? [] : zero)], HEIGHT - BOTTOM, TOP + 4, isLog("yaxis"));
  const drawing = frame(figure.layout, x, y);
  traces.forEach((trace, at) => {
    const colour = COLOURS[at % COLOURS.length];
    const points = trace.x.map((value, i) => [x.place(value), y.place(trace.y[i])]);
    if (trace.type === "bar") return drawBars(drawing, points, x, y, isFlat, colour, at, traces.length);
    if ((trace.mode ?? "lines").includes("lines")) {
      let pen = "M";
      const path = points.map((p) => {
        const step = p.every(isFinite) ? `${pen}${p[0].toFixed(1)} ${p[1].toFixed(1)}` : "";
        pen = step ? "L" : "M";
        return step;
      });
      drawing.append(svg("path", { d: path.join(""), class: "line", stroke: colour }));
    }
    if ((trace.mode ?? "").includes("markers")) {
      for (const [cx, cy] of points.filter((p) => p.every(isFinite))) {
        drawing.append(svg("circle", { cx, cy, r: 3, fill: colour }));
      }
    }
  });
  const names = traces.map((trace) => trace.name).filter(Boolean);
  const legend = element("p", "", "legend");
  names.forEach((name, at) => {
    const mark = svg("svg", { viewBox: "0 0 10 10", width: 10, height: 10 });
    mark.append(svg("rect", { width: 10, height: 10, fill: COLOURS[at % COLOURS.length] }));
    legend.append(mark, ` ${name}  `);
  });
  return names.length > 1 ? [drawing, legend] : [drawing];
}

function drawBars(drawing, points, x, y, isFlat, colour, at, n) {
  const thick = Math.max(1, ((isFlat ? HEIGHT : WIDTH) - 80) / Math.max(1, points.length) / (n + 0.5));
  for (const [px, py] of points.filter((p) => p.every(isFinite))) {
    const zero = isFlat ? x.place(0) : y.place(0);
    const shift = (at - n / 2) * thick;
    const box = isFlat
      ? { x: Math.min(px, zero), y: py + shift, width: Math.abs(px - zero), height: thick }
      : { x: px + shift, y: Math.min(py, zero), width: thick, height: Math.abs(py - zero) };
    drawing.append(svg("rect", { ...box, fill: colour, class: "bar" }));
  }
}

function drawMatrix(figure) {
  const [trace] = figure.data;
  const rows = trace.z ?? [];
  const width = rows[0]?.length ?? 0;
  if (!width || rows.length * width > CELLS) return [element("p", `a matrix of ${rows.length} x ${width}`)];
  const known = finite(rows.flat());
  const low = Math.min(...known), span = Math.max(...known) - low || 1;
  const table = element("table", "", "matrix");
  table.append(row("", ...listOf(trace.x, rows[0]).map(String)));
  rows.forEach((cells, at) => {
    const tr = row(String(trace.y?.[at] ?? at), ...cells.map(short));
    cells.forEach((value, i) => {
      const share = typeof value === "number" ? Math.round(((value - low) / span) * 9) : 0;
      tr.children[i + 1].className = `heat${share}`;
    });
    if (figure.layout.yaxis?.autorange === "reversed") table.append(tr);
    else table.firstChild.after(tr);
  });
  return [table];
}

function drawTable(figure) {
  const { header, cells } = figure.data[0];
  const columns = cells?.values ?? [];
  const table = element("table");
  const head = row(...(header?.values ?? []).map((name) => String([name].flat()[0] ?? "")));
  const length = Math.max(0, ...columns.map((column) => column.length));
  const rows = Array.from({ length: Math.min(ROWS, length) }, (_, at) =>
    row(...columns.map((column) => short(column[at]))));
  table.append(head, ...rows);
  return length > ROWS ? [table, element("p", `${length - ROWS} more rows`)] : [table];
}

// The elements of one plotly figure.
export function draw(figure) {
  const shown = { data: figure.data ?? [], layout: figure.layout ?? {} };
  const source = shown.layout.images?.[0]?.source;
  if (!shown.data.length && typeof source === "string" && source.startsWith("data:image/png;base64,")) {
    const image = element("img");
    image.src = source;
    image.alt = "";
    return [image];
  }
  const kinds = [...new Set(shown.data.map((trace) => trace.type ?? "scatter"))];
  if (kinds.length && kinds.every((kind) => ["scatter", "scattergl", "bar"].includes(kind))) return drawLines(shown);
  if (kinds.join() === "heatmap") return drawMatrix(shown);
  if (kinds.join() === "table") return drawTable(shown);
  return [element("p", `a plot of ${kinds.join(", ") || "nothing"}; the page draws no such kind, get_reported_plots gives its numbers`)];
}

export function fillPlots(section, plots) {
  const parts = plots.map((plot) => {
    const part = element("details");
    part.append(element("summary", `${plot.title} / ${plot.series}, iteration ${plot.iteration}`));
    part.addEventListener("toggle", () => {
      if (!part.open || part.children.length > 1) return;
      const isFigure = plot.type === "plotly";
      part.append(...(isFigure ? draw(plot.data) : [element("pre", JSON.stringify(plot.data))]));
    });
    return part;
  });
  section.hidden = !parts.length;
  section.querySelector("div").replaceChildren(...parts);
}

// `fetched` gives the bytes of a path. An image is shown from them as an image and nothing else.
export function fillSamples(section, samples, fetched) {
  const rows = samples.map((one) => {
    const place = element("span", one.uri ? one.uri : "");
    if (!one.uri) {
      const button = element("button", IMAGES.has(one.content_type) ? "Show" : "Download");
      button.onclick = () => show(one, button, fetched);
      place.append(button);
    }
    return row(one.title, one.series, String(one.iteration), one.filename, String(one.n_bytes), place);
  });
  section.hidden = !rows.length;
  section.querySelector("tbody").replaceChildren(...rows);
}

async function show(one, button, fetched) {
  const name = one.filename.split("/").map(encodeURIComponent).join("/");
  const bytes = await fetched(`/media/${one.seq}/${name}`);
  if (!bytes) return;
  if (IMAGES.has(one.content_type) && bytes.byteLength <= IMAGE_BYTES) {
    const reader = new FileReader();
    reader.onload = () => {
      const image = element("img");
      image.src = reader.result;
      image.alt = one.filename;
      button.replaceWith(image);
    };
    reader.readAsDataURL(new Blob([bytes], { type: one.content_type }));
    return;
  }
  const link = element("a");
  link.href = URL.createObjectURL(new Blob([bytes], { type: "application/octet-stream" }));
  link.download = one.filename;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
