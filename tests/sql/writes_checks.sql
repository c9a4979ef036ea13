-- What is looked at before anything is sent, and how values travel.
\set QUIET off
CREATE FOREIGN TABLE customer (
  recordno bigint OPTIONS (type 'INTEGER'), customerid text OPTIONS (type 'TEXT'), name text OPTIONS (type 'TEXT'),
  creditlimit numeric OPTIONS (type 'CURRENCY'), totaldue numeric OPTIONS (type 'CURRENCY', read_only 'on'),
  termname text OPTIONS (type 'TEXT'), comments text OPTIONS (type 'TEXT'), since date OPTIONS (field 'Signed_On', type 'DATE'))
  SERVER acme;
INSERT INTO customer (customerid, name) VALUES ('K-1', 'one'), ('K-2', 'two');

-- Texts of the user decide nothing: there are no such terms.
\set VERBOSITY sqlstate
INSERT INTO customer (customerid, name, termname) VALUES ('K-3', 'x', 'Duplicate of Net 30') ON CONFLICT DO NOTHING;
INSERT INTO customer (customerid, name, termname) VALUES ('K-3', 'x', 'Acme company inactive');
INSERT INTO customer (customerid, name, termname) VALUES ('K-3', 'x', 'rate limit exceeded');
INSERT INTO customer (customerid, name, termname) VALUES ('K-3', 'x', 'field is required');
INSERT INTO customer (customerid, name, termname) VALUES ('K-3', 'x', 'this already exists') ON CONFLICT DO NOTHING;
INSERT INTO customer (customerid, name, termname) VALUES ('K-1', 'x', 'no such term') ON CONFLICT DO NOTHING;
\set VERBOSITY default
SELECT customerid, name FROM customer WHERE customerid LIKE 'K-%' ORDER BY customerid;

-- Two columns for one field: one value, and both are shown.
CREATE FOREIGN TABLE twice (recordno bigint, customerid text, name text, also text OPTIONS (field 'NAME')) SERVER acme OPTIONS (object 'CUSTOMER');
INSERT INTO twice (customerid, name, also) VALUES ('K-4', 'a', 'b');
INSERT INTO twice (customerid, name, also) VALUES ('K-4', 'a', 'a') RETURNING customerid, name, also;
INSERT INTO twice (customerid, also) VALUES ('K-5', 'c') RETURNING customerid, name, also;
UPDATE twice SET name = 'd', also = 'e' WHERE customerid = 'K-4';
UPDATE twice SET also = 'f' WHERE customerid = 'K-4' RETURNING name, also;

-- A BEFORE trigger may change what is written, and neither the key nor what is never written.
CREATE FUNCTION other_key() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.recordno := NEW.recordno + 1; RETURN NEW; END $$;
CREATE FUNCTION other_total() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.totaldue := 5; RETURN NEW; END $$;
CREATE FUNCTION other_name() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.comments := upper(NEW.name); RETURN NEW; END $$;
CREATE TRIGGER t BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION other_key();
UPDATE customer SET name = 'x' WHERE customerid = 'K-1';
DROP TRIGGER t ON customer;
CREATE TRIGGER t BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION other_total();
UPDATE customer SET name = 'x' WHERE customerid = 'K-1';
DROP TRIGGER t ON customer;
CREATE TRIGGER t BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION other_name();
UPDATE customer SET name = 'x' WHERE customerid = 'K-1';
DROP TRIGGER t ON customer;
SELECT customerid, name, comments FROM customer WHERE customerid IN ('K-1', 'K-2') ORDER BY 1;
CREATE FUNCTION other_customer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.customerid := 'K-2'; RETURN NEW; END $$;
CREATE TRIGGER t BEFORE UPDATE ON customer FOR EACH ROW EXECUTE FUNCTION other_customer();
UPDATE customer SET name = 'x' WHERE customerid = 'K-1';
DROP TRIGGER t ON customer;
CREATE FOREIGN TABLE by_id (customerid text OPTIONS (key 'on'), name text) SERVER acme OPTIONS (object 'CUSTOMER');
CREATE FUNCTION other_id() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.customerid := 'K-2'; RETURN NEW; END $$;
CREATE TRIGGER t BEFORE UPDATE ON by_id FOR EACH ROW EXECUTE FUNCTION other_id();
UPDATE by_id SET name = 'y' WHERE customerid = 'K-1';
SELECT customerid, name FROM customer WHERE customerid IN ('K-1', 'K-2') ORDER BY 1;

