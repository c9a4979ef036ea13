-- Whole rows, system columns, row locks, and what cannot be done.

CREATE SCHEMA acme;
IMPORT FOREIGN SCHEMA intacct LIMIT TO (territory, arterm, customer) FROM SERVER acme INTO acme;
SET search_path = acme;

-- Whole rows.
SELECT t FROM arterm t WHERE recordno < 8 ORDER BY recordno;
SELECT t.*::text FROM arterm t ORDER BY recordno LIMIT 1;
SELECT count(t), count(t.*) FROM territory t;
SELECT to_jsonb(t) - 'createdby' - 'modifiedby' FROM arterm t ORDER BY recordno LIMIT 1;
SELECT t IS NULL AS empty, t IS NOT NULL AS full FROM customer t ORDER BY recordno LIMIT 1;

-- System columns.
SELECT tableoid::regclass, recordno FROM territory ORDER BY recordno LIMIT 2;
SELECT tableoid::regclass, count(*) FROM (SELECT tableoid FROM territory UNION ALL SELECT tableoid FROM arterm) x GROUP BY 1 ORDER BY min(x.tableoid::regclass::text);
SELECT ctid, xmin FROM territory ORDER BY recordno LIMIT 1;

-- Row locks have nothing to lock, and say nothing wrong.
SELECT recordno, name FROM arterm WHERE name = 'N30' FOR UPDATE;
SELECT recordno, name FROM arterm WHERE name = 'N30' FOR SHARE SKIP LOCKED;
CREATE TEMP TABLE mine (name text PRIMARY KEY, n int);
INSERT INTO mine VALUES ('N30', 1), ('N15', 2);
SELECT m.n, a.recordno FROM mine m JOIN arterm a USING (name) ORDER BY m.n FOR UPDATE;
UPDATE mine SET n = a.recordno::int FROM arterm a WHERE a.name = mine.name RETURNING mine.name, mine.n;

-- Columns dropped, added, renamed here.
ALTER FOREIGN TABLE territory DROP COLUMN managerid;
ALTER FOREIGN TABLE territory RENAME COLUMN name TO title;
SELECT * FROM territory ORDER BY recordno LIMIT 1;
SELECT title FROM territory WHERE title IS NOT NULL ORDER BY recordno LIMIT 2;
ALTER FOREIGN TABLE territory ADD COLUMN company text OPTIONS (constant 'acme');
SELECT company, count(*) FROM territory GROUP BY company;
SELECT count(*) FROM territory WHERE company = 'globex';

-- A table without columns, and one with a column that is not in Intacct.
CREATE FOREIGN TABLE bare () SERVER acme OPTIONS (object 'ARTERM');
SELECT count(*) FROM bare;
SELECT FROM bare LIMIT 2;
CREATE FOREIGN TABLE wrong (recordno bigint, surname text) SERVER acme OPTIONS (object 'ARTERM');
SELECT count(*) FROM wrong;
SELECT * FROM wrong;

-- Statistics, truncation, indexes.
ANALYZE territory;
TRUNCATE territory;
CREATE INDEX ON territory (recordno);

-- Inheritance and partitions.
CREATE TABLE every_territory (LIKE territory) PARTITION BY LIST (company);
ALTER TABLE every_territory ATTACH PARTITION territory FOR VALUES IN ('acme');
SELECT count(*) FROM every_territory WHERE company = 'acme';
EXPLAIN (COSTS OFF) SELECT count(*) FROM every_territory WHERE company = 'globex';
