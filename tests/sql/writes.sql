-- Rows are created, updated and deleted at Intacct.

CREATE SCHEMA acme;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER acme INTO acme;
SET search_path = acme;

\set QUIET off
CREATE FOREIGN TABLE few (
  recordno bigint OPTIONS (type 'INTEGER'), customerid text OPTIONS (type 'TEXT'), name text OPTIONS (type 'TEXT'),
  creditlimit numeric OPTIONS (type 'CURRENCY'), totaldue numeric OPTIONS (type 'CURRENCY', read_only 'on'),
  email text OPTIONS (field 'DISPLAYCONTACT.EMAIL1', type 'TEXT'))
  SERVER acme OPTIONS (object 'CUSTOMER');

-- The function and how many rows it takes. An update reads keys and what its condition names.
EXPLAIN (COSTS OFF) INSERT INTO few (customerid, name) VALUES ('W-0', 'Zero');
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO few (customerid, name) SELECT 'W-' || i, 'Number ' || i FROM generate_series(1, 3) i;
EXPLAIN (VERBOSE, COSTS OFF) UPDATE few SET name = 'x', email = NULL WHERE customerid = 'W-1';
EXPLAIN (VERBOSE, COSTS OFF) UPDATE few SET name = 'x' WHERE recordno = 1 RETURNING recordno;
EXPLAIN (VERBOSE, COSTS OFF) UPDATE few SET name = 'x' WHERE recordno = 1 RETURNING *;
EXPLAIN (VERBOSE, COSTS OFF) UPDATE few SET name = 'x' WHERE few IS NOT NULL AND recordno = 1;
EXPLAIN (VERBOSE, COSTS OFF) DELETE FROM few WHERE creditlimit > 1000;
EXPLAIN (VERBOSE, COSTS OFF) DELETE FROM few WHERE recordno = 1 RETURNING name;
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO few (customerid, name) VALUES ('W-0', 'Zero') RETURNING recordno;
EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO few (customerid, name) VALUES ('W-0', 'Zero') ON CONFLICT DO NOTHING;
SELECT table_name, is_insertable_into FROM information_schema.tables WHERE table_schema = 'acme' ORDER BY 1;

-- INSERT: what is null is left to Intacct.
INSERT INTO customer (customerid, name) SELECT 'W-' || i, 'Number ' || i FROM generate_series(1, 3) i;
SELECT customerid, name, status, creditlimit FROM customer WHERE customerid LIKE 'W-%' ORDER BY customerid;
INSERT INTO customer (customerid, name, creditlimit, onhold, displaycontact_email1, comments)
  VALUES ('W-4', 'Four & <more>', 1234.50, true, 'four@example.com', NULL)
  RETURNING recordno > 0 AS numbered, customerid, name, creditlimit, onhold, displaycontact_email1, status, whencreated IS NOT NULL AS timed;

-- UPDATE: only what is assigned is sent.
UPDATE customer SET name = 'Two', creditlimit = 10 WHERE customerid = 'W-2';
UPDATE customer SET name = upper(name), displaycontact_email1 = 'x@example.com' WHERE customerid LIKE 'W-%' RETURNING customerid, name, displaycontact_email1;
UPDATE customer SET creditlimit = NULL WHERE customerid = 'W-4' RETURNING customerid, creditlimit;
SELECT customerid, name, creditlimit, onhold FROM customer WHERE customerid LIKE 'W-%' ORDER BY customerid;
UPDATE customer c SET name = v.name FROM (VALUES ('W-1', 'One'), ('W-1', 'Uno'), ('W-3', 'Three')) v (id, name) WHERE c.customerid = v.id;
SELECT customerid, name FROM customer WHERE customerid IN ('W-1', 'W-3') ORDER BY customerid;

-- DELETE
DELETE FROM customer WHERE customerid = 'W-4' RETURNING customerid, name;
DELETE FROM customer WHERE customerid IN ('W-1', 'W-2');
SELECT count(*) FROM customer WHERE customerid LIKE 'W-%';

-- COPY
COPY customer (customerid, name, creditlimit) FROM stdin;
W-10	Ten	10.5
W-11	Eleven	\N
W-12	Twelve	12
\.
SELECT customerid, name, creditlimit FROM customer WHERE customerid LIKE 'W-1%' ORDER BY customerid;

