-- IMPORT FOREIGN SCHEMA: tables from what Intacct says about its objects.

CREATE SCHEMA a;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice, mca_session) FROM SERVER acme INTO a;
SELECT relname, count(*) AS columns FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid AND attnum > 0
 WHERE relnamespace = 'a'::regnamespace GROUP BY relname ORDER BY relname;

-- The columns with their Intacct fields.
\d+ a.mca_session
\d+ a.customer

-- Each Intacct type, once.
SELECT DISTINCT ON (o.option_value) o.option_value AS "Intacct type", format_type(atttypid, atttypmod) AS type, a.attname
  FROM pg_attribute a, pg_options_to_table(attfdwoptions) o
 WHERE attrelid IN ('a.customer'::regclass, 'a.arinvoice'::regclass) AND o.option_name = 'type'
 ORDER BY 1, attrelid, attnum;

-- NOT NULL stands on the row key only.
SELECT attrelid::regclass, attname FROM pg_attribute
 WHERE attrelid IN ('a.customer'::regclass, 'a.arinvoice'::regclass, 'a.mca_session'::regclass) AND attnotnull AND attnum > 0
 ORDER BY 1, 2;

-- A column that the gateway lists but refuses to query is left out.
SELECT attname FROM pg_attribute WHERE attrelid = 'a.arinvoice'::regclass AND attname IN ('invoiceno', 'recordid');

-- The schema's name says where the tables come from: there is only one.
CREATE SCHEMA b;
IMPORT FOREIGN SCHEMA sap LIMIT TO (customer) FROM SERVER acme INTO b;

-- An object that does not exist.
IMPORT FOREIGN SCHEMA intacct LIMIT TO (custmer) FROM SERVER acme INTO b;

-- Import options: unknown, wrong.
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER acme INTO b OPTIONS (import_everything 'on');
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER acme INTO b OPTIONS (probe 'perhaps');
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER acme INTO b OPTIONS ("case" 'upper');
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer) FROM SERVER acme INTO b OPTIONS (text_collation 'no such collation');

-- Intacct's own spelling, without the custom fields.
IMPORT FOREIGN SCHEMA intacct LIMIT TO (territory, "MCA_session") FROM SERVER acme INTO b
  OPTIONS ("case" 'keep', import_custom 'off', text_collation 'C', import_private 'on');
\d b.*

-- Columns of many-to-one relations.
CREATE SCHEMA c;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (arpymt) FROM SERVER acme INTO c OPTIONS (import_related 'on');
SELECT attname, attfdwoptions FROM pg_attribute WHERE attrelid = 'c.arpymt'::regclass AND attname LIKE 'customer\_%' ORDER BY attnum;

-- Labels become comments.
SELECT sage_intacct.apply_comments('a');
SELECT attname, col_description(attrelid, attnum) FROM pg_attribute
 WHERE attrelid = 'a.arinvoice'::regclass AND col_description(attrelid, attnum) IS NOT NULL ORDER BY attnum LIMIT 5;

-- Everything but a few.
CREATE SCHEMA d;
\set ECHO none
SET client_min_messages = warning;
\set ECHO all
IMPORT FOREIGN SCHEMA intacct EXCEPT (customer, vendor) FROM SERVER acme INTO d;
SELECT count(*) > 40 AS many, count(*) FILTER (WHERE relname IN ('customer', 'vendor')) AS excepted
  FROM pg_class WHERE relnamespace = 'd'::regnamespace;
