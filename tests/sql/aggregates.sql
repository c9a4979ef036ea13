-- What is left to Intacct of GROUP BY, DISTINCT and aggregates, and that the answers are PostgreSQL's.

IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoice) FROM SERVER acme INTO public;

-- The number of rows comes with a page of one row.
EXPLAIN (COSTS OFF) SELECT count(*) FROM arinvoice;
EXPLAIN (COSTS OFF) SELECT count(freight_cost) FROM arinvoice WHERE state = 'Posted';
EXPLAIN (COSTS OFF) SELECT count(*) FILTER (WHERE totaldue > 100) FROM arinvoice;
SELECT count(*), count(*) FILTER (WHERE totaldue > 100) FROM arinvoice;

-- Groups, with the request that they must add up to.
EXPLAIN (COSTS OFF) SELECT state, sum(totaldue), count(*) FROM arinvoice GROUP BY state;
EXPLAIN (VERBOSE, COSTS OFF) SELECT state, sum(totaldue) FROM arinvoice WHERE totaldue > 0 GROUP BY state HAVING count(*) > 3;
-- Of a table of several pages; of one page the rows are one call, and the groups two.
ALTER SERVER acme OPTIONS (ADD page_size '100');
EXPLAIN (COSTS OFF) SELECT DISTINCT state, is_export FROM arinvoice;
ALTER SERVER acme OPTIONS (DROP page_size);
SELECT count(*) > 100 FROM arinvoice;
EXPLAIN (COSTS OFF) SELECT DISTINCT state, is_export FROM arinvoice WHERE totaldue > 100;
EXPLAIN (COSTS OFF) SELECT avg(totaldue), max(totaldue) FROM arinvoice;

-- PostgreSQL 16 and later may sort for DISTINCT below the aggregate.
DO $$ BEGIN
  IF current_setting('server_version_num')::integer >= 160000 THEN
    SET enable_presorted_aggregate = off;
  END IF;
END $$;

-- What PostgreSQL combines from the gateway's groups (combined.sql), and what stays here.
EXPLAIN (COSTS OFF) SELECT count(DISTINCT state) FROM arinvoice;
EXPLAIN (COSTS OFF) SELECT state, count(freight_cost) FROM arinvoice GROUP BY state;
EXPLAIN (COSTS OFF) SELECT count(*), count(freight_cost) FROM arinvoice;
EXPLAIN (COSTS OFF) SELECT min(state) FROM arinvoice GROUP BY is_export;
EXPLAIN (COSTS OFF) SELECT sum(totaldue) FROM arinvoice WHERE NOT is_export;
EXPLAIN (COSTS OFF) SELECT upper(state), count(*) FROM arinvoice GROUP BY 1;
EXPLAIN (COSTS OFF) SELECT totaldue, sum(totaldue) FROM arinvoice GROUP BY totaldue;
EXPLAIN (COSTS OFF) SELECT state, count(*) FROM arinvoice WHERE whenmodified > '2024-01-01 00:00:00.5+00' GROUP BY state;

-- The answers, pushed and not.
SELECT state, count(*), trim_scale(sum(totaldue)) AS due, min(whendue), max(whendue) FROM arinvoice GROUP BY state ORDER BY state;
SET sage_intacct.push_aggregates = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM arinvoice;
SELECT state, count(*), trim_scale(sum(totaldue)) AS due, min(whendue), max(whendue) FROM arinvoice GROUP BY state ORDER BY state;
RESET sage_intacct.push_aggregates;

-- No rows.
SELECT count(*), sum(totaldue), max(whendue) FROM arinvoice WHERE recordno < 0;
SELECT state, count(*) FROM arinvoice WHERE recordno < 0 GROUP BY state;
PREPARE due (numeric) AS SELECT count(*), sum(totaldue) FROM arinvoice WHERE totaldue > $1;
SET plan_cache_mode = force_generic_plan;
EXECUTE due (NULL);
EXECUTE due ('Infinity');
EXECUTE due ('-Infinity');

-- Without verification a key that may be NULL stays here.
ALTER SERVER acme OPTIONS (ADD verify_aggregates 'off', ADD push_aggregates 'on');
EXPLAIN (COSTS OFF) SELECT region_code, count(*) FROM arinvoice GROUP BY region_code;
EXPLAIN (COSTS OFF) SELECT region_code, count(*) FROM arinvoice WHERE region_code IS NOT NULL GROUP BY region_code;
ALTER SERVER acme OPTIONS (SET push_aggregates 'off');
EXPLAIN (COSTS OFF) SELECT count(*) FROM arinvoice;
