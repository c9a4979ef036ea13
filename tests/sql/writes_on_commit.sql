-- Rows wait for the commit: a rollback sends nothing, a refusal aborts the transaction.
\set QUIET off

CREATE SERVER other FOREIGN DATA WRAPPER sage_intacct_fdw OPTIONS (company_id 'acme', url :'gateway', write_mode 'on_commit');
CREATE USER MAPPING FOR CURRENT_USER SERVER other
  OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw');
CREATE USER MAPPING FOR PUBLIC SERVER acme
  OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw');
ALTER SERVER acme OPTIONS (ADD write_mode 'on_commit');
CREATE FOREIGN TABLE customer (
  recordno bigint OPTIONS (type 'INTEGER'), customerid text OPTIONS (type 'TEXT'), name text OPTIONS (type 'TEXT'),
  creditlimit numeric OPTIONS (type 'CURRENCY')) SERVER acme;
CREATE FOREIGN TABLE vendor (
  recordno bigint OPTIONS (type 'INTEGER'), vendorid text OPTIONS (type 'TEXT'), name text OPTIONS (type 'TEXT')) SERVER acme;
CREATE FOREIGN TABLE elsewhere (
  recordno bigint OPTIONS (type 'INTEGER'), customerid text OPTIONS (type 'TEXT'), name text OPTIONS (type 'TEXT')) SERVER other OPTIONS (object 'CUSTOMER');
CREATE TABLE here (customerid text);

EXPLAIN (VERBOSE, COSTS OFF) INSERT INTO customer (customerid, name) VALUES ('O-1', 'one');

-- A statement of its own commits at once.
INSERT INTO customer (customerid, name) VALUES ('O-1', 'one');
SELECT customerid, name FROM customer WHERE customerid LIKE 'O-%' ORDER BY customerid;

-- What waits is not seen by a query.
BEGIN;
INSERT INTO customer (customerid, name) VALUES ('O-2', 'two');
UPDATE customer SET name = 'uno' WHERE customerid = 'O-1' RETURNING recordno > 0 AS known, name;
INSERT INTO vendor (vendorid, name) VALUES ('O-V', 'vendor');
SELECT customerid, name FROM customer WHERE customerid LIKE 'O-%' ORDER BY customerid;
COMMIT;
SELECT customerid, name FROM customer WHERE customerid LIKE 'O-%' ORDER BY customerid;
SELECT vendorid FROM vendor WHERE vendorid = 'O-V';

-- RETURNING and AFTER triggers show constants, which are known before the commit.
CREATE FOREIGN TABLE of_acme (
  recordno bigint OPTIONS (type 'INTEGER'), company text OPTIONS (constant 'acme'), since date OPTIONS (constant '2020-02-29'),
  customerid text OPTIONS (type 'TEXT'), name text OPTIONS (type 'TEXT'), told text GENERATED ALWAYS AS (company || '/' || customerid) STORED)
  SERVER acme OPTIONS (object 'CUSTOMER');
CREATE FUNCTION shows() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RAISE NOTICE '% of % since %', NEW.customerid, NEW.company, NEW.since; RETURN NULL; END $$;
CREATE TRIGGER shows AFTER INSERT OR UPDATE ON of_acme FOR EACH ROW EXECUTE FUNCTION shows();
BEGIN;
INSERT INTO of_acme (customerid, name) VALUES ('O-C1', 'one') RETURNING company, since;
INSERT INTO of_acme (customerid, company, name) VALUES ('O-C2', 'acme', 'two'), ('O-C3', DEFAULT, 'three') RETURNING customerid, company, told;
COMMIT;
UPDATE of_acme SET name = 'uno' WHERE customerid = 'O-C1' RETURNING company, name;
DELETE FROM of_acme WHERE customerid LIKE 'O-C_' RETURNING company, customerid;
INSERT INTO of_acme (customerid, name) VALUES ('O-C4', 'four') RETURNING company, recordno;
DROP FOREIGN TABLE of_acme;

