//! What a wrong configuration is told: each mistake its own SQLSTATE and its own hint.

use std::collections::HashMap;

use sage_intacct_fdw_tests::company::Company;

/// A mistake, as the statements that make it, and the SQLSTATE of a query and the step of `check` that notice it.
struct Mistake {
    name: &'static str,
    make: &'static str,
    code: &'static str,
    /// Words that the hint must hold, one of them at least.
    hint: &'static [&'static str],
}

const MAPPING: &str = "USER MAPPING FOR CURRENT_USER SERVER acme";

const MISTAKES: &[Mistake] = &[
    Mistake {
        name: "sender",
        make: "ALTER {m} OPTIONS (SET sender_id 'nobody')",
        code: "28000",
        hint: &["sender_id", "sender"],
    },
    Mistake {
        name: "sender password",
        make: "ALTER {m} OPTIONS (SET sender_password 'wrong')",
        code: "28000",
        hint: &["sender_password", "sender"],
    },
    Mistake {
        name: "sender not authorised",
        make: "ALTER {m} OPTIONS (SET sender_id 'stranger', SET sender_password 'strangerpw')",
        code: "28000",
        hint: &["authori"],
    },
    Mistake {
        name: "user",
        make: "ALTER {m} OPTIONS (SET user_id 'nobody')",
        code: "28P01",
        hint: &["user_id", "password"],
    },
    Mistake {
        name: "password",
        make: "ALTER {m} OPTIONS (SET password 'wrong')",
        code: "28P01",
        hint: &["password"],
    },
    Mistake {
        name: "company",
        make: "ALTER SERVER acme OPTIONS (SET company_id 'acne')",
        code: "28P01",
        hint: &["company"],
    },
    Mistake {
        name: "inactive company",
        make: "ALTER SERVER acme OPTIONS (SET company_id 'dormant')",
        code: "28000",
        hint: &["company", "active"],
    },
    Mistake {
        name: "entity",
        make: "ALTER SERVER acme OPTIONS (ADD location_id 'NOWHERE')",
        code: "28P01",
        hint: &["location_id", "entity"],
    },
    Mistake {
        name: "port",
        make: "ALTER SERVER acme OPTIONS (SET url 'http://127.0.0.1:9/ia/xml/xmlgw.phtml')",
        code: "08001",
        hint: &["url", "port", "firewall", "network"],
    },
    Mistake {
        name: "host",
        make: "ALTER SERVER acme OPTIONS (SET url 'https://gateway.invalid/ia/xml/xmlgw.phtml')",
        code: "08001",
        hint: &["url", "name", "DNS"],
    },
    Mistake {
        name: "no mapping",
        make: "DROP {m}",
        code: "42704",
        hint: &["USER MAPPING"],
    },
];

