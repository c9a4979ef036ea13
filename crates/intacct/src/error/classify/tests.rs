//! What refusals mean, by the texts that gateways have been seen to send.

use super::*;

fn errors(errorno: &str, text: &str) -> Vec<GatewayError> {
    vec![GatewayError {
        errorno: errorno.into(),
        description2: text.into(),
        ..GatewayError::default()
    }]
}

fn kind(level: Level, errorno: &str, text: &str) -> (ErrorKind, Retry) {
    let (error, retry) = refusal(level, "query", errors(errorno, text));
    (error.kind().clone(), retry)
}

#[test]
fn one_number_means_many_things() {
    use Level::{Authentication, Control, Function};
    for (level, text, expected) in [
        (
            Control,
            "Incorrect Intacct XML Partner ID or password.",
            (ErrorKind::SenderRefused, Retry::Never),
        ),
        (
            Control,
            "x is not a valid transport policy",
            (ErrorKind::InvalidRequest, Retry::Never),
        ),
        (
            Authentication,
            "Sign-in information is incorrect",
            (ErrorKind::SignInRefused, Retry::Never),
        ),
        (
            Authentication,
            "Invalid Web Services Authorization",
            (ErrorKind::SenderNotAuthorized, Retry::Never),
        ),
        (
            Authentication,
            "Invalid session (expired)",
            (ErrorKind::InvalidSession, Retry::SignIn),
        ),
        (
            Function,
            "The following fields cannot be queried: [ apbill: [A, B.C] ] [Support ID: x%20y]",
            (
                ErrorKind::UnknownFields(vec!["A".into(), "B.C".into()]),
                Retry::Never,
            ),
        ),
    ] {
        assert_eq!(kind(level, "XL03000006", text), expected, "{text}");
    }
}

#[test]
fn other_numbers_and_texts() {
    use Level::{Control, Function};
    for (level, number, text, expected) in [
        (
            Control,
            "XL03000003",
            "Element 'orderby' is not expected",
            (ErrorKind::InvalidRequest, Retry::Never),
        ),
        (
            Control,
            "PL04000055",
            "expired",
            (ErrorKind::CompanyUnavailable, Retry::Never),
        ),
        (Function, "PL04000005", "", (ErrorKind::Permission, Retry::Never)),
        (
            Function,
            "",
            "You do not have permission to view audit history",
            (ErrorKind::Permission, Retry::Never),
        ),
        (
            Function,
            "Query Failed",
            "Object definition X not found",
            (ErrorKind::UnknownObject, Retry::Never),
        ),
        (
            Function,
            "DL02000001",
            "There was an error",
            (ErrorKind::Refused, Retry::Once),
        ),
        (
            Function,
            "XX",
            "API rate limit exceeded",
            (ErrorKind::RateLimited, Retry::Slower),
        ),
        (Control, "GW-0010", "", (ErrorKind::RateLimited, Retry::Slower)),
        (
            Control,
            "GW-0003",
            "",
            (ErrorKind::GatewayTimeout, Retry::Transient),
        ),
        (Control, "GW-0011", "", (ErrorKind::InvalidRequest, Retry::Never)),
        (
            Function,
            "",
            "The Service is Temporarily Off-line",
            (ErrorKind::GatewayTimeout, Retry::Transient),
        ),
        (
            Function,
            "BL03000018",
            "illegal format",
            (ErrorKind::Refused, Retry::Never),
        ),
    ] {
        assert_eq!(kind(level, number, text), expected, "{number} {text}");
    }
}

/// What a refusal of a write is taken for; `sent` are the values of its record.
fn of_write(function: &str, all: &[(&str, &str, &str)], sent: &[&str]) -> ErrorKind {
    let errors = all.iter().map(|(errorno, text, correction)| GatewayError {
        errorno: (*errorno).into(),
        description2: (*text).into(),
        correction: (*correction).into(),
        ..GatewayError::default()
    });
    let (error, _) = refusal_of(Level::Function, function, errors.collect(), sent);
    error.kind().clone()
}

