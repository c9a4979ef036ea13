-- Groupings that the gateway cannot compute as they stand: it groups by bare columns, and PostgreSQL combines its groups.
IMPORT FOREIGN SCHEMA intacct LIMIT TO (arinvoice, arinvoiceitem, customer) FROM SERVER acme INTO public;
-- PostgreSQL 16 and later may sort for DISTINCT below the aggregate.
DO $$ BEGIN
  IF current_setting('server_version_num')::integer >= 160000 THEN
    SET enable_presorted_aggregate = off;
  END IF;
END $$;
CREATE TABLE here AS SELECT * FROM arinvoice;
-- Whether a statement's rows are the same there and here, and what the gateway is asked.
CREATE FUNCTION compare(query text, OUT rows text, OUT asked text) LANGUAGE plpgsql AS $$
DECLARE
    there text;
    copied text;
    line text;
BEGIN
    EXECUTE format('SELECT string_agg(t::text, E''\n'' ORDER BY t::text) FROM (%s) t', replace(query, 'INVOICES', 'arinvoice')) INTO there;
    EXECUTE format('SELECT string_agg(t::text, E''\n'' ORDER BY t::text) FROM (%s) t', replace(query, 'INVOICES', 'here')) INTO copied;
    rows := CASE WHEN there IS NULL AND copied IS NULL THEN 'equal: 0' WHEN there IS NOT DISTINCT FROM copied THEN 'equal: ' || regexp_count(there, E'\n') + 1
                 ELSE E'there:\n' || coalesce(there, 'NULL') || E'\nhere:\n' || coalesce(copied, 'NULL') END;
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || replace(query, 'INVOICES', 'arinvoice') LOOP
        asked := coalesce(asked, substring(line FROM 'Intacct Query: (.*)'));
    END LOOP;
END $$;
CREATE TABLE statements (number int GENERATED ALWAYS AS IDENTITY, query text);
INSERT INTO statements (query) VALUES
 ('SELECT date_trunc(''month'', whencreated) AS month, count(*), sum(totaldue) FROM INVOICES GROUP BY 1'),
 ('SELECT extract(year FROM whencreated) AS y, state, count(*) FROM INVOICES GROUP BY 1, 2'),
 ('SELECT coalesce(currency, ''?'') AS c, sum(totaldue), min(whencreated), max(totaldue) FROM INVOICES GROUP BY 1'),
 ('SELECT lower(state), customerid::varchar(20), count(*) FROM INVOICES GROUP BY 1, 2'),
 ('SELECT CASE WHEN state = ''Paid'' THEN 1 ELSE 2 END AS c, count(*) FROM INVOICES GROUP BY 1'),
 ('SELECT sum(CASE WHEN state = ''Paid'' THEN totaldue ELSE 0 END) AS paid, sum(CASE state WHEN ''Posted'' THEN totaldue END) AS posted FROM INVOICES'),
 ('SELECT customerid, sum(CASE WHEN state = ''Paid'' THEN totaldue ELSE 0 END) FROM INVOICES GROUP BY 1'),
 ('SELECT count(DISTINCT customerid), count(DISTINCT state) FROM INVOICES'),
 ('SELECT state, count(DISTINCT customerid) FROM INVOICES GROUP BY 1'),
 ('SELECT count(*) FROM (SELECT DISTINCT customerid, state FROM INVOICES) d'),
 ('SELECT state, count(DISTINCT customerid), currency FROM INVOICES WHERE state = ''Paid'' AND currency = ''USD'' GROUP BY state, currency HAVING count(DISTINCT whencreated) > 1'),
 ('SELECT sum(1), sum(2::bigint), sum(0.5) FROM INVOICES'),
 ('SELECT count(*) FILTER (WHERE state = ''Paid''), sum(totaldue) FILTER (WHERE state <> ''Paid''), count(*) FROM INVOICES'),
 ('SELECT customerid, count(*) FILTER (WHERE state = ''Paid'') FROM INVOICES GROUP BY 1 HAVING count(*) FILTER (WHERE state = ''Paid'') > 1'),
 ('SELECT count(CASE WHEN state = ''Paid'' THEN 1 END), count(recordno), count(currency) FROM INVOICES'),
 ('SELECT sum(coalesce(totaldue, 0)), sum(CASE WHEN state = ''Paid'' THEN coalesce(totaldue, 0) ELSE 1 END) FROM INVOICES'),
 ('SELECT bool_or(state = ''Paid''), bool_and(state = ''Paid''), max(upper(state)), min(state) FROM INVOICES'),
 ('SELECT date_trunc(''year'', whencreated) || '' '' || upper(state) AS k, count(*) + 1, sum(totaldue) / 2 FROM INVOICES GROUP BY date_trunc(''year'', whencreated), upper(state)'),
 ('SELECT DISTINCT upper(state), extract(month FROM whencreated) FROM INVOICES'),
 ('SELECT upper(state), sum(totaldue) FROM INVOICES WHERE totaldue > 1e9 GROUP BY 1'),
 ('SELECT count(DISTINCT state), sum(CASE WHEN state = ''Paid'' THEN totaldue ELSE 0 END), count(*) FILTER (WHERE state = ''Paid'') FROM INVOICES WHERE totaldue > 1e9'),
 ('SELECT lower(state), sum(totaldue) FROM INVOICES WHERE whencreated >= ''2024-01-01'' GROUP BY 1 ORDER BY 2 DESC LIMIT 2'),
 ('SELECT upper(c.name), sum(i.totaldue) FROM INVOICES i LEFT JOIN customer c ON c.customerid = i.customerid GROUP BY 1'),
 ('SELECT upper(c.name), sum(i.totaldue), count(DISTINCT i.state) FROM INVOICES i JOIN customer c ON c.customerid = i.customerid GROUP BY 1'),
 ('SELECT upper(state) AS s, sum(sum(totaldue)) OVER (ORDER BY upper(state)) FROM INVOICES GROUP BY 1');