#[test]
fn each_mistake_has_its_own_code_and_hint() {
    let company = Company::start("refusals");
    company.import("customer");
    let mut faults = Vec::new();
    let mut hints: HashMap<String, &str> = HashMap::new();
    for mistake in MISTAKES {
        let mut client = company.connect();
        client
            .batch_execute(&format!(
                "BEGIN; ALTER SERVER acme OPTIONS (ADD max_retries '0', ADD connect_timeout '3'); {}",
                mistake.make.replace("{m}", MAPPING)
            ))
            .expect("the mistake can be made");
        // `check` reports, it does not raise: first the report, then the error.
        let steps = client.query(
            "SELECT step, ok, detail, hint FROM sage_intacct.check('acme')",
            &[],
        );
        match steps {
            Err(error) => faults.push(format!("{}: check raises {error:?}", mistake.name)),
            Ok(steps) => {
                let failed = steps
                    .iter()
                    .find(|row| row.get::<_, Option<bool>>(1) == Some(false));
                let hint = failed
                    .and_then(|row| row.get::<_, Option<String>>(3))
                    .unwrap_or_default();
                if !mistake.hint.iter().any(|word| hint.contains(word)) {
                    faults.push(format!("{}: check's hint is {hint:?}", mistake.name));
                }
            }
        }
        let error = client
            .simple_query("SELECT count(*) FROM customer")
            .expect_err(mistake.name);
        let error = error.as_db_error().expect("the backend lives");
        let hint = error.hint().unwrap_or_default().to_owned();
        if error.code().code() != mistake.code || !mistake.hint.iter().any(|word| hint.contains(word)) {
            faults.push(format!(
                "{}: {} {}\n    DETAIL {:?}\n    HINT {:?}",
                mistake.name,
                error.code().code(),
                error.message(),
                error.detail(),
                error.hint()
            ));
        }
        if let Some(other) = hints.insert(hint, mistake.name) {
            // One word for both sides of a sign-in is all that the gateway tells.
            let same = [other, mistake.name];
            let alike = [
                ["user", "password"],
                ["password", "company"],
                ["user", "company"],
                ["company", "entity"],
                ["sender", "sender password"],
            ];
            if !alike.contains(&same) {
                faults.push(format!("{other} and {} have the same hint", mistake.name));
            }
        }
        client.batch_execute("ROLLBACK").expect("undone");
        client
            .query("SELECT count(*) FROM customer", &[])
            .expect("without the mistake it works");
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_revoked_permission_names_the_object() {
    let company = Company::start("permission");
    company.import("vendor, customer");
    let mut client = company.connect();
    client
        .batch_execute("ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET user_id 'limited')")
        .expect("altered");
    client
        .query("SELECT count(*) FROM customer", &[])
        .expect("that one is allowed");
    let error = client
        .simple_query("SELECT count(*) FROM vendor")
        .expect_err("that one is not");
    let error = error.as_db_error().expect("the backend lives");
    assert_eq!(error.code().code(), "42501");
    let text = format!("{} {}", error.message(), error.detail().unwrap_or_default());
    assert!(text.to_uppercase().contains("VENDOR"), "{text}");
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("permission") || hint.contains("subscri")),
        "{:?}",
        error.hint()
    );
    // The import leaves out what may not be read, and says so.
    client.batch_execute("CREATE SCHEMA s; IMPORT FOREIGN SCHEMA intacct LIMIT TO (vendor, customer) FROM SERVER acme INTO s").expect("the rest");
    let tables: Vec<String> = client
        .query(
            "SELECT relname::text FROM pg_class WHERE relnamespace = 's'::regnamespace",
            &[],
        )
        .expect("rows")
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(tables, ["customer"]);
}

#[test]
fn preferences_that_cannot_be_read_are_refused() {
    let company = Company::start("preferences");
    company.import("customer");
    for user in ["euro", "twelve"] {
        let mut client = company.connect();
        client
            .batch_execute(&format!(
                "BEGIN; ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET user_id '{user}')"
            ))
            .expect("altered");
        let error = client
            .simple_query("SELECT whenmodified, last_invoicedate FROM customer")
            .expect_err(user);
        let error = error.as_db_error().expect("the backend lives");
        assert!(
            error.hint().is_some_and(|hint| hint.contains("preference")),
            "{user}: {error:?}"
        );
        client.batch_execute("ROLLBACK").expect("undone");
    }
}

#[test]
fn preferences_that_can_be_read_give_the_same_rows() {
    let company = Company::start("preferences_same");
    company.import("customer");
    let mut answers = Vec::new();
    for user in ["apiuser", "iso", "east"] {
        let mut client = company.connect();
        client
            .batch_execute(&format!(
                "BEGIN; ALTER USER MAPPING FOR CURRENT_USER SERVER acme OPTIONS (SET user_id '{user}')"
            ))
            .expect("altered");
        let sql = "SELECT md5(string_agg(t::text, '|' ORDER BY recordno)) FROM customer t WHERE whenmodified > '2020-01-01 00:00:00+00'";
        answers.push(client.query_one(sql, &[]).expect(user).get::<_, String>(0));
        client.batch_execute("ROLLBACK").expect("undone");
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
}
