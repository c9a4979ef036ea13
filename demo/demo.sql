-- Two companies in Sage Intacct, as tables. A simulator on this machine plays their gateway (:gateway);
-- with a real company the url option is left out and everything else stays.

CREATE EXTENSION sage_intacct_fdw;

-- 1. A server for each company, and the credentials that this role uses there.

CREATE SERVER acme   FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'acme',   url :'gateway');
CREATE SERVER globex FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'globex', url :'gateway');

CREATE USER MAPPING FOR CURRENT_USER SERVER acme
  OPTIONS (user_id 'apiuser', password 'secret',  sender_id 'sender1', sender_password 'senderpw');
CREATE USER MAPPING FOR CURRENT_USER SERVER globex
  OPTIONS (user_id 'apiuser', password 'secret2', sender_id 'sender1', sender_password 'senderpw');

-- 2. Does it work? One row for each step; where one fails, the column hint says what to do.

SELECT step, ok, detail FROM sage_intacct.check('acme');

-- 3. Tables, from what Intacct says about its objects.

CREATE SCHEMA acme;
CREATE SCHEMA globex;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice) FROM SERVER acme   INTO acme;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice) FROM SERVER globex INTO globex;

SELECT foreign_table_schema, foreign_table_name, count(*) AS columns
  FROM information_schema.foreign_tables
  JOIN information_schema.columns ON table_schema = foreign_table_schema AND table_name = foreign_table_name
 GROUP BY 1, 2 ORDER BY 1, 2;

-- 4. Query. The filter, the order and the limit go to Intacct: EXPLAIN shows the request.

SELECT recordid, customername, whendue, totaldue
  FROM acme.arinvoice
 WHERE totaldue BETWEEN 5000 AND 9000 AND whendue >= '2024-01-01'
 ORDER BY whendue, recordno
 LIMIT 5;

EXPLAIN (COSTS OFF)
SELECT recordid, customername, whendue, totaldue
  FROM acme.arinvoice
 WHERE totaldue BETWEEN 5000 AND 9000 AND whendue >= '2024-01-01'
 ORDER BY whendue, recordno
 LIMIT 5;

-- 5. Join with a table of your own.

CREATE TABLE account_manager (customerid text PRIMARY KEY, manager text NOT NULL);
INSERT INTO account_manager
SELECT customerid, (ARRAY['Ada', 'Grace', 'Edsger'])[1 + recordno % 3] FROM acme.customer;

SELECT m.manager, count(*) AS invoices, sum(i.totaldue) AS open
  FROM acme.arinvoice AS i JOIN account_manager AS m USING (customerid)
 WHERE i.totaldue BETWEEN 0.01 AND 100000
 GROUP BY m.manager ORDER BY m.manager;

-- 6. Both companies in one table: a partition for each, asked at the same time.

ALTER FOREIGN TABLE acme.arinvoice   ADD COLUMN company text OPTIONS (constant 'acme')   NOT NULL;
ALTER FOREIGN TABLE globex.arinvoice ADD COLUMN company text OPTIONS (constant 'globex') NOT NULL;
CREATE TABLE arinvoice_all (LIKE acme.arinvoice) PARTITION BY LIST (company);
ALTER TABLE arinvoice_all ATTACH PARTITION acme.arinvoice   FOR VALUES IN ('acme');
ALTER TABLE arinvoice_all ATTACH PARTITION globex.arinvoice FOR VALUES IN ('globex');

ALTER FOREIGN TABLE acme.customer   ADD COLUMN company text OPTIONS (constant 'acme')   NOT NULL;
ALTER FOREIGN TABLE globex.customer ADD COLUMN company text OPTIONS (constant 'globex') NOT NULL;
CREATE TABLE customer_all (LIKE acme.customer) PARTITION BY LIST (company);
ALTER TABLE customer_all ATTACH PARTITION acme.customer   FOR VALUES IN ('acme');
ALTER TABLE customer_all ATTACH PARTITION globex.customer FOR VALUES IN ('globex');

-- Each company adds up, and joins, its own: PostgreSQL leaves that off unless it is told. For later sessions, and for this one.
SELECT format('ALTER DATABASE %I SET %s = on', current_database(), setting)
  FROM unnest(ARRAY['enable_partitionwise_aggregate', 'enable_partitionwise_join']) AS setting \gexec