-- ROLLBACK and ROLLBACK TO send nothing.
BEGIN;
DELETE FROM customer WHERE customerid = 'O-1';
ROLLBACK;
BEGIN;
INSERT INTO customer (customerid, name) VALUES ('O-3', 'three');
SAVEPOINT a;
INSERT INTO customer (customerid, name) VALUES ('O-4', 'four');
SAVEPOINT b;
DELETE FROM customer WHERE customerid LIKE 'O-%';
ROLLBACK TO b;
RELEASE a;
SAVEPOINT c;
INSERT INTO customer (customerid, name) VALUES ('O-5', 'five');
ROLLBACK TO c;
DO $$ BEGIN
  INSERT INTO customer (customerid, name) VALUES ('O-6', 'six');
  RAISE division_by_zero;
EXCEPTION WHEN division_by_zero THEN NULL;
END $$;
COMMIT;
SELECT customerid, name FROM customer WHERE customerid LIKE 'O-%' ORDER BY customerid;

-- A refusal aborts what was done here, too; nothing of the transaction is stored there.
BEGIN;
INSERT INTO here VALUES ('O-7');
INSERT INTO customer (customerid, name) VALUES ('O-7', 'seven');
DELETE FROM customer WHERE customerid = 'O-4';
INSERT INTO customer (customerid, name) VALUES ('O-1', 'again');
COMMIT;
SELECT * FROM here;
SELECT customerid, name FROM customer WHERE customerid LIKE 'O-%' ORDER BY customerid;

-- Procedures may commit.
DO $$ BEGIN
  INSERT INTO customer (customerid, name) VALUES ('O-8', 'eight');
  COMMIT;
  INSERT INTO customer (customerid, name) VALUES ('O-9', 'nine');
  ROLLBACK;
END $$;
SELECT customerid FROM customer WHERE customerid IN ('O-8', 'O-9');
COPY customer (customerid, name) FROM stdin;
O-10	ten
O-11	eleven
\.
SELECT * FROM sage_intacct.upsert('customer', '[{"customerid": "O-10", "name": "TEN"}, {"customerid": "O-12", "name": "twelve"}]');
SELECT customerid, name FROM customer WHERE customerid LIKE 'O-1%' ORDER BY customerid;

-- What cannot be promised is refused.
INSERT INTO customer (customerid, name) VALUES ('O-13', 'x') RETURNING recordno;
INSERT INTO customer (customerid, name) VALUES ('O-13', 'x') RETURNING creditlimit;
INSERT INTO customer (customerid, name) VALUES ('O-13', 'thirteen') RETURNING customerid, name;
UPDATE customer SET name = 'x' WHERE customerid = 'O-13' RETURNING creditlimit;
DELETE FROM customer WHERE customerid = 'O-13' RETURNING customerid, name, creditlimit;
INSERT INTO customer (customerid, name) VALUES ('O-1', 'x') ON CONFLICT DO NOTHING;
BEGIN;
INSERT INTO customer (customerid, name) VALUES ('O-14', 'fourteen');
PREPARE TRANSACTION 'p';
BEGIN;
INSERT INTO customer (customerid, name) VALUES ('O-14', 'fourteen');
INSERT INTO elsewhere (customerid, name) VALUES ('O-15', 'fifteen');
ROLLBACK;
BEGIN;
SAVEPOINT s;
INSERT INTO customer (customerid, name) VALUES ('O-14', 'fourteen');
ROLLBACK TO s;
INSERT INTO elsewhere (customerid, name) VALUES ('O-15', 'fifteen');
COMMIT;
CREATE ROLE clerk;
GRANT ALL ON customer TO clerk;
BEGIN;
INSERT INTO customer (customerid, name) VALUES ('O-14', 'fourteen');
SET LOCAL ROLE clerk;
INSERT INTO customer (customerid, name) VALUES ('O-16', 'sixteen');
ROLLBACK;
BEGIN;
INSERT INTO customer (customerid, name) SELECT 'O-x' || i, 'many' FROM generate_series(1, 1001) i;
COMMIT;
SELECT customerid FROM customer WHERE customerid LIKE 'O-1%' ORDER BY customerid;

-- A view is checked before anything is sent.
CREATE VIEW checked AS SELECT customerid, name FROM customer WHERE name <> 'bad' WITH CHECK OPTION;
INSERT INTO checked VALUES ('O-17', 'good');
INSERT INTO checked VALUES ('O-18', 'bad');
DELETE FROM customer WHERE customerid LIKE 'O-%';
SELECT count(*) FROM customer WHERE customerid LIKE 'O-%';
DROP OWNED BY clerk;
DROP ROLE clerk;
