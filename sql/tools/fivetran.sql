-- The tables and columns that Fivetran delivers and that the public dbt package for Sage Intacct reads (fivetran/dbt_sage_intacct
-- 1.4.1, read on 2026-11-29): for each table the object it is made from, and its columns. Each is the field of the same name, dots
-- as underscores. The type is that of a column whose field the source does not have; text is also what other types are
-- turned into, so that keys meet keys.
CREATE FUNCTION sage_intacct.fivetran_tables()
RETURNS TABLE (name name, object text, columns text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
VALUES
    ('gl_account'::name, 'GLACCOUNT', 'bigint: recordno categorykey closetoacctkey createdby modifiedby;
     text: accountno title accounttype normalbalance category alternativeaccount closingtype closingaccountno closingaccounttitle status;
     boolean: taxable requireclass requirecustomer requiredept requireemployee requireitem requireloc requireproject requirevendor
       requirewarehouse _fivetran_deleted;
     timestamptz: whencreated whenmodified _fivetran_synced'),
    ('gl_batch', 'GLBATCH', 'text: recordno batch_title journal module referenceno state taximplications baselocation_no megaentityid megaentityname
       modifiedbyid userinfo_loginid;
     bigint: batchno baselocation megaentitykey createdby modifiedby prbatchkey reversedkey templatekey userkey;
     date: batch_date reversed reversedfrom;
     timestamptz: modified whencreated whenmodified _fivetran_synced;
     boolean: _fivetran_deleted'),
    ('gl_detail', 'GLDETAIL', 'text: recordno recordid recordtype batchkey batch_title bookid accountno accounttitle basecurr currency classid classname
       customerid customername departmentid departmenttitle locationid locationname vendorid vendorname description
       docnumber document entry_state entrydescription prdescription;
     bigint: batch_no line_no tr_type;
     numeric: amount creditamount debitamount totaldue totalentered totalpaid trx_amount trx_creditamount trx_debitamount;
     date: batch_date entry_date whencreated whendue whenpaid;
     timestamptz: modified whenmodified _fivetran_synced;
     boolean: _fivetran_deleted'),
    ('ap_bill', 'APBILL', 'text: recordno recordid recordtype state vendorid vendorname basecurr currency description docnumber billtopaytocontactname
       shiptoreturntocontactname;
     bigint: billtopaytokey shiptoreturntokey due_in_days;
     numeric: totaldue totalentered totalpaid;
     date: whencreated whendue whenpaid whenposted;
     timestamptz: auwhencreated whenmodified _fivetran_synced;
     boolean: _fivetran_deleted'),
    ('ap_bill_item', 'APBILLITEM', 'text: recordno recordkey recordtype state accountno accounttitle basecurr currency classid classname customerid customername
       departmentid departmentname entrydescription itemid itemname locationid locationname offsetglaccountno
       offsetglaccounttitle projectid projectname vendorid vendorname;
     bigint: accountkey baselocation createdby line_no;
     numeric: amount exchange_rate totalpaid totalselected;
     boolean: billable billed lineitem;
     date: entry_date;
     timestamptz: whencreated whenmodified _fivetran_synced'),
    ('ar_invoice', 'ARINVOICE', 'text: recordno recordid recordtype state customerid customername basecurr currency description docnumber
       billtopaytocontactname shiptoreturntocontactname megaentityid megaentityname;
     bigint: billtopaytokey shiptoreturntokey due_in_days createdby;
     numeric: totaldue totalentered totalpaid;
     date: whencreated whendiscount whendue whenpaid whenposted;
     timestamptz: auwhencreated whenmodified _fivetran_synced;
     boolean: _fivetran_deleted'),
    ('ar_invoice_item', 'ARINVOICEITEM', 'text: recordno recordkey recordtype state accountno accounttitle basecurr currency classid classname customerid customername
       departmentid departmentname entrydescription itemid itemname locationid locationname offsetglaccountno
       offsetglaccounttitle vendorid vendorname warehouseid warehousename;
     bigint: accountkey baselocation line_no;
     numeric: amount exchange_rate totalpaid totalselected;
     boolean: lineitem;
     date: entry_date;
     timestamptz: whencreated whenmodified _fivetran_synced')
$$;

-- The same, a row for each column.
CREATE FUNCTION sage_intacct.fivetran_columns()
RETURNS TABLE (view name, object text, number bigint, name name, type text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
SELECT t.name, t.object, row_number() OVER (PARTITION BY t.name ORDER BY n.column LIKE '\_%', n.column <> 'recordno', n.column),
       n.column::name, split_part(c.of_type, ':', 1)
  FROM sage_intacct.fivetran_tables() t
 CROSS JOIN LATERAL regexp_split_to_table(t.columns, ';\s*') AS c(of_type)
 CROSS JOIN LATERAL regexp_split_to_table(split_part(c.of_type, ': ', 2), '\s+') AS n("column")
$$;
