//! Which names and operators of a piece of SQL are looked up by the `search_path`.

use regex::Regex;
use std::sync::LazyLock;

/// Syntax that may stand before a parenthesis, or where a relation is expected, and is looked up by nobody.
const SYNTAX: &str = " all and any array as begin by case coalesce columns conflict current_user
    distinct do else elsif end except exception exists filter for from greatest group having if immediate intersect into
    is join key lateral least limit loop materialized not null off offset on only operator options or order over partition perform
    primary raise recursive references return returning returns row rows select set some table then
    union unique using values when where while window with within ";

/// Types that the grammar itself takes for those of pg_catalog.
const KEYWORD_TYPES: &str =
    " bigint bit boolean char character dec decimal double float int integer interval national nchar
    numeric real smallint time timestamp varchar ";

/// What has an operator inside that cannot be qualified.
const HIDDEN_OPERATORS: &str = " between ilike like natural nullif overlaps similar cast ";

fn is_one_of(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|one| one == word)
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// A name or keyword, in lower case unless quoted.
    Word,
    Number,
    Text,
    /// A text between dollars: the body of a function.
    Body,
    Operator,
    /// Anything else, and what `format!` will put in.
    Sign,
}

#[derive(Debug, Clone)]
struct Token {
    kind: Kind,
    text: String,
    line: usize,
}

impl Token {
    fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Sign | Kind::Operator) && self.text == text
    }
}

fn tokens(sql: &str) -> Vec<Token> {
    static PATTERN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r#"(?xs) (?<comment> --[^\n]* | /\*.*?\*/ )
            | (?<body> \$[a-z]*\$ ) | (?<text> [eE]?'(?:[^']|'')*' ) | (?<quoted> "(?:[^"]|"")*" )
            | (?<hole> \{[^}]*\} ) | (?<word> [A-Za-z_][A-Za-z0-9_]* ) | (?<number> [0-9][0-9.]* )
            | (?<sign> :: | := | => | \$[0-9]+ | [().,;:\[\]] ) | (?<operator> [-+*/<>=~!@\#%^&|`?]+ ) "#,
        )
        .expect("a pattern")
    });
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(captures) = PATTERN.captures_at(sql, at) {
        let whole = captures.get(0).expect("a match");
        at = whole.end();
        let line = sql[..whole.start()].matches('\n').count() + 1;
        let mut push = |kind, text: &str| {
            found.push(Token {
                kind,
                text: text.to_owned(),
                line,
            });
        };
        let text = whole.as_str();
        if captures.name("body").is_some() {
            let end = sql[at..].find(text).map_or(sql.len(), |end| at + end);
            push(Kind::Body, &sql[at..end]);
            at = (end + text.len()).min(sql.len());
        } else if captures.name("text").is_some() {
            push(Kind::Text, text);
        } else if captures.name("quoted").is_some() {
            push(Kind::Word, text);
        } else if captures.name("word").is_some() {
            push(Kind::Word, &text.to_lowercase());
        } else if captures.name("number").is_some() {
            push(Kind::Number, text);
        } else if captures.name("operator").is_some() {
            push(Kind::Operator, text);
        } else if captures.name("comment").is_none() {
            push(Kind::Sign, text);
        }
    }
    found
}

/// Whether a text is, or begins, a statement of SQL.
pub fn is_statement(text: &str) -> bool {
    const VERBS: &str = " ALTER ANALYZE CALL COMMENT COPY CREATE DELETE DO DROP EXPLAIN FROM GRANT IMPORT INSERT JOIN LOCK SELECT
        SET TRUNCATE UPDATE VALUES WHERE WITH ";
    let mut words = text.split_whitespace();
    words.next().is_some_and(|verb| is_one_of(VERBS, verb)) && words.next().is_some()
}

/// What was found in a script.
pub struct Script {
    /// Bodies of functions that were seen.
    pub bodies: usize,
    /// Lines and what is wrong there.
    pub findings: Vec<String>,
}

/// Checks the bodies of functions in a script that runs when the extension is installed.
pub fn check_script(script: &str) -> Script {
    let tokens = tokens(script);
    let mut result = Script {
        bodies: 0,
        findings: Vec::new(),
    };
    for statement in tokens.split(|token| token.is(";")) {
        let Some(body) = statement.iter().find(|token| token.kind == Kind::Body) else {
            continue;
        };
        result.bodies += 1;
        let words: Vec<&str> = statement.iter().map(|token| token.text.as_str()).collect();
        let path = words.windows(2).position(|pair| pair == ["set", "search_path"]);
        match path {
            Some(path) if words[path + 2..].starts_with(&["=", "pg_catalog", ",", "pg_temp"]) => {}
            Some(_) => result.findings.push(format!(
                "{}: a search_path that is not pg_catalog, pg_temp",
                body.line
            )),
            None => {
                let inside = check(&body.text, body.line - 1);
                result.findings.extend(inside);
            }
        }
    }
    result
}

/// Checks a statement that runs with the caller's `search_path`.
pub fn check_statement(statement: &str) -> Vec<String> {
    check(statement, 0)
}