#[test]
fn what_the_user_wrote_decides_nothing() {
    for value in [
        "Duplicate of Net 30",
        "Acme company inactive",
        "rate limit exceeded",
        "field is required",
        "is required",
        "Net 30 already exists",
        "you do not have permission",
        "invalid session",
        "please try again later",
        "The Service is Temporarily Off-line",
        "control id",
        "O'Brien's 'term' is missing",
        "x was already executed and completed",
    ] {
        for (text, sent) in [
            (format!("Cannot find term with key '{value}'"), &[][..]),
            (
                format!("Invalid Term '{value}' specified. [Support ID: x%20y]"),
                &[],
            ),
            (format!("Term {value} does not exist"), &[value]),
            (format!("{value} was not found"), &[value]),
            (format!("Could not find the term \"{value}\"."), &[]),
        ] {
            let errors = [
                (
                    "BL01001973",
                    text.as_str(),
                    "Duplicate values are required: please try again later",
                ),
                ("BL01001973", "Could not create Customer record!", ""),
                (
                    "XL03000009",
                    "The entire transaction in this operation has been rolled back due to an error.",
                    "",
                ),
            ];
            assert_eq!(
                of_write("create", &errors, sent),
                ErrorKind::BadReference,
                "{text}"
            );
            let ids = ["8d0c5b0e".to_owned()];
            let gateway = [GatewayError {
                errorno: "BL01001973".into(),
                description2: text.clone(),
                ..GatewayError::default()
            }];
            assert!(!reports_executed(&gateway, &ids, sent), "{text}");
        }
    }
}

#[test]
fn refusals_of_records() {
    use ErrorKind::{BadReference, Duplicate, MissingRequired, Permission, Refused, UnknownObject};
    for (function, number, text, expected) in [
        (
            "create",
            "BL34000061",
            "Another Contact with the given value(s)   already exists",
            Duplicate,
        ),
        (
            "create",
            "PL05000104",
            "Der Datensatz ist schon vorhanden",
            Duplicate,
        ),
        (
            "create",
            "BL01001973",
            "Another Class with the given value(s) UT01  already exists",
            Duplicate,
        ),
        (
            "create",
            "BL03000018",
            "Missing required field NAME",
            MissingRequired,
        ),
        (
            "create",
            "BL01001973",
            "The Date Due field is missing a value.",
            MissingRequired,
        ),
        ("create", "BL01001973", "Customer ID is required", MissingRequired),
        (
            "create",
            "BL03002128",
            "Enter a Bill number, and try again. [Support ID: a]",
            MissingRequired,
        ),
        (
            "create",
            "BL01001973",
            "An open period is required for 01/31/2020",
            Refused,
        ),
        (
            "create",
            "BL01001973",
            "The period is closed: an open period is required",
            Refused,
        ),
        (
            "create",
            "BL01001973",
            "Invalid Project '10064' specified. [Support ID: n]",
            BadReference,
        ),
        (
            "create",
            "BL01001973",
            "Invalid Date '13/13/2024' specified",
            Refused,
        ),
        (
            "delete",
            "BL01001973",
            "Customer Type 7 cannot be deleted because it is used by Customer",
            BadReference,
        ),
        (
            "update",
            "BL01001973",
            "Cannot find customer with key '7' to update.",
            BadReference,
        ),
        (
            "create",
            "PL04000005",
            "You do not have permission for API operation CREATE_",
            Permission,
        ),
        (
            "create",
            "PL04000026",
            "Object definition X not found",
            UnknownObject,
        ),
        (
            "create",
            "BL01001973",
            "Currently, we can't create the transaction. Check it, then try again.",
            Refused,
        ),
    ] {
        assert_eq!(
            of_write(function, &[(number, text, "")], &[]),
            expected,
            "{number} {text}"
        );
    }
}

#[test]
fn a_refused_write_has_advice_of_its_own() {
    let of = |number: &str, text: &str| refusal(Level::Function, "create", errors(number, text)).0.hint();
    let permission = of("PL04000005", "You do not have permission");
    assert!(
        !permission.contains("read") && permission.contains("add, edit or delete"),
        "{permission}"
    );
    let entity = of(
        "BL01001973",
        "The transaction must be created at the entity level.",
    );
    assert!(entity.contains("location_id"), "{entity}");
}

#[test]
fn only_what_is_checked_before_precedes_execution() {
    use Level::{Authentication, Control, Function};
    for (level, number, text, expected) in [
        (Control, "GW-0010", "too many", true),
        (Control, "GW-0003", "trouble", false),
        (Control, "", "The Service is Temporarily Off-line", false),
        (
            Control,
            "DL02000001",
            "There was an error processing the request.",
            false,
        ),
        (Control, "XL03000006", "The control id was already used", false),
        (Control, "XL03000003", "Element 'x' is not expected", true),
        (Control, "GW-0011", "The company is not active.", true),
        (Authentication, "XL03000006", "Invalid session", true),
        (
            Authentication,
            "XL03000006",
            "Sign-in information is incorrect",
            true,
        ),
        (Authentication, "GW-0004", "", false),
        (Function, "XL03000003", "x", false),
    ] {
        let (error, _) = refusal(level, "create", errors(number, text));
        assert_eq!(precedes_execution(level, &error), expected, "{number} {text}");
    }
}

