use super::*;
use crate::share::Sealed;
use std::sync::Mutex;

#[derive(Default)]
struct Shelf {
    place: String,
    kept: Mutex<Option<Sealed>>,
    beside: Mutex<Option<(u64, Vec<u8>)>>,
}

impl SessionShare for Shelf {
    fn place(&self) -> String {
        self.place.clone()
    }

    fn load(&self) -> Option<Sealed> {
        self.kept.lock().expect("no panic").clone()
    }

    fn claim(&self) -> bool {
        true
    }

    fn release(&self) {}

    fn leave(&self, sealed: &[u8], life: Duration) -> Option<u64> {
        *self.kept.lock().expect("no panic") = Some(Sealed {
            number: 7,
            bytes: sealed.to_vec(),
            life,
        });
        Some(7)
    }

    fn used(&self, _number: u64, _life: Duration) {}
    fn forget(&self, _number: u64) {}

    fn leave_beside(&self, number: u64, sealed: &[u8], _life: Duration) {
        *self.beside.lock().expect("no panic") = Some((number, sealed.to_vec()));
    }

    fn beside(&self, number: u64) -> Option<Vec<u8>> {
        let beside = self.beside.lock().expect("no panic").clone();
        beside.filter(|(of, _)| *of == number).map(|(_, sealed)| sealed)
    }
}

fn config() -> Config {
    let mut config = Config::new("acme", "user", "secret", "sender", "senderpw");
    config.location_id = Some("E1".into());
    config
}

fn session() -> Session {
    let url = Url::parse("https://api.intacct.com/ia/xml/xmlgw.phtml").expect("a URL");
    Session::new(
        Secret::new("TheSessionOfAcme"),
        url,
        Some("acme".into()),
        Some("E1".into()),
    )
}

#[test]
fn a_session_is_opened_with_the_same_credentials_only() {
    let shelf = Shelf {
        place: "5/17".into(),
        ..Shelf::default()
    };
    assert_eq!(leave(&shelf, &config(), &session(), Some(-3)), Some(7));
    let (taken, clock) = take(&shelf, &config()).expect("opened");
    assert_eq!(
        (taken.id.expose(), taken.number(), clock),
        ("TheSessionOfAcme", Some(7), Some(-3))
    );
    assert_eq!(
        (taken.company.as_deref(), taken.entity.as_deref()),
        (Some("acme"), Some("E1"))
    );
    let sealed = shelf.load().expect("kept").bytes;
    let shown = String::from_utf8_lossy(&sealed).into_owned();
    assert!(
        !shown.contains("TheSession") && !shown.contains("intacct"),
        "{shown}"
    );

    let changes: [fn(&mut Config); 11] = [
        |config| config.url = "https://api.intacct.com/other".into(),
        |config| config.company_id = "acme2".into(),
        |config| config.user_id = "user2".into(),
        |config| config.password = "secret2".into(),
        |config| config.sender_id = "sender2".into(),
        |config| config.sender_password = "senderpw2".into(),
        |config| config.location_id = None,
        |config| config.location_id = Some("E2".into()),
        |config| config.client_id = Some(String::new()),
        |config| config.ca_pem = Some(Vec::new()),
        |config| config.proxy = crate::Proxy::new("http://localhost:3128").ok(),
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut other = config();
        change(&mut other);
        assert!(take(&shelf, &other).is_none(), "change {number}");
    }
    // Parts that run together are not the same.
    let mut shifted = config();
    shifted.company_id = "acm".into();
    shifted.user_id = "euser".into();
    assert!(take(&shelf, &shifted).is_none());

    let elsewhere = Shelf {
        place: "5/18".into(),
        kept: Mutex::new(shelf.load()),
        ..Shelf::default()
    };
    assert!(take(&elsewhere, &config()).is_none(), "another mapping");
    for at in 0..sealed.len() {
        let mut torn = shelf.load().expect("kept");
        torn.bytes[at] ^= 1;
        *elsewhere.kept.lock().expect("no panic") = Some(torn);
        let torn = Shelf {
            place: "5/17".into(),
            kept: Mutex::new(elsewhere.load()),
            ..Shelf::default()
        };
        assert!(take(&torn, &config()).is_none(), "{at}");
    }
}

#[test]
fn no_two_seals_are_alike() {
    let shelf = Shelf::default();
    leave(&shelf, &config(), &session(), None);
    let first = shelf.load().expect("kept").bytes;
    leave(&shelf, &config(), &session(), None);
    assert_ne!(shelf.load().expect("kept").bytes, first);
}

#[test]
fn preferences_are_those_of_one_session_and_of_the_same_credentials() {
    let shelf = Shelf::default();
    let formatting = UserFormatting {
        locale: "en_US.UTF-8".into(),
        date_format: "/mdY".into(),
        gmt_offset_seconds: -28_800,
        clock: 24,
    };
    assert_eq!(take_formatting(&shelf, &config(), 7), None);
    leave_formatting(&shelf, &config(), 7, &formatting);
    assert_eq!(take_formatting(&shelf, &config(), 7), Some(formatting));
    assert_eq!(take_formatting(&shelf, &config(), 8), None);
    let mut other = config();
    other.url = "https://api.intacct.com/other".into();
    assert_eq!(take_formatting(&shelf, &other, 7), None);
    // Neither those of a session that was left before, nor a session.
    let (_, sealed) = shelf.beside.lock().expect("no panic").take().expect("left");
    shelf.leave_beside(8, &sealed, Duration::ZERO);
    assert_eq!(take_formatting(&shelf, &config(), 8), None);
    leave(&shelf, &config(), &session(), None);
    shelf.leave_beside(7, &shelf.load().expect("kept").bytes, Duration::ZERO);
    assert_eq!(take_formatting(&shelf, &config(), 7), None);
}
