//! SQL files whose output is compared with the expected output.
//!
//! With `SAGE_GOLDEN=rewrite` (`make golden`) the expected files are written instead.

use std::fs;
use std::path::{Path, PathBuf};

use sage_intacct_fdw_tests::cluster;
use sage_intacct_fdw_tests::company::Company;
use sage_intacct_fdw_tests::plans;
use sage_intacct_fdw_tests::psql::{self, Mask};

/// Makes a test of each file in `tests/sql`.
macro_rules! golden {
    ($($name:ident),+ $(,)?) => {
        $(
            #[test]
            fn $name() {
                compare(stringify!($name));
            }
        )+

        #[test]
        fn every_file_is_a_test() {
            let mut files: Vec<_> = fs::read_dir(folder("sql"))
                .expect("the folder exists")
                .map(|entry| entry.expect("readable").path())
                .map(|path| path.file_stem().expect("a name").to_string_lossy().into_owned())
                .collect();
            files.sort();
            let mut tests = vec![$(stringify!($name)),+];
            tests.sort_unstable();
            assert_eq!(files, tests);
        }
    };
}

golden!(
    aggregates,
    check,
    combined,
    consolidation,
    discovery,
    errors,
    explain,
    extension,
    import,
    joins,
    mirrors,
    options,
    planner,
    prepared,
    quals,
    query,
    rescan,
    rows,
    scan,
    versions,
    views,
    writes,
    writes_checks,
    writes_errors,
    writes_lines,
    writes_on_commit
);

/// A folder of the tests.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn compare(name: &str) {
    let company = Company::start(name);
    let output = psql::run_file(
        company.database.name(),
        &folder("sql").join(format!("{name}.sql")),
        &[("gateway", &company.gateway.url())],
    );
    let output = Mask::new()
        .text(&company.gateway.url(), "GATEWAY")
        .text(company.database.name(), "DATABASE")
        .text(&cluster::server_directory().to_string_lossy(), "DIRECTORY")
        .apply(&output);
    let expected = folder("expected").join(format!("{name}.out"));
    check_file(&expected, name, &plans::alike(&output));
}

#[test]
fn plans_of_every_version_read_alike() {
    const OLD: &str = "
EXPLAIN (COSTS OFF) SELECT lag(a) OVER (ORDER BY a) FROM t WHERE a > (SELECT max(b) FROM u);
                  QUERY PLAN                  
----------------------------------------------
 WindowAgg
   ->  Foreign Scan on t
         Filter: (a > $1)
         Intacct Query: select A where A > $1
         Intacct Parameters: $1 = $1, $2 = $0
         InitPlan 2 (returns $1)
           ->  Result
                 InitPlan 1 (returns $0)
(8 rows)

SELECT 'Disabled: true' AS t;
";
    const NEW: &str = "
EXPLAIN (COSTS OFF) SELECT lag(a) OVER (ORDER BY a) FROM t WHERE a > (SELECT max(b) FROM u);
                                    QUERY PLAN                                    
----------------------------------------------------------------------------------
 WindowAgg
   Window: w1 AS (ORDER BY a)
   ->  Foreign Scan on t
         Disabled: true
         Filter: (a > (InitPlan 2).col1)
         Intacct Query: select A where A > $1
         Intacct Parameters: $1 = (InitPlan 2).col1, $2 = (InitPlan 1).col1
         InitPlan 2
           ->  Result
                 InitPlan 1
(10 rows)

SELECT 'Disabled: true' AS t;
";
    let [old, new] = [OLD, NEW].map(plans::alike);
    assert_eq!(old, new);
    assert!(old.contains("Filter: (a > (InitPlan 2).col1)") && old.contains("(8 rows)"));
    assert!(old.contains("Intacct Query: select A where A > $1\n"));
    assert!(old.contains("SELECT 'Disabled: true'"));
}

#[test]
fn plans_in_one_cell_read_alike() {
    const OLD: &str = "           QUERY PLAN            \n---------------------------------\n\
         - Plan:                        +\n     Node Type: \"Foreign Scan\"  +\n     Filter: \"(recordno = 1)\"\n(1 row)\n";
    const NEW: &str = "           QUERY PLAN            \n---------------------------------\n\
         - Plan:                        +\n     Node Type: \"Foreign Scan\"  +\n     Disabled: false            +\n\
         \u{20}    Filter: \"(recordno = 1)\"\n(1 row)\n";
    assert_eq!(plans::alike(NEW), plans::alike(OLD));
}

/// Compares `output` with an expected file, or writes it.
pub fn check_file(file: &Path, name: &str, output: &str) {
    if std::env::var("SAGE_GOLDEN").as_deref() == Ok("rewrite") {
        fs::write(file, output).expect("the expected file can be written");
        return;
    }
    let expected = fs::read_to_string(file).unwrap_or_default();
    if let (true, Ok(folder)) = (output != expected, std::env::var("SAGE_GOT")) {
        // For a machine where the expected files cannot be written, such as a matrix root.
        fs::create_dir_all(&folder).expect("the folder can be made");
        fs::write(Path::new(&folder).join(format!("{name}.out")), output).expect("the output can be written");
    }
    assert!(
        output == expected,
        "{} differs (- expected, + got):\n{}",
        file.display(),
        difference(&expected, output)
    );
}

/// The lines that differ, with three lines around them.
fn difference(expected: &str, got: &str) -> String {
    similar::TextDiff::from_lines(expected, got)
        .unified_diff()
        .context_radius(3)
        .to_string()
}
