IMPORT FOREIGN SCHEMA intacct LIMIT TO (customer, arinvoice, vendor, glbatch, activitylog) FROM SERVER acme INTO acme;

-- As far as the text needs pg_cron: what is scheduled runs before a later example.
CREATE SCHEMA cron;
CREATE TABLE cron.job (jobname text, schedule text, command text);
CREATE FUNCTION cron.schedule(jobname text, schedule text, command text) RETURNS bigint LANGUAGE sql AS
  $$ INSERT INTO cron.job VALUES ($1, $2, $3); SELECT count(*) FROM cron.job $$;
