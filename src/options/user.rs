//! Options of a user mapping.

use super::error::OptionError;
use super::values::OptionValues;
use intacct::Secret;

/// Options of a user mapping, its files read.
#[derive(Debug, Clone)]
pub struct UserOptions {
    /// Web-services user.
    pub user_id: String,
    /// Password of the user.
    pub password: Secret,
    /// Web-services sender.
    pub sender_id: String,
    /// Password of the sender.
    pub sender_password: Secret,
    /// User and password at the server's proxy.
    pub proxy_login: Option<(String, Secret)>,
    /// Entity to sign in at; wins over the server's.
    pub location_id: Option<String>,
    /// Client company of a console; wins over the server's.
    pub client_id: Option<String>,
}

/// Reads the file that an option names: the option's name, then the path.
pub type ReadFile<'a> = &'a mut dyn FnMut(&str, &str) -> Result<Vec<u8>, OptionError>;

impl UserOptions {
    /// Reads the options, and through `read_file` the files that they name. Errors name the files if `shows_paths`.
    ///
    /// # Errors
    /// An option that is missing, or a file that cannot be read.
    pub fn read(
        values: &OptionValues,
        shows_paths: bool,
        read_file: ReadFile<'_>,
    ) -> Result<UserOptions, OptionError> {
        let mut secret = |name: &'static str, file: &'static str| -> Result<Secret, OptionError> {
            match (values.get(name), values.get(file)) {
                (Some(value), None) => Ok(Secret::new(value)),
                (None, Some(path)) => secret_line(file, shows_paths.then_some(path), read_file(file, path)?),
                (None, None) => Err(OptionError::missing_secret(name)),
                (Some(_), Some(_)) => Err(OptionError::exclusive(name, file)),
            }
        };
        let proxy_login = match values.text("proxy_user") {
            Some(user) => Some((user, secret("proxy_password", "proxy_password_file")?)),
            None if values
                .get("proxy_password")
                .or(values.get("proxy_password_file"))
                .is_some() =>
            {
                drop(values.required("proxy_user")?);
                None
            }
            None => None,
        };
        Ok(UserOptions {
            proxy_login,
            user_id: values.required("user_id")?,
            password: secret("password", "password_file")?,
            sender_id: values.required("sender_id")?,
            sender_password: secret("sender_password", "sender_password_file")?,
            location_id: values.text("location_id"),
            client_id: values.text("client_id"),
        })
    }
}

/// The first line of the file, as editors end a file with a line break that is no part of the password.
fn secret_line(option: &str, path: Option<&str>, bytes: Vec<u8>) -> Result<Secret, OptionError> {
    let text = String::from_utf8(bytes).map_err(|_| OptionError::file(option, path, "it is not UTF-8"))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(Secret::new(line)),
        _ => Err(OptionError::file(option, path, "its first line is empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::error::OptionErrorKind;
    use crate::options::spec::OptionLevel;

    fn values(pairs: &[(&str, &str)]) -> OptionValues {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        OptionValues::new(OptionLevel::UserMapping, pairs.collect())
    }

    fn no_files(_: &str, _: &str) -> Result<Vec<u8>, OptionError> {
        panic!("no file was to be read")
    }

    const REST: [(&str, &str); 3] = [("user_id", "u"), ("sender_id", "s"), ("sender_password", "sp")];

    #[test]
    fn a_password_comes_from_the_option_or_from_the_first_line_of_a_file() {
        let mut pairs = REST.to_vec();
        pairs.push(("password", "pw"));
        let read = UserOptions::read(&values(&pairs), true, &mut no_files).expect("complete");
        assert_eq!(read.password, Secret::new("pw"));

        let mut pairs = REST.to_vec();
        pairs.push(("password_file", "/run/pw"));
        let mut from_file = |option: &str, path: &str| {
            assert_eq!((option, path), ("password_file", "/run/pw"));
            Ok(b"from file\r\nrest".to_vec())
        };
        let read = UserOptions::read(&values(&pairs), true, &mut from_file).expect("complete");
        assert_eq!(read.password, Secret::new("from file"));
        for wrong in [&b"\n"[..], b"", b"\xff\xfe\n"] {
            let mut wrong = |_: &str, _: &str| Ok(wrong.to_vec());
            let error = UserOptions::read(&values(&pairs), true, &mut wrong).expect_err("no password");
            assert_eq!(error.kind, OptionErrorKind::File);
            assert!(error.message.contains("/run/pw"), "{error}");
            let error = UserOptions::read(&values(&pairs), false, &mut wrong).expect_err("no password");
            assert!(!format!("{error:?}").contains("/run"), "{error:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = UserOptions::read(&values(&REST), true, &mut no_files).expect_err("no password");
        assert_eq!(error.kind, OptionErrorKind::Missing);
        assert!(
            error.message.contains("\"password\" nor \"password_file\""),
            "{error}"
        );
        let error = UserOptions::read(&values(&REST[1..]), true, &mut no_files).expect_err("no user");
        assert!(error.message.contains("\"user_id\""), "{error}");
    }

    #[test]
    fn debug_shows_no_password() {
        let mut pairs = REST.to_vec();
        pairs.push(("password", "hunter2"));
        let read = UserOptions::read(&values(&pairs), true, &mut no_files).expect("complete");
        let shown = format!("{read:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("sp\""), "{shown}");
    }
}
