//! Reads a query from a gateway and prints the rows, tab by tab.
//!
//! ```text
//! INTACCT_COMPANY=acme INTACCT_USER=… INTACCT_PASSWORD=… INTACCT_SENDER=… INTACCT_SENDER_PASSWORD=… \
//!   cargo run -p intacct --example read -- "select RECORDNO, NAME from CUSTOMER order_by RECORDNO"
//! ```
//! `INTACCT_URL` and `INTACCT_CA_FILE` name another gateway and its authority; `INTACCT_READ_BY_QUERY` set to anything
//! reads with `readByQuery`.

use intacct::{Client, Config, DialectKind, Error, ErrorKind, Page, Paging, Query, ReadPlan};

fn setting(name: &str) -> Result<String, Error> {
    std::env::var(name).map_err(|_| Error::new(ErrorKind::Internal, format!("set {name} in the environment")))
}

fn config() -> Result<Config, Error> {
    let mut config = Config::new(
        setting("INTACCT_COMPANY")?,
        setting("INTACCT_USER")?,
        setting("INTACCT_PASSWORD")?,
        setting("INTACCT_SENDER")?,
        setting("INTACCT_SENDER_PASSWORD")?,
    );
    if let Ok(url) = setting("INTACCT_URL") {
        config.url = url;
    }
    if let Ok(path) = setting("INTACCT_CA_FILE") {
        let unread = |error| Error::new(ErrorKind::Internal, format!("{path} cannot be read: {error}"));
        config.ca_pem = Some(std::fs::read(&path).map_err(unread)?);
    }
    Ok(config)
}

fn print(page: &Page) {
    for row in 0..page.rows() {
        let cell = |column| String::from_utf8_lossy(page.cell(row, column).unwrap_or_default()).into_owned();
        println!("{}", (0..page.columns()).map(cell).collect::<Vec<_>>().join("\t"));
    }
}

async fn run(text: &str) -> Result<(), Error> {
    let client = Client::new(config()?)?;
    let mut query: Query = text.parse()?;
    if query.select.is_empty() {
        let object = client.lookup(&query.object, query.docparid.as_deref()).await?;
        query.select = object
            .fields
            .into_iter()
            .map(|field| intacct::SelectItem::Field(field.id))
            .collect();
    }
    let keys = query.order_by.clone();
    let paging = if keys.is_empty() {
        Paging::Offset
    } else {
        Paging::Keyset {
            keys,
            any_order: false,
        }
    };
    let plan = ReadPlan {
        assumed: Vec::new(),
        query,
        kind: if setting("INTACCT_READ_BY_QUERY").is_ok() {
            DialectKind::ReadByQuery
        } else {
            DialectKind::Query
        },
        page_size: 2000,
        first_page: 2000,
        grows: true,
        paging,
        need_formatting: true,
        ahead: 2,
    };
    let summary = intacct::read(&client, &plan, async |page: Page| {
        print(&page);
        true
    })
    .await?;
    eprintln!("{summary:?} {:?} {:?}", client.stats(), client.session_info());
    Ok(())
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let text = std::env::args().nth(1).unwrap_or_default();
    if let Err(error) = runtime.block_on(run(&text)) {
        eprintln!("{error}\n{}\n{}", error.detail(), error.hint());
        std::process::exit(1);
    }
}
