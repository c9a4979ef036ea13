IMPORT FOREIGN SCHEMA intacct LIMIT TO (glaccount, glbatch, gldetail, apbill, apbillitem, arinvoice, arinvoiceitem) FROM SERVER acme INTO acme;
CALL sage_intacct.create_mirrors('acme', 'finance');
