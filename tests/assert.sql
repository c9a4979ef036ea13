-- What `make test-assert` runs on a server with assertions, without and with debug_discard_caches. Psql variables: url,
-- discard. Everything that is shown must be the same in both runs.
\set VERBOSITY terse
\pset format unaligned
CREATE EXTENSION sage_intacct_fdw;
CREATE SERVER acme FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'acme', url :'url', page_size '15');
CREATE USER MAPPING FOR CURRENT_USER SERVER acme
  OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw');
CREATE SCHEMA acme;
SET debug_discard_caches = :discard;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice, vendor) FROM SERVER acme INTO acme;
SET search_path = acme, public;
SET client_min_messages = error;

-- scans and filters
SELECT count(*), min(recordno), max(recordno) FROM (SELECT recordno FROM customer OFFSET 0) s;
SELECT recordno, customerid, onhold FROM customer WHERE recordno < 9 ORDER BY recordno;
SELECT customerid FROM customer WHERE customerid IN ('C1', 'C2') OR name IS NULL OR totaldue > 100 ORDER BY recordno LIMIT 5;
SELECT count(*) FROM customer WHERE NOT onhold AND whenmodified > '2001-02-03 04:05:06.7+00' AND name LIKE 'A%_';
SELECT recordno FROM customer WHERE customerid ~ '1' AND length(name) > 3 ORDER BY recordno OFFSET 2 LIMIT 3;
SELECT recordno, ctid IS NULL, tableoid::regclass FROM customer WHERE recordno < 4 ORDER BY 1;
SELECT x FROM (SELECT x.recordno FROM customer x) x ORDER BY 1 LIMIT 2;
SELECT 1 FROM customer WHERE false;
SELECT EXISTS (SELECT FROM customer WHERE recordno > 3), (SELECT max(recordno) > 0 FROM customer);
SELECT recordno FROM customer ORDER BY recordno DESC FETCH FIRST 3 ROWS WITH TIES;

-- joins
SELECT count(*) FROM arinvoice i JOIN customer c ON c.customerid = i.customerid WHERE c.recordno < 20;
SELECT i.recordno, c.name IS NULL FROM arinvoice i LEFT JOIN customer c USING (customerid) WHERE i.recordno < 6 ORDER BY 1;
SELECT g, (SELECT c.recordno FROM customer c WHERE c.recordno = g) FROM generate_series(1, 4) g ORDER BY 1;
SELECT g, c.recordno FROM generate_series(1, 4) g LEFT JOIN LATERAL (SELECT recordno FROM customer WHERE recordno >= g ORDER BY recordno LIMIT 1) c ON true ORDER BY 1;
SELECT count(*) FROM customer a FULL JOIN vendor b ON a.recordno = b.recordno;
SELECT count(*) FROM customer WHERE recordno NOT IN (SELECT recordno FROM vendor WHERE recordno < 9);

-- aggregates
SELECT count(*), count(recordno), sum(totaldue) IS NULL, avg(recordno)::int > 0 FROM customer;
SELECT onhold, count(*) FROM customer GROUP BY onhold ORDER BY 1;
SELECT status, sum(recordno) FROM customer GROUP BY ROLLUP (status) HAVING count(*) > 0 ORDER BY 1, 2;
SELECT DISTINCT status FROM customer ORDER BY 1;
SELECT count(*) FILTER (WHERE recordno < 5), count(DISTINCT status) FROM customer;
SELECT recordno, rank() OVER (ORDER BY recordno) FROM customer WHERE recordno < 5 ORDER BY 1;

-- parameters, prepared statements, rescans
PREPARE p (bigint, text) AS SELECT recordno FROM customer WHERE recordno < $1 AND customerid <> $2 ORDER BY recordno LIMIT 3;
EXECUTE p(4, 'x');
EXECUTE p(3, NULL);
SET plan_cache_mode = force_generic_plan;
EXECUTE p(5, 'x');
EXECUTE p(NULL, 'x');
ALTER SERVER acme OPTIONS (SET page_size '20');
EXECUTE p(6, 'y');
ALTER FOREIGN TABLE customer OPTIONS (ADD filter 'RECORDNO < 8');
EXECUTE p(60, 'y');
ALTER FOREIGN TABLE customer OPTIONS (DROP filter);
RESET plan_cache_mode;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT count(*) FROM generate_series(1, 3) g JOIN customer c ON c.recordno > g AND c.recordno < 9;
SELECT count(*) FROM vendor v JOIN customer c ON c.recordno = v.recordno WHERE v.recordno < 7;
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_material;

