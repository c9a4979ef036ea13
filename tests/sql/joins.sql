-- What is left to Intacct of joins along many-to-one relations.

IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoice, customer, territory) FROM SERVER acme INTO public;

EXPLAIN (COSTS OFF)
SELECT i.recordid, c.name, i.totaldue FROM arinvoice i JOIN customer c ON c.customerid = i.customerid WHERE i.totaldue > 100;
EXPLAIN (COSTS OFF)
SELECT i.recordid, t.name FROM arinvoice i JOIN customer c USING (customerid) JOIN territory t USING (territoryid)
WHERE c.status = 'active' LIMIT 5;
EXPLAIN (COSTS OFF)
SELECT c.territoryid, sum(i.totaldue) FROM arinvoice i JOIN customer c USING (customerid) GROUP BY c.territoryid;
EXPLAIN (COSTS OFF)
SELECT i.recordid FROM arinvoice i WHERE EXISTS (SELECT FROM customer c WHERE c.customerid = i.customerid AND c.status = 'active');

-- A hierarchy is followed for one step.
EXPLAIN (COSTS OFF) SELECT c.name, p.name FROM customer c JOIN customer p ON p.recordno = c.parentkey;
EXPLAIN (COSTS OFF)
SELECT c.name, g.name FROM customer c JOIN customer p ON p.recordno = c.parentkey JOIN customer g ON g.recordno = p.parentkey;

-- What stays here: no relation, more than the key, inexact conditions, whole rows, rows to be locked.
EXPLAIN (COSTS OFF) SELECT i.recordid FROM arinvoice i JOIN customer c ON c.name = i.customername;
EXPLAIN (COSTS OFF)
SELECT i.recordid FROM arinvoice i JOIN customer c ON c.customerid = i.customerid AND c.totaldue > i.totaldue;
EXPLAIN (COSTS OFF) SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid) WHERE NOT c.onhold;
EXPLAIN (COSTS OFF) SELECT c FROM arinvoice i JOIN customer c USING (customerid);
EXPLAIN (COSTS OFF) SELECT i.recordid, c.name FROM arinvoice i LEFT JOIN customer c USING (customerid);

-- The order of the object that is asked is the gateway's, as far as a sort here could keep it; with nulls slice by slice.
EXPLAIN (COSTS OFF)
SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid) ORDER BY i.recordno DESC LIMIT 10;
EXPLAIN (COSTS OFF)
SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid) ORDER BY i.whendue, i.recordno LIMIT 10;
EXPLAIN (COSTS OFF)
SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid) WHERE i.totaldue > 0
ORDER BY i.totaldue DESC, i.recordno, c.recordno LIMIT 10;
EXPLAIN (COSTS OFF)
SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid) ORDER BY c.name LIMIT 10;

-- Where the key is a constant, the planner compares both sides with it, and no clause is left between them.
EXPLAIN (COSTS OFF)
SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid) WHERE c.customerid = 'C-00003';
EXPLAIN (COSTS OFF)
SELECT c.name, sum(i.totaldue) FROM arinvoice i JOIN customer c USING (customerid) WHERE i.customerid = 'C-00003' GROUP BY c.name;
EXPLAIN (COSTS OFF)
SELECT i.recordid FROM arinvoice i WHERE i.customerid = 'C-00003' AND EXISTS (SELECT FROM customer c WHERE c.customerid = i.customerid);

-- Rows to be locked.
EXPLAIN (COSTS OFF)
SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid) FOR UPDATE;

-- The server's switches, which the session's override.
ALTER SERVER acme OPTIONS (ADD push_joins 'off', ADD push_limit 'off');
EXPLAIN (COSTS OFF) SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid) LIMIT 3;
EXPLAIN (COSTS OFF) SELECT i.recordid FROM arinvoice i LIMIT 3;
SET sage_intacct.push_joins = on;
SET sage_intacct.push_limit = on;
EXPLAIN (COSTS OFF) SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid) LIMIT 3;
RESET sage_intacct.push_joins;
RESET sage_intacct.push_limit;
ALTER SERVER acme OPTIONS (DROP push_joins, DROP push_limit);

-- Rows private to an entity: with them shown nothing has to be hidden; at an entity the tables are read one by one.
ALTER SERVER acme OPTIONS (ADD show_private 'on');
EXPLAIN (COSTS OFF) SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid);
ALTER FOREIGN TABLE customer OPTIONS (ADD show_private 'off');
EXPLAIN (COSTS OFF) SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid);
ALTER FOREIGN TABLE customer OPTIONS (DROP show_private);
ALTER SERVER acme OPTIONS (DROP show_private, ADD location_id 'E100');
EXPLAIN (COSTS OFF) SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid);
ALTER SERVER acme OPTIONS (DROP location_id);

-- Left joins, when the user vouches for them and no parent can be hidden.
ALTER SERVER acme OPTIONS (ADD push_left_joins 'on');
EXPLAIN (COSTS OFF) SELECT c.customerid, t.name FROM customer c LEFT JOIN territory t USING (territoryid);
EXPLAIN (COSTS OFF) SELECT i.recordid, c.name FROM arinvoice i LEFT JOIN customer c USING (customerid);
EXPLAIN (COSTS OFF) SELECT c.customerid, t.name FROM customer c LEFT JOIN territory t USING (territoryid) LIMIT 5;
ALTER SERVER acme OPTIONS (DROP push_left_joins);

-- A table of which nobody has said that its object knows no entities may hide rows.
ALTER FOREIGN TABLE territory OPTIONS (DROP entities);
EXPLAIN (COSTS OFF) SELECT c.customerid, t.name FROM customer c JOIN territory t USING (territoryid);

-- The answers, pushed and not.
SELECT c.territoryid, count(*), trim_scale(sum(i.totaldue)) AS due
FROM arinvoice i JOIN customer c USING (customerid) GROUP BY c.territoryid ORDER BY 1 LIMIT 4;
SET sage_intacct.push_joins = off;
EXPLAIN (COSTS OFF) SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid);
SELECT c.territoryid, count(*), trim_scale(sum(i.totaldue)) AS due
FROM arinvoice i JOIN customer c USING (customerid) GROUP BY c.territoryid ORDER BY 1 LIMIT 4;
