"""Invariants of the state that one query each can show: what must not be, as SELECT."""

from __future__ import annotations

_TERMINAL = "('completed', 'failed', 'aborted', 'published')"
_WAS_RESET = (
    "EXISTS (SELECT 1 FROM audit u WHERE u.task_id = t.id AND u.event = 'reset')"  # a new life
)

_UNKNOWN_WORDS = """
SELECT id, 'state ' || state || ', phase ' || COALESCE(phase, 'none') FROM tasks
WHERE state NOT IN ('draft', 'pending', 'running', 'completed', 'failed', 'aborted', 'published')
   OR phase NOT IN ('preparing', 'executing', 'stopping', 'unreachable')
   OR phase_before NOT IN ('preparing', 'executing', 'stopping')
   OR (phase_before IS NOT NULL) <> (phase IS 'unreachable')
"""
_LEASES = """
SELECT id, 'running without ' || CASE
    WHEN lease_expires_at IS NULL THEN 'lease' WHEN agent = '' THEN 'agent'
    WHEN claim_id = '' THEN 'claim id' ELSE 'phase' END
FROM tasks WHERE state = 'running'
    AND (lease_expires_at IS NULL OR agent = '' OR claim_id = '' OR phase IS NULL)
UNION ALL
SELECT id, state || ', but it has ' || CASE
    WHEN lease_expires_at IS NOT NULL THEN 'a lease' WHEN agent <> '' THEN 'an agent'
    WHEN claim_id <> '' THEN 'a claim id' ELSE 'a phase' END
FROM tasks WHERE state <> 'running'
    AND (lease_expires_at IS NOT NULL OR agent <> '' OR claim_id <> '' OR phase IS NOT NULL)
"""
_OPEN_ATTEMPTS = """
SELECT t.id, 'running at attempt ' || t.epoch || ', which is not open for agent ' || t.agent
    || ' and claim ' || t.claim_id
FROM tasks t LEFT JOIN attempts a ON a.task_id = t.id AND a.epoch = t.epoch
    AND a.ended_at IS NULL AND a.agent = t.agent AND a.claim_id = t.claim_id
WHERE t.state = 'running' AND a.task_id IS NULL
UNION ALL
SELECT a.task_id, 'attempt ' || a.epoch || ' is open, the task is ' || t.state || ' at attempt '
    || t.epoch
FROM attempts a JOIN tasks t ON t.id = a.task_id
WHERE a.ended_at IS NULL AND (t.state <> 'running' OR a.epoch <> t.epoch)
"""
_TWO_OPEN = """
SELECT task_id, COUNT(*) || ' attempts are open' FROM attempts
WHERE ended_at IS NULL GROUP BY task_id HAVING COUNT(*) > 1
"""
_CLAIMED_TWICE = """
SELECT task_id, 'claim ' || claim_id || ' opened ' || COUNT(*) || ' attempts' FROM attempts
GROUP BY task_id, claim_id HAVING COUNT(*) > 1
"""
_QUEUED = """
SELECT t.id, 'pending in queue ' || t.queue || ', where it does not wait'
FROM tasks t LEFT JOIN queue_entries e ON e.task_id = t.id AND e.queue = t.queue
    AND e.priority = t.priority AND e.not_before IS t.not_before
WHERE t.state = 'pending' AND e.task_id IS NULL
UNION ALL
SELECT e.task_id, 'waits in queue ' || e.queue || ', but is ' || t.state
FROM queue_entries e JOIN tasks t ON t.id = e.task_id WHERE t.state <> 'pending'
UNION ALL
SELECT e.task_id, 'waits in queue ' || e.queue || ', which is not there'
FROM queue_entries e LEFT JOIN queues q ON q.name = e.queue WHERE q.name IS NULL
"""
_CAUSED = f"""
SELECT id, state || ' without a cause' FROM tasks WHERE state IN {_TERMINAL} AND cause IS NULL
UNION ALL
SELECT id, state || ', but ended_at is ' || COALESCE(ended_at, 'missing') FROM tasks
WHERE (state IN {_TERMINAL}) <> (ended_at IS NOT NULL) AND state IN ('pending', 'running',
    'completed', 'failed', 'aborted', 'published')
UNION ALL
SELECT task_id, 'attempt ' || epoch || ' ended without a cause' FROM attempts
WHERE ended_at IS NOT NULL AND cause IS NULL
"""  # noqa: S608  (constants)
_DRAFTS = """
SELECT t.id, 'a draft with ' || CASE WHEN e.task_id IS NOT NULL THEN 'a place in a queue'
    ELSE 'an open attempt' END
FROM tasks t LEFT JOIN queue_entries e ON e.task_id = t.id
    LEFT JOIN attempts a ON a.task_id = t.id AND a.ended_at IS NULL
WHERE t.state = 'draft' AND (e.task_id IS NOT NULL OR a.task_id IS NOT NULL)
"""
_EPOCHS = f"""
SELECT t.id, 'at attempt ' || t.epoch || ', kept are '
    || COALESCE(a.n || ' from ' || a.lo || ' to ' || a.hi, 'none')
FROM tasks t LEFT JOIN (
    SELECT task_id, COUNT(*) AS n, MIN(epoch) AS lo, MAX(epoch) AS hi FROM attempts GROUP BY task_id
) a ON a.task_id = t.id
WHERE (a.n IS NULL AND t.epoch > 0 AND NOT {_WAS_RESET})
   OR (a.n IS NOT NULL AND (a.hi <> t.epoch OR a.n <> a.hi - a.lo + 1
        OR (a.lo <> 1 AND NOT {_WAS_RESET})))
"""  # noqa: S608  (constants)
_DELAYED = """
SELECT id, state || ', but not before ' || not_before FROM tasks
WHERE not_before IS NOT NULL AND state <> 'pending'
"""
_BUDGETS = """
SELECT id, n_requeues || ' requeues, at most '
    || COALESCE(json_extract(policy, '$.max_requeues'), 3) FROM tasks
WHERE state <> 'draft' AND n_requeues > COALESCE(json_extract(policy, '$.max_requeues'), 3)
UNION ALL
SELECT id, n_retries || ' retries, at most ' || COALESCE(json_extract(policy, '$.retries'), 0)
FROM tasks WHERE state <> 'draft' AND n_retries > COALESCE(json_extract(policy, '$.retries'), 0)
"""
_PURGES = """
SELECT p.task_id, 'outputs up to attempt ' || p.epoch || ' are to be deleted, but attempt '
    || MIN(a.epoch) || ' is kept'
FROM purges p JOIN attempts a ON a.task_id = p.task_id AND a.epoch <= p.epoch GROUP BY p.task_id
"""
_CHUNKS = """
SELECT s.task_id, s.title || '/' || s.name || ': a chunk of ' || c.n_points || ' points has '
    || LENGTH(c.iterations) || ', ' || LENGTH(c.vals) || ' and ' || LENGTH(c.times) || ' bytes'
FROM chunks c JOIN series s ON s.id = c.series_id
WHERE LENGTH(c.iterations) <> 8 * c.n_points OR LENGTH(c.vals) <> 8 * c.n_points
   OR LENGTH(c.times) <> 8 * c.n_points
UNION ALL
SELECT s.task_id, s.title || '/' || s.name || ': its summary is of ' || s.n_points
    || ' points, there are ' || TOTAL(c.n_points)
FROM series s LEFT JOIN chunks c ON c.series_id = s.id
GROUP BY s.id HAVING s.n_points <> TOTAL(c.n_points)
"""

