// The page: asks for the token once, lists tasks, shows one with its console as it grows.
// Whatever users wrote is put on the page as text nodes only.

import { $, element, row, stateOf, when } from "./dom.js";
import { fillAttempts, fillDrained, fillEnvironment, fillLife } from "./life.js";
import { fillPlots, fillSamples } from "./plots.js";
import { ConsoleView } from "./terminal.js";

const TAIL_BYTES = 1 << 20; // of the console that is drawn at first; the file has it all
const LOOK_AGAIN_MS = 10000; // an attempt that falls silent is no event of its console
let leave = new AbortController(); // ends what the last view still reads

function takeToken() {
  const given = /^#token=(.+)$/.exec(location.hash);
  if (!given) return;
  sessionStorage.setItem("token", decodeURIComponent(given[1]));
  history.replaceState(null, "", "/");
}

async function api(path, options = {}) {
  const token = sessionStorage.getItem("token") ?? "";
  const headers = { Authorization: `Bearer ${token}`, ...options.headers };
  const answer = await fetch(`/api/v1${path}`, { signal: leave.signal, ...options, headers });
  if (answer.ok) return answer;
  if (answer.status === 401) sessionStorage.removeItem("token");
  const problem = await answer.json().catch(() => ({ detail: answer.statusText }));
  throw Object.assign(new Error(problem.detail), { status: answer.status });
}

async function showList(cursor = "") {
  const search = encodeURIComponent($("#search").search.value);
  const answer = await api(`/tasks?limit=50&search=${search}&cursor=${encodeURIComponent(cursor)}`);
  const page = await answer.json();
  const rows = page.items.map((task) => {
    const link = element("a", task.name);
    link.href = `#/tasks/${task.id}`;
    const state = element("span", stateOf(task), task.state);
    return row(state, link, task.project, task.cause?.message, when(task.started_at));
  });
  const body = $("#list tbody");
  if (cursor) body.append(...rows);
  else body.replaceChildren(...rows);
  $("#more").hidden = !page.next_cursor;
  $("#more").onclick = () => guarded(() => showList(page.next_cursor));
  $("#message").textContent = body.children.length ? "" : "No tasks yet.";
  $("#list").hidden = false;
  if (!cursor) fillDrained((await (await api("/agents")).json()).items);
}

function fillTask(task, why, attempts) {
  $("#task h2").textContent = task.name;
  const facts = {
    Id: task.id, Project: task.project, ...fillLife(task, why),
    Tags: [...task.tags, ...task.system_tags].join(", "), Comment: task.comment,
    Container: [task.execution.container.image, task.execution.container.arguments].join(" ").trim(),
  };
  const shown = Object.entries(facts).filter(([, value]) => value);
  $("#task dl").replaceChildren(...shown.flatMap(([k, v]) => [element("dt", k), element("dd", v)]));
  fillEnvironment(task);
  fillAttempts(attempts);
  const rows = Object.entries(task.metrics).flatMap(([title, series]) =>
    Object.entries(series).map(([name, m]) =>
      row(title, name, String(m.last), String(m.last_iteration), String(m.min), String(m.max))));
  $("#scalars tbody").replaceChildren(...rows);
}

async function showTask(id) {
  const mine = leave.signal;
  const read = async (path) => (await api(`/tasks/${id}${path}`, { signal: mine })).json();
  const refresh = async () => {
    const [task, why, attempts] = await Promise.all(["", "/why", "/attempts"].map(read));
    fillTask(task, why.reason, attempts.items);
  };
  const refreshPictures = async () => {
    const [plots, samples] = await Promise.all(["/plots?max_iterations=1", "/media?limit=100"].map(read));
    fillPlots($("#plots"), plots.items);
    fillSamples($("#samples"), samples.items, (path) => guarded(async () =>
      (await api(`/tasks/${id}${path}`, { signal: mine })).arrayBuffer()));
  };
  $("#redraw").onclick = () => guarded(refreshPictures);
  $("#abort").onclick = () => guarded(async () => {
    if (!confirm("Abort this task and those that follow it?")) return;
    await api(`/tasks/${id}/abort`, { method: "POST", signal: mine });
    await refresh();
  });
  const ticking = setInterval(() => document.hidden || guarded(refresh), LOOK_AGAIN_MS);
  mine.addEventListener("abort", () => clearInterval(ticking));
  let due = null; // values change with the console: look again soon, but not at every piece
  const refreshSoon = () => {
    due ??= setTimeout(() => {
      due = null;
      if (!mine.aborted) guarded(refresh);
    }, 2000);
  };
  const shown = new ConsoleView($("#console"));
  await Promise.all([refresh(), refreshPictures()]);
  $("#task").hidden = false;
  const query = `tail_bytes=${TAIL_BYTES}&limit_bytes=${TAIL_BYTES}`;
  const tail = await read(`/console?${query}`);
  if (tail.pieces[0]?.offset) shown.say("[earlier output is not shown here]");
  for (const piece of tail.pieces) shown.add(piece);
  for (let last = tail.next ? String(tail.next) : ""; !mine.aborted;) {
    try {
      $("#live").textContent = "live";
      const headers = last ? { "Last-Event-ID": last } : {};
      const answer = await api(`/tasks/${id}/console/follow`, { headers, signal: mine });
      for await (const event of events(answer.body)) {
        if (event.id) last = event.id;
        if (event.name === "piece") {
          shown.add(JSON.parse(event.data));
          refreshSoon();
        }
        if (event.name !== "closed") continue;
        $("#live").textContent = JSON.parse(event.data).state;
        clearInterval(ticking);
        return Promise.all([refresh(), refreshPictures()]);
      }
    } catch (error) {
      if (error.name === "AbortError" || error.status) throw error;
    }
    $("#live").textContent = "reconnecting";
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ""; ;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = { name: "message", id: "", data: "" };
      for (const line of block.split("\n")) {
        const [, field, text] = /^(\w*): ?(.*)$/.exec(line) ?? [];
        if (field === "event") event.name = text;
        if (field === "id") event.id = text;
        if (field === "data") event.data += text;
      }
      yield event;
    }
  }
}

async function guarded(work) {
  try {
    return await work();
  } catch (error) {
    if (error.name === "AbortError") return;
    $("#message").textContent = error.message;
    $("#login").hidden = error.status !== 401;
  }
}

function show() {
  leave.abort();
  leave = new AbortController();
  takeToken();
  for (const id of ["#list", "#task", "#login"]) $(id).hidden = true;
  $("#message").textContent = "";
  if (!sessionStorage.getItem("token")) return void ($("#login").hidden = false);
  const task = /^#\/tasks\/([0-9a-f]{4,32})$/.exec(location.hash);
  return guarded(() => (task ? showTask(task[1]) : showList()));
}

$("#login").onsubmit = (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", $("#login").token.value.trim());
  $("#login").reset();
  show();
};
$("#search").onsubmit = (event) => {
  event.preventDefault();
  if (location.hash.startsWith("#/tasks/")) location.hash = "#/";
  else show();
};
$("#forget").onclick = () => {
  sessionStorage.removeItem("token");
  show();
};
window.addEventListener("hashchange", show);
show();
