-- Whose credentials: those of the role that the permission is checked for.

CREATE SCHEMA acme;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arterm) FROM SERVER acme INTO acme;
CREATE ROLE reader;
GRANT USAGE ON SCHEMA acme TO reader;
GRANT SELECT ON acme.customer TO reader;

-- The owner of a view reads with his own mapping; the reader needs none.
CREATE VIEW acme.good AS SELECT customerid, totaldue FROM acme.customer WHERE recordno < 12;
GRANT SELECT ON acme.good TO reader;
SET ROLE reader;
SELECT count(*) FROM acme.good;
-- Directly he would need one.
SELECT count(*) FROM acme.customer;
RESET ROLE;

-- A security_invoker view reads with the caller's.
CREATE VIEW acme.invoker WITH (security_invoker) AS SELECT customerid FROM acme.customer;
GRANT SELECT ON acme.invoker TO reader;
SET ROLE reader;
SELECT count(*) FROM acme.invoker;
RESET ROLE;

-- With a mapping, but other credentials: the caller's are used, and refused.
CREATE USER MAPPING FOR reader SERVER acme
  OPTIONS (user_id 'apiuser', password 'wrong-one', sender_id 'sender1', sender_password 'senderpw');
SET ROLE reader;
SELECT count(*) FROM acme.customer;
SELECT count(*) FROM acme.good;
RESET ROLE;
-- One plan, two roles.
PREPARE both_roles AS SELECT count(*) FROM acme.customer;
SET plan_cache_mode = force_generic_plan;
EXECUTE both_roles;
SET ROLE reader;
EXECUTE both_roles;
RESET ROLE;
EXECUTE both_roles;
-- A changed password is noticed at once.
ALTER USER MAPPING FOR reader SERVER acme OPTIONS (SET password 'secret');
SET ROLE reader;
EXECUTE both_roles;
RESET ROLE;
ALTER USER MAPPING FOR reader SERVER acme OPTIONS (SET password 'wrong-again');
SET ROLE reader;
EXECUTE both_roles;
RESET ROLE;

-- The mapping for PUBLIC serves whoever has none.
DROP USER MAPPING FOR reader SERVER acme;
CREATE USER MAPPING FOR PUBLIC SERVER acme
  OPTIONS (user_id 'apiuser', password 'secret', sender_id 'sender1', sender_password 'senderpw');
SET ROLE reader;
SELECT count(*) FROM acme.customer WHERE recordno < 12;
RESET ROLE;

-- Behind a security barrier the view's condition comes first: a leaky function sees only what the view shows.
CREATE VIEW acme.barrier WITH (security_barrier) AS SELECT customerid, recordno FROM acme.customer WHERE recordno < 5;
GRANT SELECT ON acme.barrier TO reader;
CREATE FUNCTION public.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0001
  AS $$ BEGIN RAISE NOTICE 'saw %', $1; RETURN true; END $$;
SET ROLE reader;
SELECT customerid FROM acme.barrier WHERE public.leak(customerid);
EXPLAIN (VERBOSE, COSTS OFF) SELECT customerid FROM acme.barrier WHERE public.leak(customerid) AND customerid = 'C-00001';
SELECT customerid FROM acme.barrier WHERE public.leak(customerid) AND customerid <> 'C-00001';
RESET ROLE;

-- Row-level security is for ordinary tables.
ALTER TABLE acme.customer ENABLE ROW LEVEL SECURITY;

-- Materialized views.
CREATE MATERIALIZED VIEW acme.terms AS SELECT recordno, name FROM acme.arterm;
CREATE UNIQUE INDEX ON acme.terms (recordno);
REFRESH MATERIALIZED VIEW CONCURRENTLY acme.terms;
SELECT count(*) FROM acme.terms;

DROP OWNED BY reader;
DROP ROLE reader;
