-- Prepared statements: the parameters go to Intacct, whichever plan is used.

CREATE SCHEMA acme;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice) FROM SERVER acme INTO acme;
SET search_path = acme;

PREPARE by_id (text) AS SELECT recordno, customerid FROM customer WHERE customerid = $1;
SET plan_cache_mode = force_custom_plan;
EXECUTE by_id ('C-00002');
SET plan_cache_mode = force_generic_plan;
EXPLAIN (VERBOSE, COSTS OFF) EXECUTE by_id ('C-00002');
EXECUTE by_id ('C-00002');
EXECUTE by_id ('C-00003');
-- NULL finds nothing; nor does the empty string.
EXECUTE by_id (NULL);
EXECUTE by_id ('');
EXECUTE by_id ('no ''such'' & <id>');

PREPARE by_date (date, numeric, bigint) AS
  SELECT count(*) FROM arinvoice WHERE whencreated >= $1 AND totaldue > $2 AND recordno < $3;
EXPLAIN (VERBOSE, COSTS OFF) EXECUTE by_date ('2022-01-01', 10, 5000);
EXECUTE by_date ('2022-01-01', 10, 5000);
EXECUTE by_date ('infinity', 10, 5000);
EXECUTE by_date ('-infinity', 'NaN', 5000);
EXECUTE by_date ('-infinity', '-Infinity', 9223372036854775807);
EXECUTE by_date (NULL, NULL, NULL);

-- The bound of a timestamp is written when it runs: in the zone of then.
PREPARE since (timestamptz) AS SELECT count(*) FROM arinvoice WHERE whenmodified > $1;
SET timezone = 'UTC';
EXECUTE since ('2024-01-01 00:00:00');
SET timezone = 'Asia/Kolkata';
EXECUTE since ('2024-01-01 00:00:00');
EXECUTE since ('2024-01-01 05:30:00');
RESET timezone;

-- Limits as parameters.
PREPARE top (bigint, bigint) AS SELECT recordno FROM arinvoice ORDER BY recordno LIMIT $1 OFFSET $2;
EXECUTE top (3, 0);
EXECUTE top (2, 2);
EXECUTE top (0, 0);
SELECT count(*) AS unlimited FROM (SELECT recordno FROM arinvoice ORDER BY recordno LIMIT NULL) all_rows;

-- Stable expressions and sub-selects are computed first, then sent.
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM arinvoice WHERE whencreated > current_date - 10;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM arinvoice WHERE customerid = (SELECT 'C-00002'::text OFFSET 0);
SELECT count(*) FROM arinvoice WHERE customerid = (SELECT 'C-00002'::text OFFSET 0);
SELECT count(*) FROM arinvoice WHERE customerid = 'C-00002';

-- A plan notices a change of options.
EXECUTE by_id ('C-00002');
ALTER FOREIGN TABLE customer OPTIONS (ADD filter 'CUSTOMERID <> C-00002');
EXECUTE by_id ('C-00002');
ALTER FOREIGN TABLE customer OPTIONS (DROP filter);
EXECUTE by_id ('C-00002');