-- cursors and subtransactions
BEGIN;
DECLARE c SCROLL CURSOR FOR SELECT recordno FROM customer ORDER BY recordno;
FETCH 3 FROM c;
SAVEPOINT s;
FETCH BACKWARD 1 FROM c;
SELECT 1 / (recordno - recordno) FROM customer;
ROLLBACK TO s;
FETCH 2 FROM c;
DECLARE h CURSOR WITH HOLD FOR SELECT customerid FROM customer WHERE recordno < 5 ORDER BY recordno;
COMMIT;
FETCH ALL FROM h;
CLOSE h;
DO $$
DECLARE r record; n int := 0;
BEGIN
  FOR r IN SELECT recordno FROM acme.customer ORDER BY recordno LOOP
    BEGIN
      n := n + 1 / (r.recordno % 2);
    EXCEPTION WHEN division_by_zero THEN n := n + 1000;
    END;
    EXIT WHEN n > 3000;
  END LOOP;
  RAISE EXCEPTION 'n is %', n > 0;
END $$;

-- generated and constant columns, partitions read at the same time
CREATE FOREIGN TABLE made (recordno bigint OPTIONS (type 'INTEGER'), customerid text OPTIONS (type 'TEXT', key 'on'),
  name text OPTIONS (type 'TEXT'), company text OPTIONS (constant 'acme'),
  label text GENERATED ALWAYS AS (customerid || ': ' || name) STORED) SERVER acme OPTIONS (object 'CUSTOMER');
SELECT label IS NOT NULL, company FROM made WHERE recordno < 4 ORDER BY recordno;
CREATE TABLE parent (recordno bigint, customerid text) PARTITION BY RANGE (recordno);
CREATE FOREIGN TABLE low PARTITION OF parent FOR VALUES FROM (0) TO (10) SERVER acme
  OPTIONS (object 'CUSTOMER', filter 'RECORDNO < 10');
CREATE FOREIGN TABLE high PARTITION OF parent FOR VALUES FROM (10) TO (100000) SERVER acme
  OPTIONS (object 'CUSTOMER', filter 'RECORDNO >= 10');
SELECT count(*), min(recordno) FROM parent;
SELECT recordno FROM parent ORDER BY recordno LIMIT 4;
SELECT count(*) FROM (SELECT recordno FROM customer UNION ALL SELECT recordno FROM vendor) u;
SELECT count(*) FROM parent WHERE recordno = ANY (ARRAY[1, 2, 11, 12]);

-- ANALYZE and EXPLAIN
ANALYZE customer;
ANALYZE made;
ANALYZE parent;
SELECT relname, reltuples > 0 FROM pg_class WHERE relname IN ('customer', 'made') ORDER BY 1;
\o /dev/null
EXPLAIN (VERBOSE) SELECT * FROM customer WHERE recordno < 9;
EXPLAIN (ANALYZE, VERBOSE) SELECT c.name, count(*) FROM arinvoice i JOIN customer c USING (customerid) GROUP BY c.name;
EXPLAIN (ANALYZE, FORMAT json) SELECT * FROM parent;
EXPLAIN (ANALYZE) UPDATE made SET name = 'x' WHERE recordno < 0;
SELECT * FROM sage_intacct.check('acme');
\o

