-- What a monitoring system asks for, in the shape that exporters want: a name by the conventions of Prometheus, labels, a
-- value, NaN where it is not known. Names ending in _total are counters: they never become less, see src/shmem/kept.rs. Labels are called so that none
-- meets one of an exporter's own (job, instance, server, datname, database, target). There is nothing in it that names a
-- record or a value of one.

-- The servers that the current user may use; members of pg_read_all_stats, such as pg_monitor, see all.
CREATE VIEW sage_intacct.metrics_servers WITH (security_barrier = true) AS
SELECT s.oid, s.srvname
  FROM pg_foreign_server s
  JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw
  JOIN pg_proc h ON h.oid = w.fdwhandler AND h.proname = 'sage_intacct_fdw_handler'
 WHERE has_server_privilege(s.oid, 'USAGE') OR pg_has_role('pg_read_all_stats', 'USAGE');

CREATE VIEW sage_intacct.metrics WITH (security_barrier = true) AS
SELECT v.name, jsonb_build_object('foreign_server', s.srvname) AS labels, v.value, v.help, t.since
  FROM sage_intacct.metrics_servers s
  LEFT JOIN sage_intacct.request_totals() t ON t.server = s.srvname
 CROSS JOIN LATERAL (VALUES
        ('sage_intacct_requests_total', t.requests::float8, 'HTTP requests, retries included'),
        ('sage_intacct_retries_total', t.retries, 'Retries of failed requests'),
        ('sage_intacct_failures_total', t.failures, 'Requests that failed and were not retried'),
        ('sage_intacct_abandoned_total', t.abandoned, 'Requests that were canceled, timed out, or whose response was no longer needed'),
        ('sage_intacct_throttled_total', (t.errors ->> '53400')::float8, 'Requests throttled by the gateway, retried ones included'),
        ('sage_intacct_sign_ins_total', t.sign_ins, 'Sessions opened'),
        ('sage_intacct_received_rows_total', t.rows, 'Rows received'),
        ('sage_intacct_sent_bytes_total', t.sent_bytes, 'Bytes of requests'),
        ('sage_intacct_received_bytes_total', t.wire_bytes, 'Bytes of responses as they travelled'),
        ('sage_intacct_decoded_bytes_total', t.decoded_bytes, 'Bytes of responses after decompression'),
        ('sage_intacct_gateway_seconds_total', t.gateway_seconds, 'Time from the first byte of each request to the last of its response'),
        ('sage_intacct_queued_seconds_total', t.queued_seconds, 'Time that requests waited in the queue'),
        ('sage_intacct_paused_seconds_total', t.paused_seconds, 'Time that failed requests waited before they were retried')
      ) AS c(name, counted, help)
 CROSS JOIN LATERAL (SELECT c.name, coalesce(c.counted, 0) AS value, c.help) v
UNION ALL
SELECT 'sage_intacct_errors_total', jsonb_build_object('foreign_server', t.server, 'sqlstate', e.key), e.value::float8,
       'Failed requests, retried ones included, by SQLSTATE', t.since
  FROM sage_intacct.request_totals() t CROSS JOIN LATERAL jsonb_each_text(t.errors) e
UNION ALL
SELECT v.name, jsonb_build_object('foreign_server', s.srvname), coalesce(v.value, 'NaN'), v.help, NULL
  FROM sage_intacct.metrics_servers s
  LEFT JOIN sage_intacct.request_stats() t ON t.server = s.srvname AND t.scope = 'all backends'
 CROSS JOIN LATERAL (VALUES
        ('sage_intacct_calls_today', t.calls_today::float8, 'Calls of this day (UTC), as contracts count them; NaN where backends share no memory'),
        ('sage_intacct_max_calls_per_day', t.max_calls_per_day::float8, 'The option max_calls_per_day; NaN without one')
      ) AS v(name, value, help)