#[test]
fn a_control_id_that_was_used_before_is_recognised() {
    let ids = ["8d0c5b0e-1".to_owned()];
    for (text, expected) in [
        (
            "The function with control ID 'x' was already executed and completed.",
            true,
        ),
        ("Duplicate function 8d0c5b0e-1", true),
        ("This request has already been processed", true),
        (
            "Another Customer with the given value(s) 'was already executed' already exists",
            false,
        ),
        ("Cannot find term with key 'control id'", false),
    ] {
        assert_eq!(
            reports_executed(&errors("XL03000006", text), &ids, &[]),
            expected,
            "{text}"
        );
    }
    // What functions say of records.
    for text in [
        "The payment has already been processed.",
        "This bill was already completed",
        "The reconciliation has already been completed",
    ] {
        assert!(
            !reports_executed(&errors("BL03000018", text), &ids, &[]),
            "{text}"
        );
    }
    assert!(reports_executed(
        &errors("BL03000018", "Function 7 was already executed and completed."),
        &ids,
        &[]
    ));
}

#[test]
fn the_gateway_itself_may_refuse_the_user() {
    use Level::{Authentication, Control};
    for level in [Control, Authentication] {
        for (number, text) in [
            (
                "XMLGW_JPP0002",
                "Sign-in information is incorrect. Please check your request.",
            ),
            ("xmlgw_jpp0002", ""),
            ("XL03000006", "Sign-in information is incorrect"),
            ("", "Sign-in information is incorrect for the sender's request"),
        ] {
            let expected = (ErrorKind::SignInRefused, Retry::Never);
            assert_eq!(kind(level, number, text), expected, "{level:?} {number} {text}");
        }
    }
}

#[test]
fn only_the_levels_above_speak_of_the_company() {
    use Level::{Authentication, Control, Function};
    let unavailable = (ErrorKind::CompanyUnavailable, Retry::Never);
    let refused = (ErrorKind::Refused, Retry::Never);
    for text in [
        "Company is inactive",
        "The company acme is not active",
        "The company 'acme corp' has been suspended.",
        "Your company has expired. Ask for a new one.",
        "inactive company",
    ] {
        assert_eq!(kind(Control, "", text), unavailable, "{text}");
        assert_eq!(kind(Authentication, "XL03000006", text), unavailable, "{text}");
        assert_eq!(kind(Function, "BL1", text), refused, "{text}");
    }
    for text in [
        "multi-currency is disabled for this company",
        "The user is inactive in company acme",
        "company preference CONSOLIDATION is disabled",
    ] {
        assert_ne!(kind(Authentication, "XL03000006", text), unavailable, "{text}");
        assert_eq!(kind(Function, "", text), refused, "{text}");
    }
    assert_eq!(kind(Function, "PL04000055", "expired"), refused);
}

#[test]
fn data_inside_of_a_text_decides_nothing() {
    for text in [
        "Cannot compare NAME with 'Please try again later'",
        "The value Invalid session of MEMO is too long",
        "The value \"API rate limit exceeded\" is not valid",
        "MEMO 'Web Services Authorization' is not valid",
        "No rows match 'these fields cannot be queried'",
        "Template 'Object definition CUSTOMER not found' is too long",
        "Value 'no permission' of NOTE is not valid",
    ] {
        let expected = (ErrorKind::Refused, Retry::Never);
        assert_eq!(kind(Level::Function, "BL03000018", text), expected, "{text}");
    }
}

#[test]
fn every_text_is_shown() {
    let mut all = errors("A1", "first\ntext");
    all.extend(errors("B2", "second"));
    let (error, _) = refusal(Level::Function, "query", all);
    assert_eq!(error.to_string(), "the gateway refused the function: first text");
    let error = error.at("acme", Some("APBILL"), "query", "c-1");
    assert_eq!(
        error.detail(),
        "Company: acme\nObject: APBILL\nFunction: query\nControl id: c-1\nGateway error A1: first\ntext\n\
         Gateway error B2: second"
    );
}

#[test]
fn of_very_many_errors_the_first_are_shown() {
    for (number, more) in [(100, None), (101, Some(1)), (50_000, Some(49_900))] {
        let all = (0..number)
            .flat_map(|number| errors(&format!("E{number}"), "x"))
            .collect();
        let detail = refusal(Level::Function, "query", all).0.detail();
        let further = more.map(|more| format!("\nFurther errors of the gateway: {more}"));
        assert!(detail.contains("Gateway error E99: x"), "{number}");
        assert!(!detail.contains("E100:"), "{number}");
        assert!(
            detail.ends_with(&further.unwrap_or_else(|| "E99: x".into())),
            "{number}"
        );
    }
}