-- The record number tells rows apart, whatever is marked as key; two records under one key are an error.
CREATE FOREIGN TABLE keyed (recordno bigint, customerid text OPTIONS (key 'on'), name text) SERVER acme OPTIONS (object 'CUSTOMER');
EXPLAIN (VERBOSE, COSTS OFF) UPDATE keyed SET name = 'x' WHERE customerid = 'K-1';
CREATE FOREIGN TABLE same_name (name text OPTIONS (key 'on', type 'TEXT'), comments text) SERVER acme OPTIONS (object 'CUSTOMER');
UPDATE customer SET name = 'same' WHERE customerid IN ('K-1', 'K-2');
UPDATE same_name SET comments = 'half' WHERE name = 'same';
DELETE FROM same_name WHERE name = 'same';
SELECT customerid, comments FROM customer WHERE name = 'same' ORDER BY 1;
SELECT * FROM sage_intacct.upsert('same_name', '[{"name": "same", "comments": "half"}]');

-- No row leaves its partition by an update.
CREATE TABLE parted (recordno bigint, customerid text, name text, comments text) PARTITION BY LIST (comments);
CREATE FOREIGN TABLE part_a PARTITION OF parted FOR VALUES IN ('a') SERVER acme OPTIONS (object 'CUSTOMER', filter 'COMMENTS = a');
INSERT INTO parted (customerid, name, comments) VALUES ('K-6', 'six', 'a');
UPDATE parted SET comments = 'b' WHERE customerid = 'K-6';
UPDATE part_a SET comments = 'b' WHERE customerid = 'K-6';
UPDATE part_a SET name = 'still' WHERE customerid = 'K-6';
SELECT name, comments FROM customer WHERE customerid = 'K-6';

-- Settings change nothing that is sent.
CREATE FOREIGN TABLE kinds (recordno bigint, customerid text, name text, price money OPTIONS (field 'CREDITLIMIT'),
  ratio float8 OPTIONS (field 'RESALENO'), comments daterange) SERVER acme OPTIONS (object 'CUSTOMER');
CREATE FOREIGN TABLE plain (customerid text, creditlimit text, resaleno text, comments text) SERVER acme OPTIONS (object 'CUSTOMER');
SET extra_float_digits = -15; SET DateStyle = 'German'; SET lc_monetary = 'C'; SET IntervalStyle = 'iso_8601';
INSERT INTO kinds (customerid, name, price, ratio, comments) VALUES ('K-7', 'x', 1234.56::numeric::money, 12.345678901234567, '[2024-01-02,2024-02-03)');
RESET ALL;
SELECT * FROM plain WHERE customerid = 'K-7';
SELECT * FROM sage_intacct.upsert('customer', '[{"customerid": "K-8", "name": "x", "creditlimit": 999999999999.99}, {"customerid": "K-1", "creditlimit": 123456789012.34}]');
SELECT customerid, creditlimit FROM customer WHERE customerid IN ('K-1', 'K-8') ORDER BY 1;

-- A date format that is not read refuses days before anything is sent.
BEGIN;
ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET user_id 'euro');
SAVEPOINT s;
INSERT INTO customer (customerid, name, since) VALUES ('K-9', 'x', '2024-03-04');
ROLLBACK TO s;
INSERT INTO customer (customerid, name) VALUES ('K-9', 'no day');
COMMIT;
ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET user_id 'apiuser');
SELECT customerid, name, since FROM customer WHERE customerid = 'K-9';

-- What waits for the commit is not sent under other options.
ALTER SERVER acme OPTIONS (ADD write_mode 'on_commit');
BEGIN;
INSERT INTO customer (customerid, name) VALUES ('K-10', 'x');
ALTER SERVER acme OPTIONS (ADD page_size '50');
COMMIT;
ALTER SERVER acme OPTIONS (DROP write_mode);
SELECT count(*) FROM customer WHERE customerid = 'K-10';

-- The restore of a dump creates nothing.
BEGIN;
SET LOCAL check_function_bodies = off;
SELECT pg_catalog.set_config('search_path', '', true);
COPY public.plain (customerid, comments) FROM stdin;
K-11	x
\.
ROLLBACK;
SELECT count(*) FROM customer WHERE customerid = 'K-11';
DELETE FROM customer WHERE customerid LIKE 'K-%';