#: Name, promise, database, query for (subject, what was seen) of whatever breaks it.
CHECKS: tuple[tuple[str, str, str, str], ...] = (
    ("known_states", "every task is in a state and phase there is", "state", _UNKNOWN_WORDS),
    (
        "running_is_leased",
        "a task is running if and only if it has a lease, an agent, a claim id and a phase",
        "state",
        _LEASES,
    ),
    (
        "running_is_open",
        "a task is running if and only if the attempt of its epoch is open, for the same agent "
        "and claim",
        "state",
        _OPEN_ATTEMPTS,
    ),
    ("one_open_attempt", "two attempts of a task are never open", "state", _TWO_OPEN),
    ("claimed_once", "a claim opened one attempt", "state", _CLAIMED_TWICE),
    (
        "pending_is_queued",
        "a task is pending if and only if it waits in its queue, at its priority, once",
        "state",
        _QUEUED,
    ),
    ("ends_are_caused", "what has ended has an end and a cause", "state", _CAUSED),
    ("drafts_are_idle", "a draft waits nowhere and runs nowhere", "state", _DRAFTS),
    ("epochs_are_contiguous", "attempts are numbered without a hole", "state", _EPOCHS),
    ("only_pending_waits", "only a pending task is held back until a time", "state", _DELAYED),
    (
        "budgets_are_kept",
        "no task was requeued or retried more often than its policy says",
        "state",
        _BUDGETS,
    ),
    (
        "purges_spare_the_living",
        "only outputs of attempts that were given up are about to be deleted",
        "state",
        _PURGES,
    ),
    (
        "points_are_counted",
        "a series has as many points as its summary says, each with its three numbers",
        "results",
        _CHUNKS,
    ),
)
