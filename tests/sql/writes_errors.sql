-- What cannot be written says why, and what is stored nevertheless.
\set VERBOSITY verbose
\set QUIET off

CREATE FOREIGN TABLE customer (
  recordno bigint OPTIONS (type 'INTEGER'), customerid text OPTIONS (type 'TEXT'), name text OPTIONS (type 'TEXT'),
  creditlimit numeric OPTIONS (type 'CURRENCY'), totaldue numeric OPTIONS (type 'CURRENCY', read_only 'on'),
  termname text OPTIONS (type 'TEXT'), custtype text OPTIONS (type 'TEXT'), since timestamptz OPTIONS (field 'RENEWED'),
  company text OPTIONS (constant 'acme'))
  SERVER acme;

-- Refused by the gateway: nothing of the batch is stored.
INSERT INTO customer (customerid, name) VALUES ('E-1', 'one'), ('E-2', 'two'), ('E-1', 'again'), ('E-3', 'three');
INSERT INTO customer (name) VALUES ('nobody');
INSERT INTO customer (customerid, name, custtype) VALUES ('E-1', 'one', 'No such type');
SELECT count(*) FROM customer WHERE customerid LIKE 'E-%';

-- Batches before it are stored, and a rollback says so.
ALTER FOREIGN TABLE customer OPTIONS (ADD batch_size '2');
INSERT INTO customer (customerid, name) VALUES ('E-1', 'one'), ('E-2', 'two'), ('E-3', 'three'), ('E-4', 'four'), ('E-5', 'five'), ('E-3', 'again'), ('E-6', 'six');
SELECT customerid FROM customer WHERE customerid LIKE 'E-%' ORDER BY customerid;
DO $$ BEGIN
  INSERT INTO customer (customerid, name) SELECT 'E-1' || i, 1 / (4 - i) FROM generate_series(1, 5) i;
EXCEPTION WHEN division_by_zero THEN RAISE NOTICE 'caught';
END $$;
BEGIN;
INSERT INTO customer (customerid, name) VALUES ('E-7', 'seven');
SAVEPOINT s;
DELETE FROM customer WHERE customerid IN ('E-7', 'E-1');
ROLLBACK TO s;
UPDATE customer SET name = 'two!' WHERE customerid = 'E-2';
ROLLBACK;
DELETE FROM customer WHERE customerid = 'E-2' OR recordno = (SELECT recordno FROM customer WHERE customerid = 'C-00002');
DELETE FROM customer WHERE customerid LIKE 'E-%';

-- Columns that are not written.
INSERT INTO customer (customerid, name, totaldue) VALUES ('E-1', 'one', 5);
INSERT INTO customer (customerid, name, totaldue) VALUES ('E-1', 'one', NULL);
INSERT INTO customer VALUES (99, 'E-2', 'two');
INSERT INTO customer (customerid, name, company) VALUES ('E-2', 'two', 'other');
UPDATE customer SET totaldue = 0;
UPDATE customer SET recordno = 1 WHERE customerid = 'E-1';
UPDATE customer SET company = 'other';
ALTER FOREIGN TABLE customer ADD loud text GENERATED ALWAYS AS (upper(name)) STORED;
INSERT INTO customer (customerid, name) VALUES ('E-2', 'two') RETURNING loud;
UPDATE customer SET name = 'x' WHERE customerid = 'E-2' RETURNING loud;
UPDATE customer SET loud = 'x' WHERE customerid = 'E-2';
ALTER FOREIGN TABLE customer DROP loud;

-- Values that cannot be said.
INSERT INTO customer (customerid, creditlimit) VALUES ('E-9', 'NaN');
INSERT INTO customer (customerid, since) VALUES ('E-9', 'infinity');
INSERT INTO customer (customerid, since) VALUES ('E-9', '2024-01-01 00:00:00.5+00');
INSERT INTO customer (customerid, name) VALUES ('E-9', E'a\x01b');

-- Switches, read-only transactions, and what is not offered.
ALTER SERVER acme OPTIONS (ADD updatable 'off');
INSERT INTO customer (customerid, name) VALUES ('E-3', 'three');
UPDATE customer SET name = 'x' WHERE customerid = 'E-1';
DELETE FROM customer;
COPY customer (customerid, name) FROM stdin;
E-3	three
\.
ALTER FOREIGN TABLE customer OPTIONS (ADD updatable 'on');
INSERT INTO customer (customerid, name) VALUES ('E-3', 'three');
SELECT * FROM sage_intacct.upsert('customer', '[{"customerid": "E-3", "name": "three"}]');
ALTER SERVER acme OPTIONS (DROP updatable);
ALTER FOREIGN TABLE customer OPTIONS (SET updatable 'off');
DELETE FROM customer;
ALTER FOREIGN TABLE customer OPTIONS (DROP updatable);
SET default_transaction_read_only = on;
INSERT INTO customer (customerid, name) VALUES ('E-4', 'four');
SELECT * FROM sage_intacct.upsert('customer', '[{"customerid": "E-4", "name": "four"}]');
RESET default_transaction_read_only;
TRUNCATE customer;
INSERT INTO customer (customerid, name) VALUES ('E-3', 'x') ON CONFLICT (customerid) DO UPDATE SET name = 'x';
CREATE VIEW checked AS SELECT customerid, name FROM customer WHERE name <> '' WITH CHECK OPTION;
INSERT INTO checked VALUES ('E-4', 'four');
CREATE FOREIGN TABLE gldetail (recordno bigint, amount numeric) SERVER acme;
INSERT INTO gldetail VALUES (1, 2);
CREATE FOREIGN TABLE arinvoiceitem (recordno bigint, amount numeric) SERVER acme;
INSERT INTO arinvoiceitem (amount) VALUES (2);
CREATE FOREIGN TABLE nameless (name text) SERVER acme OPTIONS (object 'CUSTOMER');
UPDATE nameless SET name = 'x';
DELETE FROM nameless;

-- Permissions at Intacct and here.
CREATE FOREIGN TABLE vendor (recordno bigint OPTIONS (type 'INTEGER'), vendorid text OPTIONS (type 'TEXT'), name text) SERVER acme;
CREATE ROLE writer;
GRANT SELECT ON customer TO writer;
SET ROLE writer;
INSERT INTO customer (customerid, name) VALUES ('E-4', 'four');
SELECT * FROM sage_intacct.upsert('customer', '[{"customerid": "E-4", "name": "four"}]');
RESET ROLE;
GRANT INSERT, UPDATE, DELETE ON customer TO writer;
SET ROLE writer;
INSERT INTO customer (customerid, name) VALUES ('E-4', 'four');
RESET ROLE;

-- upsert
SELECT * FROM sage_intacct.upsert('customer', '5');
SELECT * FROM sage_intacct.upsert('customer', '[{"customerid": "E-4", "nam": "four"}]');
SELECT * FROM sage_intacct.upsert('customer', '[{"name": "four"}]');
SELECT * FROM sage_intacct.upsert('customer', '[{"customerid": "E-4", "name": "four"}, {"customerid": "E-4"}]');
SELECT * FROM sage_intacct.upsert('nameless', '[{"name": "four"}]');
SELECT * FROM sage_intacct.upsert('pg_class', '[]');

-- NULL where Intacct wants a value; the row goes by its natural key.
ALTER FOREIGN TABLE nameless ADD customerid text OPTIONS (type 'TEXT', key 'on');
UPDATE nameless SET name = NULL WHERE customerid = 'E-1';

DROP OWNED BY writer;
DROP ROLE writer;