UNION ALL
(WITH running AS MATERIALIZED (SELECT p.server, p.kind, count(*) AS number FROM sage_intacct.progress p GROUP BY p.server, p.kind)
SELECT 'sage_intacct_running', jsonb_build_object('foreign_server', s.srvname, 'kind', k.kind), coalesce(r.number, 0)::float8,
       'Scans and refreshes that run now', NULL
  FROM sage_intacct.metrics_servers s
 CROSS JOIN (VALUES ('scan'), ('refresh')) k(kind)
  LEFT JOIN running r ON r.server = s.srvname AND r.kind = k.kind)
UNION ALL
-- Servers that were dropped stay in the log.
(WITH counts AS MATERIALIZED (SELECT c.server, c.outcome, sum(c.functions) AS number FROM sage_intacct.write_counts() c GROUP BY c.server, c.outcome)
SELECT 'sage_intacct_writes', jsonb_build_object('foreign_server', s.name, 'outcome', o.outcome), coalesce(c.number, 0)::float8,
       'Functions in the write log, by outcome', NULL
  FROM (SELECT srvname AS name FROM sage_intacct.metrics_servers UNION SELECT server FROM counts) s
 CROSS JOIN (VALUES ('stored'), ('not stored'), ('in doubt'), ('under way')) o(outcome)
  LEFT JOIN counts c ON c.server = s.name AND c.outcome = o.outcome)
UNION ALL
SELECT 'sage_intacct_write_in_doubt_seconds', jsonb_build_object('foreign_server', f.server),
       extract(epoch FROM clock_timestamp() - min(f.sent))::float8,
       'Age of the oldest write in doubt', NULL
  FROM sage_intacct.write_log_file(true) f WHERE f.outcome = 'in doubt' GROUP BY f.server
UNION ALL
-- The server without a join: Citus cannot plan one that the planner removes.
SELECT v.name, jsonb_build_object('foreign_server', (SELECT s.srvname FROM pg_foreign_table t JOIN pg_foreign_server s ON s.oid = t.ftserver
                                                      WHERE t.ftrelid = r.source), 'mirror', format('%I.%I', n.nspname, c.relname))
               || CASE WHEN m.company IS NULL THEN '{}' ELSE jsonb_build_object('company', m.company) END, coalesce(v.value, 'NaN'), v.help, NULL
  FROM sage_intacct.mirrors m
  JOIN sage_intacct.mirror_registry r ON r.target = m.target AND r.company = coalesce(m.company, '')
  JOIN pg_class c ON c.oid = m.target
  JOIN pg_namespace n ON n.oid = c.relnamespace
 CROSS JOIN LATERAL (VALUES
        ('sage_intacct_mirror_rows', m.rows::float8, 'Rows of the mirror'),
        ('sage_intacct_mirror_complete', m.complete::int::float8, 'Whether the last check found the gateway''s number of rows and sum of keys'),
        ('sage_intacct_mirror_lag_seconds', coalesce(extract(epoch FROM m.lag)::float8, 'Infinity'),
         'Time since the beginning of the last refresh that succeeded; +Inf: none has'),
        ('sage_intacct_mirror_failing', coalesce(m.last_outcome IN ('failed', 'lost'), false)::int::float8, 'Whether the last refresh failed or was lost with its session'),
        ('sage_intacct_mirror_unfinished', coalesce(m.last_outcome = 'budget', false)::int::float8, 'Whether the last refresh ended because of max_requests_per_run'),
        ('sage_intacct_mirror_gone_columns', cardinality(r.gone)::float8, 'Columns whose field the object has lost: they are not refreshed any more'),
        ('sage_intacct_mirror_run_seconds', extract(epoch FROM m.duration)::float8, 'How long the last refresh took'),
        ('sage_intacct_mirror_run_requests', m.requests::float8, 'Requests of the last refresh'),
        ('sage_intacct_mirror_run_changes', (m.inserted + m.updated + m.deleted)::float8, 'Rows that the last refresh inserted, updated or deleted')
      ) AS v(name, value, help);

COMMENT ON VIEW sage_intacct.metrics IS 'Metrics for monitoring systems: requests, mirrors, writes';
GRANT SELECT ON sage_intacct.metrics TO PUBLIC;
