//! A lint over SQL that runs inside other roles' sessions: what a `search_path` could lead elsewhere is qualified.
//!
//! Whoever may create objects in a schema of a superuser's `search_path` could plant a function or an operator there that
//! the extension's SQL would then call with the superuser's rights. So the body of a function either sets
//! `search_path = pg_catalog, pg_temp` itself, or (a procedure that commits cannot, and triggers must see the caller's) names
//! nothing that is looked up: `sql.rs` says what that is. SQL in Rust runs with the caller's `search_path` too. Statements
//! that run while the extension is installed have the path that CREATE EXTENSION gives them, over a schema that the
//! installation script finds empty.
#![forbid(unsafe_code)]

mod rust;
mod sql;

use std::path::{Path, PathBuf};

/// Every file below a folder with this extension.
fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    fn collect(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                collect(&path, extension, found);
            } else if path.extension().is_some_and(|this| this == extension) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    collect(
        &Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(folder),
        extension,
        &mut found,
    );
    found.sort();
    found
}

/// Fails with every finding.
fn none_of(findings: &[String]) {
    assert!(
        findings.is_empty(),
        "a search_path decides what these are:\n{}",
        findings.join("\n")
    );
}

#[test]
fn sql_files_qualify_what_they_name() {
    let mut findings = Vec::new();
    let mut bodies = 0;
    for path in files("sql", "sql") {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        let script = sql::check_script(&text);
        bodies += script.bodies;
        findings.extend(
            script
                .findings
                .iter()
                .map(|found| format!("{}:{found}", path.display())),
        );
    }
    assert!(bodies > 50, "{bodies} bodies were seen");
    none_of(&findings);
}

#[test]
fn sql_in_rust_qualifies_what_it_names() {
    let mut findings = Vec::new();
    let mut statements = 0;
    for path in files("src", "rs") {
        let text = std::fs::read_to_string(&path).expect("UTF-8");
        for (line, literal) in rust::literals(&text) {
            let found = if literal.is_script {
                sql::check_script(&literal.text).findings
            } else if sql::is_statement(&literal.text) {
                statements += 1;
                sql::check_statement(&literal.text)
            } else {
                continue;
            };
            findings.extend(
                found
                    .iter()
                    .map(|found| format!("{}:{line} + {found}", path.display())),
            );
        }
    }
    assert!(statements > 5, "{statements} statements were seen");
    none_of(&findings);
}

/// Each of these can be led elsewhere.
#[test]
fn what_can_be_planted_is_found() {
    for statement in [
        "SELECT cardinality(parts)",
        "SELECT pg_catalog.cardinality(parts), lower (name)",
        "SELECT 1 FROM sage_intacct.mirror WHERE id = 1",
        "SELECT options -> 'a'",
        "SELECT options->>'a'",
        "SELECT pg_catalog.now() - x",
        "SELECT - x",
        "SELECT a || b",
        "SELECT x OPERATOR(public.=) y",
        "SELECT x OPERATOR(=) y",
        "SELECT x IN (1, 2)",
        "SELECT x NOT BETWEEN 1 AND 2",
        "SELECT x LIKE 'a%'",
        "SELECT NULLIF(a, b)",
        "SELECT a IS DISTINCT FROM b",
        "SELECT CASE a WHEN 1 THEN 2 END",
        "SELECT 1 FROM a.b JOIN c.d USING (x)",
        "SELECT 'x'::text",
        "SELECT CAST(x AS text)",
        "SELECT 1 FROM pg_class",
        "SELECT 1 FROM a.b JOIN pg_class c ON true",
        "INSERT INTO mirror (a) VALUES (1)",
        "UPDATE mirror SET a = 1",
        "UPDATE a.mirror SET a = 1 WHERE b = 2",
        "DELETE FROM mirror",
        "SELECT 1 FROM a.b, pg_class",
    ] {
        assert!(!sql::check_statement(statement).is_empty(), "{statement}");
    }
    for body in [
        "DECLARE a text; BEGIN END",
        "DECLARE a CONSTANT text := 'x'; BEGIN END",
        "DECLARE a bigint; b jsonb; BEGIN END",
        "DECLARE a mirror%ROWTYPE; BEGIN END",
        "DECLARE a record; BEGIN END",
        "BEGIN a := b + 1; END",
        "BEGIN CASE a WHEN 1 THEN NULL; END CASE; END",
        "BEGIN FOR r IN SELECT 1 FROM pg_class LOOP END LOOP; END",
        "BEGIN RAISE 'x' USING ERRCODE := upper('y'); END",
        "BEGIN EXECUTE format('SELECT 1'); END",
        "BEGIN -- a ' in a comment\n a := lower(b); END",
    ] {
        let script = format!("CREATE FUNCTION s.f() RETURNS void LANGUAGE plpgsql AS $f$ {body} $f$;");
        assert!(!sql::check_script(&script).findings.is_empty(), "{body}");
        let other = script.replace("AS $f$", "SET search_path = public, pg_catalog AS $f$");
        assert!(!sql::check_script(&other).findings.is_empty(), "{other}");
    }
    assert!(
        !sql::check_script("DO $$ BEGIN PERFORM now(); END $$;")
            .findings
            .is_empty()
    );
}

/// None of these can.
#[test]
fn what_cannot_be_planted_is_let_through() {
    for statement in [
        "SELECT * FROM sage_intacct.mirror r WHERE r.id OPERATOR(pg_catalog.=) $1",
        "SELECT s.*, pg_catalog.count(*) FROM a.b AS s WHERE x OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT 1))",
        "UPDATE {table} t SET a = 1, b = {x} FROM pg_catalog.pg_class r WHERE t.{key} {equals} r.{key}",
        "SELECT coalesce(a, -1), greatest(a, 2), CASE WHEN a IS NULL THEN b END, NOT EXISTS (SELECT FROM a.b)",
        "SELECT x::pg_catalog.text, y::bigint, z::timestamp with time zone",
        "INSERT INTO {table} ({columns}) SELECT {columns} FROM pg_catalog.jsonb_populate_recordset(NULL::{table}, $1)",
        "SELECT 'a = b', \"a = b\" /* a = b */ FROM a.b -- c = d",
        "WITH c AS (SELECT 1) SELECT 1 FROM c",
        "COMMENT ON COLUMN {name}.{} IS {}",
    ] {
        assert_eq!(
            sql::check_statement(statement),
            Vec::<String>::new(),
            "{statement}"
        );
    }
    for script in [
        "CREATE FUNCTION s.f(a text) RETURNS text LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ SELECT a || now() $$;",
        "CREATE PROCEDURE s.f(a text) LANGUAGE plpgsql AS $$ DECLARE b pg_catalog.text := 'x'; m s.m; n bigint[]; BEGIN
             FOR b IN SELECT x FROM s.m LOOP COMMIT; END LOOP;
             GET DIAGNOSTICS n := ROW_COUNT;
             RAISE '% %', b, n USING ERRCODE := 'fdw_error';
         EXCEPTION WHEN OTHERS OR query_canceled THEN NULL; END $$;",
        "CREATE VIEW s.v AS SELECT a = b FROM pg_class;",
    ] {
        assert_eq!(sql::check_script(script).findings, Vec::<String>::new(), "{script}");
    }
}
