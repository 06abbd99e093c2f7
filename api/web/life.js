// How a task lives: its state with the way out, how it ended and why, its attempts and receipts.

import { $, element, row, stateOf, when } from "./dom.js";

const bytes = (n) => `${n.toLocaleString()} B`;

export function fillLife(task, why) {
  const open = task.attempt?.ended_at ? null : task.attempt;
  const facts = {
    State: stateOf(task),
    Why: why === task.cause?.message ? "" : why,
    "Unreachable since": when(open?.unreachable_since),
    "Not before": when(task.not_before),
    Cause: causeOf(task.cause),
    Retries: spent(task.n_retries, task.policy.retries),
    "Lost workers": spent(task.n_requeues, task.policy.max_requeues),
    "Time limit": task.policy.max_run_time_s ? `${task.policy.max_run_time_s} s` : "",
    Queue: task.queue, Agent: open?.agent, Started: when(task.started_at),
    Ended: when(task.ended_at),
  };
  const evidence = $("#evidence");
  evidence.textContent = task.cause?.evidence ?? "";
  evidence.hidden = !evidence.textContent;
  fillAbort(task);
  return facts;
}

// What was asked for and what was built, for every attempt that was prepared.
export function fillEnvironment(task) {
  const asked = task.execution, built = task.attempt?.environment;
  const facts = {
    "Setup script": asked.setup_script.trim(),
    Variables: Object.entries(asked.variables).map(([name, value]) => `${name}=${value}`).join("\n"),
    "Imports from": asked.python_path.join(", "),
    "Packages asked for": asked.packages.join("\n"),
    ...(built && {
      Environment: `${built.key.slice(0, 12)}, ${built.reused ? "reused" : "built"} in ${built.seconds.toFixed(1)} s`,
      "Built by": [built.manager, built.origin && `from ${built.origin}`].filter(Boolean).join(" "),
      Python: [built.python, built.platform].filter(Boolean).join(" on "),
      CUDA: built.cuda, Image: built.image, Commit: built.commit,
      Installed: built.installed.join("\n"),
    }),
  };
  const shown = Object.entries(facts).filter(([, value]) => value);
  $("#environment dl").replaceChildren(
    ...shown.flatMap(([name, value]) => [element("dt", name), element("dd", value)]));
  $("#environment").hidden = !shown.length;
}

function fillAbort(task) {
  const button = $("#abort");
  const stopping = task.state === "running" && task.cause; // also one that cannot hear of it yet
  button.hidden = !["pending", "running"].includes(task.state);
  button.disabled = stopping;
  button.textContent = stopping ? "Stopping…" : "Abort";
}

const spent = (n, of) => (n ? `${n} of ${of}` : "");

function causeOf(cause) {
  if (!cause) return "";
  const by = cause.by && !cause.message.includes(cause.by) ? `, by ${cause.by}` : "";
  return `${cause.message} (${cause.kind.replaceAll("_", " ")}${by})`;
}

export function fillAttempts(attempts) {
  const rows = attempts.map((attempt) =>
    row(
      String(attempt.epoch),
      attempt.node ? `${attempt.agent} on ${attempt.node}` : attempt.agent,
      when(attempt.claimed_at),
      attempt.ended_at ? when(attempt.ended_at) : "open",
      withEvidence(attempt.cause),
      receiptOf(attempt.receipt),
    ));
  $("#attempts tbody").replaceChildren(...rows);
  $("#attempts").hidden = !rows.length;
}

function withEvidence(cause) {
  if (!cause?.evidence) return causeOf(cause);
  const details = document.createElement("details");
  details.append(element("summary", causeOf(cause)), element("pre", cause.evidence));
  return details;
}

function receiptOf(receipt) {
  const list = element("ul");
  for (const [stream, one] of Object.entries(receipt)) {
    if (one.n_bytes) list.append(element("li", `${stream}: ${kept(one)}`, one.exact ? "" : "failed"));
  }
  return list;
}

function kept(one) {
  if (one.exact && !one.missing_bytes) return `${bytes(one.n_bytes)}, exact`;
  const gaps = (one.gaps ?? []).map((gap) => `${bytes(gap.n_bytes)} at ${gap.offset}`).join(", ");
  const missing = one.missing_bytes ? `, missing ${gaps || bytes(one.missing_bytes)}` : "";
  const doubt = one.exact ? "" : ", not equal to what was written";
  return `${bytes(one.stored_bytes)} of ${bytes(one.n_bytes)}${missing}${doubt}`;
}

export function fillDrained(agents) {
  const drained = agents.filter((agent) => agent.state === "drained");
  $("#drained ul").replaceChildren(
    ...drained.map((agent) => element("li", `${agent.name}${agent.node ? ` on ${agent.node}` : ""}: ${agent.reason || "drained"}`)));
  $("#drained").hidden = !drained.length;
}
