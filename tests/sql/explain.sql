-- What is asked of Intacct: EXPLAIN shows the request in the connector's syntax. It never signs in.

CREATE FOREIGN TABLE invoice (
  recordno bigint OPTIONS (type 'INTEGER') NOT NULL,
  recordid text OPTIONS (type 'TEXT'),
  customer text OPTIONS (field 'CUSTOMERID', type 'TEXT'),
  created date OPTIONS (field 'WHENCREATED', type 'DATE'),
  totaldue numeric OPTIONS (type 'CURRENCY'),
  export boolean OPTIONS (field 'Is_Export', type 'BOOLEAN'),
  whenmodified timestamptz OPTIONS (type 'TIMESTAMP'))
SERVER acme OPTIONS (object 'ARINVOICE');

-- Only the columns that the query needs.
EXPLAIN (VERBOSE, COSTS OFF) SELECT * FROM invoice;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE customer LIKE 'C%1';
EXPLAIN (VERBOSE, COSTS OFF) SELECT 1 FROM invoice;
EXPLAIN (VERBOSE, COSTS OFF) SELECT count(*) FROM invoice;

-- Comparisons.
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE customer = 'C-00001' AND totaldue > 100;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE customer = 'it''s' AND created >= '2024-01-31';
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE 100 < totaldue;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE totaldue <> 100;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE created IS NULL;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE created BETWEEN '2024-01-01' AND '2024-12-31';
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE export;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE NOT export;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE whenmodified > '2024-05-01 12:00:00+00';
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE recordno IN (1, 2, 3);

-- What stays here: text order, the empty string, expressions, other collations, volatile functions.
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE customer > 'C';
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE customer = '';
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE upper(customer) = 'C-00001';
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE totaldue > 1000 * random();
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE totaldue = 'NaN';
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE created < 'infinity';

-- Order: by numbers and dates, the row key last; a nullable first key in two parts.
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice ORDER BY recordno;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice ORDER BY recordno DESC;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE totaldue > 0 ORDER BY totaldue DESC;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice ORDER BY created NULLS FIRST;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice ORDER BY customer;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice ORDER BY customer COLLATE "C";

-- A limit sizes the page.
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice LIMIT 10;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE totaldue > 0 ORDER BY created DESC NULLS LAST, recordno LIMIT 10;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice ORDER BY recordno LIMIT 10 OFFSET 5;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice ORDER BY customer LIMIT 10;

-- Off switches: for the session, then for the server.
SET sage_intacct.push_where = off;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE totaldue > 0 ORDER BY recordno LIMIT 3;
RESET sage_intacct.push_where;
SET sage_intacct.push_order = off;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE totaldue > 0 ORDER BY recordno LIMIT 3;
RESET sage_intacct.push_order;
ALTER SERVER acme OPTIONS (ADD push_where 'off', ADD push_order 'off');
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE totaldue > 0 ORDER BY recordno LIMIT 3;
SET sage_intacct.push_where = on;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE totaldue > 0 ORDER BY recordno LIMIT 3;
RESET sage_intacct.push_where;
ALTER SERVER acme OPTIONS (DROP push_where, DROP push_order);

-- An order that is assumed: the option declares the gateway's order of text.
ALTER SERVER acme OPTIONS (ADD ordering 'binary');
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE customer COLLATE "C" > 'C' ORDER BY customer COLLATE "C";
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE customer > 'C' ORDER BY customer;
ALTER SERVER acme OPTIONS (DROP ordering);

-- A column whose type is not the canonical one of its Intacct type is filtered here.
CREATE FOREIGN TABLE odd (
  recordno bigint OPTIONS (type 'INTEGER') NOT NULL,
  totaldue text OPTIONS (type 'CURRENCY'),
  created timestamptz OPTIONS (field 'WHENCREATED', type 'DATE'),
  recordid varchar(4) OPTIONS (type 'TEXT'),
  amount numeric(10, 1) OPTIONS (field 'TOTALENTERED', type 'CURRENCY'),
  untyped text OPTIONS (field 'CUSTOMERID'))
SERVER acme OPTIONS (object 'ARINVOICE');
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordno FROM odd WHERE totaldue = '100';
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordno FROM odd WHERE created > '2024-01-01';
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordno FROM odd WHERE recordid = 'INV0';
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordno FROM odd WHERE amount > 1;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordno FROM odd WHERE untyped = 'C-00001';

-- A table's own filter is always part of the request.
ALTER FOREIGN TABLE invoice OPTIONS (ADD filter 'TOTALDUE > 0 or CUSTOMERID = C-00001');
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice WHERE export;

-- The other formats.
EXPLAIN (COSTS OFF, FORMAT json) SELECT recordid FROM invoice WHERE recordno = 1;
EXPLAIN (COSTS OFF, FORMAT yaml) SELECT recordid FROM invoice WHERE recordno = 1;
EXPLAIN (COSTS OFF, FORMAT xml) SELECT recordid FROM invoice WHERE recordno = 1;

-- The request is for a page of the table's size.
ALTER FOREIGN TABLE invoice OPTIONS (ADD page_size '50');
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice;
EXPLAIN (VERBOSE, COSTS OFF) SELECT recordid FROM invoice LIMIT 80;
EXPLAIN (VERBOSE, COSTS OFF) SELECT customer, count(*) FROM invoice GROUP BY customer;
ALTER FOREIGN TABLE invoice OPTIONS (DROP page_size);
