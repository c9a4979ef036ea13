-- sage_intacct.check: one row per step; the first that fails says what to do, the rest cannot run.

-- What requests at once gained differs from run to run.
SELECT step, ok, CASE step WHEN 'concurrency' THEN '(measured)' ELSE detail END AS detail,
       CASE step WHEN 'concurrency' THEN '(advice)' ELSE hint END AS hint FROM sage_intacct.check('acme');
SELECT bool_and(milliseconds >= 0) AS timed FROM sage_intacct.check('acme');

-- Wrong user password.
ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET password 'wrong');
SELECT step, ok, detail, hint FROM sage_intacct.check('acme');
ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET password 'secret');

-- Wrong sender password.
ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET sender_password 'wrong');
SELECT step, ok, detail, hint FROM sage_intacct.check('acme');
ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET sender_password 'senderpw');

-- A company that does not exist.
ALTER SERVER acme OPTIONS (SET company_id 'acne');
SELECT step, ok, detail, hint FROM sage_intacct.check('acme');
ALTER SERVER acme OPTIONS (SET company_id 'acme');

-- Nobody listens there.
ALTER SERVER acme OPTIONS (SET url 'http://127.0.0.1:9/xmlgw.phtml');
SELECT step, ok, hint FROM sage_intacct.check('acme');