ANALYZE arinvoice;
\pset format unaligned
\pset tuples_only on
\pset fieldsep '\n  '
SELECT query, (compare(query)).* FROM statements ORDER BY number;
\pset format aligned
\pset tuples_only off

-- The plans: by columns and expressions, with DISTINCT inside, with HAVING. Grouping sets: tools::grouping_sets.
EXPLAIN (COSTS OFF) SELECT date_trunc('month', whencreated), state, sum(totaldue) FROM arinvoice WHERE state <> 'Paid' GROUP BY 1, 2;
EXPLAIN (VERBOSE, COSTS OFF) SELECT sum(CASE WHEN state = 'Paid' THEN totaldue ELSE 0 END), count(*) FILTER (WHERE state = 'Posted') FROM arinvoice;
EXPLAIN (COSTS OFF) SELECT state, count(DISTINCT customerid) FROM arinvoice GROUP BY state HAVING count(DISTINCT customerid) > 1 ORDER BY state;

-- What stays here: what depends on rows, or on the order of rows.
EXPLAIN (COSTS OFF) SELECT lower(state), string_agg(recordid, ',') FROM arinvoice GROUP BY 1;
EXPLAIN (COSTS OFF) SELECT lower(state), sum(totaldue * totaldue) FROM arinvoice GROUP BY 1;
EXPLAIN (COSTS OFF) SELECT random() > 2, sum(totaldue) FROM arinvoice GROUP BY 1;

-- A plan that is kept, with a parameter in a key and one in a condition; a correlated one.
PREPARE by_unit (text, numeric) AS
SELECT date_trunc($1, whencreated) AS unit, count(*) FILTER (WHERE state = 'Paid') AS paid FROM arinvoice WHERE totaldue > $2 GROUP BY 1 ORDER BY 1 LIMIT 3;
SET plan_cache_mode = force_generic_plan;
EXECUTE by_unit ('year', 100);
EXECUTE by_unit ('month', 5000);
SELECT s.state, (SELECT sum(CASE WHEN i.currency = 'USD' THEN i.totaldue ELSE 0 END) FROM arinvoice i WHERE i.state = s.state) IS NOT DISTINCT FROM
                (SELECT sum(CASE WHEN i.currency = 'USD' THEN i.totaldue ELSE 0 END) FROM here i WHERE i.state = s.state) AS equal
  FROM (SELECT DISTINCT state FROM here) s ORDER BY 1;
