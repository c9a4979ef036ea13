-- What the planner makes of orders, subqueries, groups and relations beyond a single scan, and that the answers stay
-- those of the same statement with nothing left to Intacct.

IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoice, customer, territory, arterm) FROM SERVER acme INTO public
  OPTIONS (import_related 'on');

-- A statement with everything pushed, with nothing pushed: true if the answers are the same.
CREATE FUNCTION same(statement text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  class text;
  pushed text[];
  local text[];
BEGIN
  EXECUTE format('SELECT array_agg(s::text ORDER BY s::text) FROM (%s) s', statement) INTO pushed;
  FOREACH class IN ARRAY '{where,order,limit,aggregates,joins}'::text[] LOOP
    PERFORM set_config('sage_intacct.push_' || class, 'off', true);
  END LOOP;
  EXECUTE format('SELECT array_agg(s::text ORDER BY s::text) FROM (%s) s', statement) INTO local;
  FOREACH class IN ARRAY '{where,order,limit,aggregates,joins}'::text[] LOOP
    PERFORM set_config('sage_intacct.push_' || class, 'default', true);
  END LOOP;
  RETURN pushed IS NOT DISTINCT FROM local AND pushed IS NOT NULL;
END $$;

-- A subquery as an array is evaluated first, and its values are sent.
EXPLAIN (COSTS OFF)
SELECT recordid FROM arinvoice WHERE customerid = ANY (ARRAY(SELECT customerid FROM customer WHERE creditlimit > 50000));
SELECT same('SELECT recordid FROM arinvoice WHERE customerid = ANY (ARRAY(SELECT customerid FROM customer WHERE creditlimit > 50000))');
EXPLAIN (COSTS OFF)
SELECT recordid FROM arinvoice WHERE whendue > (SELECT max(signed_on) FROM customer WHERE status = 'active');
SELECT same('SELECT recordid FROM arinvoice WHERE whendue < (SELECT max(signed_on) FROM customer WHERE status = ''active'')');

-- A semi-join along a relation, in both spellings; an anti-join is not one.
EXPLAIN (COSTS OFF)
SELECT recordid FROM arinvoice WHERE customerid IN (SELECT customerid FROM customer WHERE status = 'active');
SELECT same('SELECT recordid FROM arinvoice WHERE customerid IN (SELECT customerid FROM customer WHERE status = ''active'')');
EXPLAIN (COSTS OFF)
SELECT count(*) FROM arinvoice i
WHERE EXISTS (SELECT FROM customer c WHERE c.customerid = i.customerid AND c.creditlimit > 1000);
SELECT same('SELECT count(*) FROM arinvoice i WHERE EXISTS (SELECT FROM customer c WHERE c.customerid = i.customerid AND c.creditlimit > 1000)');
EXPLAIN (COSTS OFF)
SELECT recordid FROM arinvoice i WHERE NOT EXISTS (SELECT FROM customer c WHERE c.customerid = i.customerid);
SELECT same('SELECT recordid FROM arinvoice i WHERE NOT EXISTS (SELECT FROM customer c WHERE c.customerid = i.customerid AND c.status = ''active'')');

-- The least and the greatest: a row of an ordered page, where that is cheaper or the condition is checked here.
EXPLAIN (COSTS OFF) SELECT max(totaldue) FROM arinvoice;
EXPLAIN (COSTS OFF) SELECT min(whendue) FROM arinvoice WHERE upper(state) = 'POSTED';
SELECT same('SELECT min(whendue), max(whendue), max(totaldue) FROM arinvoice');
SELECT same('SELECT min(whendue) FROM arinvoice WHERE upper(state) = ''POSTED''');
SELECT same('SELECT trim_scale(max(totaldue)) FROM arinvoice WHERE NOT is_export');

-- A prefix of the order is the gateway's, the rest is sorted here.
EXPLAIN (COSTS OFF) SELECT recordid FROM arinvoice WHERE whencreated > '2020-01-01' ORDER BY whencreated DESC, customerid;
EXPLAIN (COSTS OFF) SELECT recordid FROM arinvoice WHERE whencreated > '2020-01-01' ORDER BY whencreated, whendue LIMIT 5;
EXPLAIN (COSTS OFF) SELECT recordid FROM arinvoice WHERE whencreated > '2020-01-01' ORDER BY whencreated, recordno, recordid LIMIT 5;
SELECT same('SELECT recordid, row_number() OVER () FROM (SELECT recordid FROM arinvoice WHERE whencreated > ''2020-01-01'' ORDER BY whencreated DESC, customerid, recordno) s');

-- Groups, windows, DISTINCT ON and merge joins in the gateway's order need no sort.
SET sage_intacct.push_aggregates = off;
SET enable_hashagg = off;
EXPLAIN (COSTS OFF) SELECT whencreated, count(*) FROM arinvoice WHERE whencreated > '2020-01-01' GROUP BY whencreated;
EXPLAIN (COSTS OFF) SELECT DISTINCT whencreated FROM arinvoice WHERE whencreated > '2020-01-01';
SELECT same('SELECT whencreated, count(*) FROM arinvoice WHERE whencreated > ''2020-01-01'' GROUP BY whencreated');
RESET enable_hashagg;
RESET sage_intacct.push_aggregates;
EXPLAIN (COSTS OFF) SELECT DISTINCT ON (recordno) recordno, recordid FROM arinvoice;
EXPLAIN (COSTS OFF) SELECT recordno, lag(recordid) OVER (ORDER BY recordno) FROM arinvoice;
SET enable_hashjoin = off;
SET enable_nestloop = off;
SET sage_intacct.push_joins = off;
EXPLAIN (COSTS OFF) SELECT i.recordid, c.name FROM arinvoice i JOIN customer c ON c.recordno = i.recordno;
SELECT same('SELECT i.recordid, c.name FROM arinvoice i JOIN customer c ON c.recordno = i.recordno');
RESET enable_hashjoin;
RESET enable_nestloop;
RESET sage_intacct.push_joins;

-- Groups and DISTINCT by custom fields and by dotted fields, of one table and of a join; HAVING and FILTER.
EXPLAIN (COSTS OFF) SELECT region_code, count(*) FROM customer GROUP BY region_code HAVING count(*) > 3;
SELECT same('SELECT region_code, count(*) FROM customer GROUP BY region_code HAVING count(*) > 3');
EXPLAIN (COSTS OFF) SELECT displaycontact_mailaddress_city, sum(totaldue) FROM customer GROUP BY 1;
SELECT same('SELECT displaycontact_mailaddress_city, trim_scale(sum(totaldue)) FROM customer GROUP BY 1');
EXPLAIN (COSTS OFF) SELECT DISTINCT customer_tier, displaycontact_mailaddress_city FROM customer;
SELECT same('SELECT DISTINCT customer_tier, displaycontact_mailaddress_city FROM customer');
EXPLAIN (COSTS OFF)
SELECT c.customer_tier, min(i.whendue) FROM arinvoice i JOIN customer c USING (customerid) GROUP BY c.customer_tier;
SELECT same('SELECT c.customer_tier, min(i.whendue) FROM arinvoice i JOIN customer c USING (customerid) GROUP BY c.customer_tier');
EXPLAIN (COSTS OFF)
SELECT sum(totaldue) FILTER (WHERE state = 'Posted'), count(*) FILTER (WHERE state = 'Posted') FROM arinvoice;
SELECT same('SELECT trim_scale(sum(totaldue) FILTER (WHERE state = ''Posted'')), count(*) FILTER (WHERE state = ''Posted'') FROM arinvoice');
EXPLAIN (COSTS OFF) SELECT sum(totaldue) FILTER (WHERE state = 'Posted'), count(*) FROM arinvoice;
SELECT same('SELECT trim_scale(sum(totaldue) FILTER (WHERE state = ''Posted'')), count(*) FROM arinvoice');
EXPLAIN (COSTS OFF) SELECT DISTINCT c.territoryid FROM arinvoice i JOIN customer c USING (customerid);
SELECT same('SELECT DISTINCT c.territoryid FROM arinvoice i JOIN customer c USING (customerid)');

-- Rows private to an entity: a join shows those customers that a query for customers shows, also where the gateway's
-- paths show more.
SELECT count(*) AS invoices, count(c.customerid) AS with_customer FROM arinvoice i LEFT JOIN customer c USING (customerid);
SELECT same('SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid)');
SELECT same('SELECT c.megaentityid, count(*) FROM arinvoice i JOIN customer c USING (customerid) GROUP BY 1');
ALTER SERVER acme OPTIONS (ADD show_private 'on');
SELECT count(*) AS invoices, count(c.customerid) AS with_customer FROM arinvoice i LEFT JOIN customer c USING (customerid);
SELECT same('SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid)');
SELECT same('SELECT c.megaentityid, count(*) FROM arinvoice i JOIN customer c USING (customerid) GROUP BY 1');
ALTER FOREIGN TABLE customer OPTIONS (ADD show_private 'off');
SELECT same('SELECT i.recordid, c.name FROM arinvoice i JOIN customer c USING (customerid)');
SELECT same('SELECT i.recordid FROM arinvoice i WHERE customerid IN (SELECT customerid FROM customer)');
