-- Conditions seen through casts, calendar functions, patterns, rows: what is asked of Intacct.

CREATE FOREIGN TABLE invoice (
  recordno bigint OPTIONS (type 'INTEGER') NOT NULL,
  recordid text OPTIONS (type 'TEXT'),
  customer text OPTIONS (field 'CUSTOMERID', type 'TEXT'),
  created date OPTIONS (field 'WHENCREATED', type 'DATE'),
  totaldue numeric OPTIONS (type 'CURRENCY'),
  export boolean OPTIONS (field 'Is_Export', type 'BOOLEAN'),
  whenmodified timestamptz OPTIONS (type 'TIMESTAMP'))
SERVER acme OPTIONS (object 'ARINVOICE');
SET timezone = 'America/New_York';

-- Patterns. Disregarding case is a switch of the whole request, so no negative may be beside it.
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE customer ILIKE 'abc%';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE customer ILIKE 'Kim%' COLLATE "C";
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE customer ILIKE 'Kim%' AND recordid = 'X';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE customer ILIKE 'abc%' AND recordid <> 'X';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE customer ILIKE '12-%';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE customer NOT ILIKE 'abc%';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE lower(customer) = 'acme corp';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE lower(customer) LIKE 'acm%';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE customer LIKE 'a_b\%%';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE customer LIKE ANY (ARRAY['a%', '%b']);
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE customer NOT LIKE ALL (ARRAY['a%', '%b']);
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE customer ^@ 'a ';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE NOT starts_with(customer, 'ab');
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE NOT starts_with(customer, 'a%');

-- NULL takes part.
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE customer IS DISTINCT FROM 'C1';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE totaldue IS NOT DISTINCT FROM 5;
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE export IS DISTINCT FROM true;
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE coalesce(totaldue, 0) > 5;
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE coalesce(totaldue, 0) < 5;
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE NOT coalesce(totaldue, 0) = 0;
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE coalesce(customer, '') = '';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE coalesce(customer, '') <> '';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE coalesce(export, false);
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE NOT coalesce(export, true);

-- Rows, numbers.
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE (created, recordno) > ('2024-01-31', 17);
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE (totaldue, customer) <= (100, 'x');
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE (created, totaldue) = ('2024-01-31', 17);
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE recordno < 1.5;
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE 1.5 <= recordno;
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE recordno::numeric = 2.0;
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE recordno < 1e30;
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE totaldue = 3 AND recordno IN (1, 2::smallint, 3);

-- Dates and times across types.
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE created < timestamp '2024-05-01 12:00';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE created <= timestamp '2024-05-01 12:00';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE created >= timestamp '2024-05-01';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE created = timestamp '2024-05-01';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE created >= now() - interval '7 days';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE created > current_date - interval '1 month';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE whenmodified::date = '2024-05-01';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE whenmodified >= date '2024-05-01';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE date_trunc('month', whenmodified) = '2024-05-01';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE date_trunc('month', created) = '2024-05-01';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE date_trunc('month', created::timestamp) = '2024-05-01';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE date_trunc('quarter', created::timestamp)::date < '2024-05-01';
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE extract(year FROM created) = 2024;
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE date_part('year', created) > 2023.5;
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE extract(month FROM created) = 5;
EXPLAIN (COSTS OFF) SELECT recordno FROM invoice WHERE created::timestamp IS NULL;

-- Parameters.
SET plan_cache_mode = force_generic_plan;
PREPARE s (text, boolean, numeric, timestamptz) AS SELECT recordno FROM invoice
  WHERE customer LIKE $1 AND export = $2 AND recordno > $3 AND created <= $4 AND recordid IS DISTINCT FROM $1;
EXPLAIN (COSTS OFF) EXECUTE s ('a_c%', true, 1.5, now());