fn check(text: &str, lines_before: usize) -> Vec<String> {
    let tokens = tokens(text);
    let mut findings = Vec::new();
    let nothing = Token {
        kind: Kind::Sign,
        text: String::new(),
        line: 0,
    };
    let at = |index: usize| tokens.get(index).unwrap_or(&nothing);
    let before = |index: usize, back: usize| index.checked_sub(back).map_or(&nothing, at);
    let local = common_table_names(&tokens);
    // Inside the list of an UPDATE's SET, `=` assigns.
    let mut assigns = false;
    let mut declares = false;
    for (index, token) in tokens.iter().enumerate() {
        let (last, next) = (before(index, 1), at(index + 1));
        let mut report = |what: &str| {
            findings.push(format!("{}: {what} {}", lines_before + token.line, token.text));
        };
        match token.kind {
            Kind::Operator => {
                let qualified = before(index, 4).is("operator")
                    && before(index, 2).is("pg_catalog")
                    && last.is(".")
                    && next.is(")");
                let everything = token.text == "*"
                    && (last.is("select")
                        || last.is("(")
                        || last.is(",")
                        || last.is(".")
                        || last.is("returning"));
                let negative = token.text == "-" && next.kind == Kind::Number && !is_operand(last);
                let assigned = token.text == "=" && assigns;
                if !(qualified || everything || negative || assigned) {
                    report("operator");
                }
            }
            Kind::Sign if token.text == "::" => check_type(&tokens[index + 1..], &mut report),
            Kind::Word => {
                match token.text.as_str() {
                    "set" => assigns = true,
                    "from" | "where" | "returning" | "loop" => assigns = false,
                    "declare" => declares = true,
                    "begin" => declares = false,
                    _ => {}
                }
                if last.is(".") {
                    continue;
                }
                if next.is("(")
                    && !is_one_of(SYNTAX, &token.text)
                    && !is_list_of_columns(last)
                    && !local.contains(&token.text)
                {
                    if token.text != "in" || !before(index, 2).is("for") {
                        report("function or construct");
                    }
                } else if is_one_of(HIDDEN_OPERATORS, &token.text)
                    || (token.is("in") && !before(index, 2).is("for") && !before(index, 2).is("foreach"))
                    || (token.is("distinct") && next.is("from"))
                    || (token.is("using") && next.is("("))
                    || (token.is("case") && !next.is("when") && !last.is("end"))
                {
                    report("the operator inside");
                } else if is_relation(&tokens, index)
                    && !next.is(".")
                    && (!next.is("(") || last.is("into"))
                    && !local.contains(&token.text)
                {
                    report("relation");
                } else if declares && (last.is(";") || last.is("declare")) {
                    let constant = usize::from(next.is("constant"));
                    check_type(&tokens[index + 1 + constant..], &mut report);
                }
            }
            Kind::Sign if token.text == ";" => assigns = false,
            _ => {}
        }
    }
    findings
}

/// Names that WITH gives.
fn common_table_names(tokens: &[Token]) -> Vec<String> {
    let triples = tokens.windows(3);
    let named = triples.filter(|three| three[1].is("as") && three[2].is("(") && three[0].kind == Kind::Word);
    named.map(|three| three[0].text.clone()).collect()
}

/// Whether a minus behind this token subtracts.
fn is_operand(token: &Token) -> bool {
    match token.kind {
        Kind::Word => !is_one_of(SYNTAX, &token.text),
        Kind::Number | Kind::Text | Kind::Body => true,
        Kind::Sign => token.is(")") || token.is("]") || token.text.starts_with(['{', '$']),
        Kind::Operator => false,
    }
}

/// Whether what stands behind this token is a name with a list of columns.
fn is_list_of_columns(last: &Token) -> bool {
    last.is("into") || last.is("as")
}

/// Whether the word at this place stands where a relation does.
fn is_relation(tokens: &[Token], index: usize) -> bool {
    if is_one_of(SYNTAX, &tokens[index].text) {
        return false;
    }
    let before = |back: usize| index.checked_sub(back).map(|index| &tokens[index]);
    let is = |back, text| before(back).is_some_and(|token| token.is(text));
    let in_list = is(1, ",") && {
        // Behind FROM and a comma: the nearest clause tells.
        let clause = tokens[..index].iter().rev().find(|token| {
            [
                "from",
                "select",
                "where",
                "(",
                ")",
                "set",
                "values",
                "by",
                "returning",
                "declare",
                ";",
                "on",
            ]
            .iter()
            .any(|clause| token.is(clause))
        });
        clause.is_some_and(|clause| clause.is("from"))
    };
    in_list
        || (is(1, "from") && !is(2, "distinct"))
        || is(1, "join")
        || (is(1, "into") && is(2, "insert"))
        || (is(1, "update") && !is(2, "for"))
}

/// A type must be a keyword, or say its schema.
fn check_type(tokens: &[Token], report: &mut impl FnMut(&str)) {
    let safe = match tokens {
        [name, ..] if name.kind != Kind::Word => true,
        [name, ..] if is_one_of(KEYWORD_TYPES, &name.text) => true,
        [_, dot, ..] => dot.is("."),
        _ => false,
    };
    if !safe {
        report("type behind");
    }
}