SET enable_partitionwise_aggregate = on;
SET enable_partitionwise_join = on;

EXPLAIN (COSTS OFF)
SELECT company, count(*) AS invoices, sum(totaldue) AS open
  FROM arinvoice_all WHERE totaldue BETWEEN 0.01 AND 100000 GROUP BY company;

SELECT company, count(*) AS invoices, sum(totaldue) AS open
  FROM arinvoice_all WHERE totaldue BETWEEN 0.01 AND 100000 GROUP BY company ORDER BY company;

EXPLAIN (COSTS OFF)
SELECT company, c.name, i.totaldue
  FROM arinvoice_all AS i JOIN customer_all AS c USING (company, customerid) WHERE i.totaldue BETWEEN 9000 AND 9500;

-- What that cost: requests, rows and bytes of this session.

SELECT server, requests, retries, rows, wire_bytes FROM sage_intacct.request_stats() WHERE scope = 'backend' ORDER BY server;

-- 7. A local copy that readers use without waiting, refreshed every minute by pg_cron.

CREATE MATERIALIZED VIEW receivables AS
SELECT 'acme' AS company, recordno, customerid, whendue, totaldue FROM acme.arinvoice WHERE totaldue > 0
UNION ALL
SELECT 'globex',          recordno, customerid, whendue, totaldue FROM globex.arinvoice WHERE totaldue > 0;

CREATE UNIQUE INDEX ON receivables (company, recordno);
REFRESH MATERIALIZED VIEW CONCURRENTLY receivables;

CREATE EXTENSION pg_cron;
SELECT cron.schedule('refresh receivables', '* * * * *', 'REFRESH MATERIALIZED VIEW CONCURRENTLY receivables');

-- 8. A mirror: an ordinary table that a refresh keeps true, deletes included. Only what has changed is written, so that
-- triggers can start workflows.

CREATE SCHEMA finance;
CALL sage_intacct.create_mirror('acme.arinvoice', 'finance.arinvoice');
CREATE TABLE finance.outbox (happened timestamptz DEFAULT now(), event text);

CREATE FUNCTION finance.invoice_paid() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO finance.outbox (event) VALUES (NEW.recordid || ' was paid by ' || NEW.customername);
  RETURN NULL;
END $$;
CREATE TRIGGER invoice_paid AFTER UPDATE ON finance.arinvoice FOR EACH ROW
  WHEN (OLD.state IS DISTINCT FROM 'Paid' AND NEW.state = 'Paid') EXECUTE FUNCTION finance.invoice_paid();

-- Meanwhile somebody works in Intacct: an invoice is paid, another one deleted.
SELECT min(recordno) FILTER (WHERE state <> 'Paid') AS paid, max(recordno) AS deleted FROM finance.arinvoice \gset
\setenv GATEWAY :gateway
\setenv PAID :paid
\setenv DELETED :deleted
\! demo/change acme "[{\"update\": {\"object\": \"ARINVOICE\", \"keys\": [$PAID], \"values\": {\"STATE\": \"Paid\", \"TOTALDUE\": 0}}}, {\"delete\": {\"object\": \"ARINVOICE\", \"keys\": [$DELETED]}}]"

SELECT cron.schedule('refresh mirrors', '* * * * *', $$CALL sage_intacct.refresh_mirrors('finance')$$);

-- The next full minute is at most sixty seconds away.
DO $$
BEGIN
  FOR second IN 1..100 LOOP
    EXIT WHEN (SELECT count(DISTINCT jobid) FROM cron.job_run_details WHERE status IN ('succeeded', 'failed')) = 2;
    PERFORM pg_sleep(1);
  END LOOP;
  IF (SELECT count(DISTINCT jobid) FROM cron.job_run_details WHERE status = 'succeeded') < 2 THEN
    RAISE 'the scheduled refreshes did not succeed'
      USING DETAIL = coalesce((SELECT string_agg(return_message, '; ') FROM cron.job_run_details), 'they did not run');
  END IF;
END $$;

SELECT DISTINCT ON (jobname) jobname, status, return_message
  FROM cron.job_run_details JOIN cron.job USING (jobid)
 ORDER BY jobname, runid;

SELECT event FROM finance.outbox;
SELECT target, rows, complete, last_outcome, inserted, updated, deleted, requests FROM sage_intacct.mirrors;