-- writes
INSERT INTO made (customerid, name) VALUES ('A1', 'One'), ('A2', 'Two') RETURNING customerid, label;
INSERT INTO made (customerid, name) SELECT 'B' || g, 'Bulk' FROM generate_series(1, 7) g;
INSERT INTO made (customerid, name) VALUES ('A1', 'Twice');
INSERT INTO made (customerid, name) VALUES ('A1', 'Twice'), ('A3', 'Three') ON CONFLICT DO NOTHING;
UPDATE made SET name = 'Uno' WHERE customerid = 'A1' RETURNING label;
UPDATE made m SET name = v.name || '!' FROM (VALUES ('A2', 'II')) v (customerid, name) WHERE m.customerid = v.customerid;
COPY made (customerid, name) FROM STDIN;
K1	Kopie
K2	Kopie
\.
SELECT created, updated FROM sage_intacct.upsert('made', '[{"customerid": "A1", "name": "Eins"}, {"customerid": "U1", "name": "U"}]');
DELETE FROM made WHERE name LIKE 'Bulk%' RETURNING customerid;
DELETE FROM made WHERE customerid IN ('K1', 'K2', 'U1', 'A3');
BEGIN;
SAVEPOINT s;
INSERT INTO made (customerid, name) VALUES ('S1', 'Saved');
ROLLBACK TO s;
COMMIT;
ALTER SERVER acme OPTIONS (ADD write_mode 'on_commit');
BEGIN;
INSERT INTO made (customerid, name) VALUES ('Q1', 'Queued');
SAVEPOINT s;
INSERT INTO made (customerid, name) VALUES ('Q2', 'Dropped');
ROLLBACK TO s;
COMMIT;
ALTER SERVER acme OPTIONS (SET write_mode 'immediate');
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := NEW.name || ''+''; RETURN NEW; END';
CREATE TRIGGER note BEFORE INSERT OR UPDATE ON made FOR EACH ROW EXECUTE FUNCTION note();
INSERT INTO made (customerid, name) VALUES ('T1', 'Trigger') RETURNING name, label;
UPDATE made SET name = 'Again' WHERE customerid = 'T1' RETURNING name;
DELETE FROM made WHERE customerid IN ('A1', 'A2', 'Q1', 'S1', 'T1');
TRUNCATE made;

-- errors
SELECT nothing FROM customer;
CREATE FOREIGN TABLE wrong (recordno bigint, surname text) SERVER acme OPTIONS (object 'CUSTOMER');
SELECT surname FROM wrong;
CREATE FOREIGN TABLE missing (recordno bigint) SERVER acme OPTIONS (object 'NOSUCHOBJECT');
SELECT * FROM missing;
CREATE FOREIGN TABLE badly (recordno bigint, name integer OPTIONS (type 'TEXT')) SERVER acme OPTIONS (object 'CUSTOMER');
SELECT * FROM badly;
ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET password 'wrong');
SELECT count(*) FROM customer;
ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET password 'secret');
SELECT count(*) > 0 FROM customer;
CREATE SERVER other FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (compny_id 'x');
-- More requests than fit the time; the end of the block brings the setting back, where a RESET would be timed itself.
BEGIN;
SET LOCAL statement_timeout = '200ms';
SELECT count(*) FROM generate_series(1, 100000) g, LATERAL (SELECT recordno FROM customer WHERE recordno >= g ORDER BY recordno LIMIT 1) c;
ROLLBACK;

-- functions
SELECT count(*) FROM sage_intacct.query('acme', 'select RECORDNO, NAME from CUSTOMER where RECORDNO < 9 order_by RECORDNO asc');
SELECT * FROM sage_intacct.query('acme', 'select from');
SELECT count(*) > 0 FROM sage_intacct.describe('acme', 'CUSTOMER');
SELECT count(*) FROM sage_intacct.sessions();
SELECT sage_intacct.apply_comments('acme') IS NOT NULL;
SELECT sage_intacct.disconnect('acme');

-- mirrors
CREATE SCHEMA local;
CALL sage_intacct.create_mirror('acme.customer', 'local.customer');
SELECT count(*) > 0 FROM local.customer;
CALL sage_intacct.refresh_mirror('local.customer');
SELECT count(*) FROM local.customer l JOIN acme.customer c USING (recordno) WHERE l.customerid IS DISTINCT FROM c.customerid;
CALL sage_intacct.drop_mirror('local.customer');
RESET debug_discard_caches;
DROP SCHEMA acme CASCADE;
-- the end