-- A row that is there already is left out.
INSERT INTO customer (customerid, name) VALUES ('W-11', 'again'), ('W-13', 'Thirteen'), ('W-12', 'again') ON CONFLICT DO NOTHING;
INSERT INTO customer (customerid, name) VALUES ('W-11', 'again') ON CONFLICT DO NOTHING RETURNING customerid;
INSERT INTO customer (customerid, name) VALUES ('W-14', 'Fourteen') ON CONFLICT DO NOTHING RETURNING customerid;
SELECT customerid, name FROM customer WHERE customerid LIKE 'W-1%' ORDER BY customerid;

-- upsert
SELECT * FROM sage_intacct.upsert('customer', '[
  {"customerid": "W-14", "name": "FOURTEEN"},
  {"customerid": "W-15", "name": "Fifteen", "creditlimit": 15},
  {"customerid": "W-13", "name": "THIRTEEN", "creditlimit": 13}]');
SELECT * FROM sage_intacct.upsert('customer', '[]');
SELECT customerid, name, creditlimit FROM customer WHERE customerid >= 'W-13' AND customerid LIKE 'W-1%' ORDER BY customerid;

-- Rows by their natural key, in a table without record numbers.
CREATE FOREIGN TABLE by_id (customerid text OPTIONS (type 'TEXT', key 'on'), name text OPTIONS (type 'TEXT')) SERVER acme OPTIONS (object 'CUSTOMER');
EXPLAIN (VERBOSE, COSTS OFF) UPDATE by_id SET name = 'fifteen' WHERE customerid = 'W-15';
UPDATE by_id SET name = 'fifteen' WHERE customerid = 'W-15';
DELETE FROM by_id WHERE customerid = 'W-14' RETURNING *;
SELECT * FROM by_id WHERE customerid LIKE 'W-1%' ORDER BY customerid;

-- The statement does not see its own rows.
INSERT INTO customer (customerid, name) SELECT 'X' || customerid, name FROM customer WHERE customerid LIKE 'W-1%';
SELECT count(*) FROM customer WHERE customerid LIKE 'XW-%';

-- Partitions
CREATE TABLE people (customerid text, name text) PARTITION BY LIST (customerid);
CREATE FOREIGN TABLE p_rest PARTITION OF people DEFAULT SERVER acme OPTIONS (object 'CUSTOMER');
CREATE TABLE p_local PARTITION OF people FOR VALUES IN ('L-1');
INSERT INTO people VALUES ('P-1', 'Uno'), ('L-1', 'here'), ('P-2', 'Due') RETURNING tableoid::regclass, customerid, name;
COPY people FROM stdin;
P-3	Tre
P-4	Quattro
\.
SELECT customerid, name FROM customer WHERE customerid LIKE 'P-%' ORDER BY customerid;
SELECT tableoid::regclass, customerid FROM people WHERE customerid = 'L-1';

-- Triggers
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := NEW.name || '!'; RETURN NEW; END $$;
CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE NOTICE '% %: % -> %', TG_OP, TG_WHEN, OLD.name, NEW.name;
  IF TG_OP <> 'DELETE' THEN RAISE NOTICE 'numbered: %', NEW.recordno IS NOT NULL; END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER shout BEFORE INSERT OR UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION shout();
INSERT INTO customer (customerid, name) VALUES ('T-1', 'one'), ('T-2', 'two');
UPDATE customer SET creditlimit = 5 WHERE customerid = 'T-1';
SELECT customerid, name, creditlimit FROM customer WHERE customerid LIKE 'T-%' ORDER BY customerid;
CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON customer FOR EACH ROW EXECUTE FUNCTION tell();
INSERT INTO customer (customerid, name) VALUES ('T-3', 'three');
UPDATE customer SET name = 'tre' WHERE customerid = 'T-3';
DELETE FROM customer WHERE customerid = 'T-3';

-- Views and prepared statements
CREATE VIEW insiders AS SELECT customerid, name FROM customer WHERE customerid LIKE 'V-%';
INSERT INTO insiders VALUES ('V-1', 'inside');
UPDATE insiders SET name = 'outside';
PREPARE add (text, text) AS INSERT INTO insiders VALUES ($1, $2);
EXECUTE add ('V-2', 'second');
EXECUTE add ('V-3', 'third');
SELECT * FROM insiders ORDER BY customerid;
DELETE FROM insiders;
WITH gone AS (DELETE FROM customer WHERE customerid LIKE 'P-%' RETURNING customerid) SELECT count(*) FROM gone;
