//! Failures of the gateway, at the level at which they are reported (facts 2 to 6).

/// One `error` element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Error number, or free text where the gateway uses that.
    pub number: String,
    /// `description`.
    pub description: String,
    /// `description2`: the text for people.
    pub text: String,
    /// `correction`.
    pub correction: String,
    /// Stable machine code, shown with `showadditionalerrorinfo`.
    pub message_id: &'static str,
}

impl Fault {
    /// A fault with a number and a text.
    pub fn new(number: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            number: number.into(),
            description: String::new(),
            text: text.into(),
            correction: String::new(),
            message_id: "IA.GENERAL_ERROR",
        }
    }

    /// With a correction.
    pub fn correct(mut self, correction: impl Into<String>) -> Self {
        self.correction = correction.into();
        self
    }

    /// With a machine code.
    pub fn id(mut self, message_id: &'static str) -> Self {
        self.message_id = message_id;
        self
    }

    /// The object does not exist.
    pub fn unknown_object(name: &str) -> Self {
        Self::new("Query Failed", format!("Object definition {name} not found")).id("IA.OBJECT_NOT_FOUND")
    }

    /// The user may not read the object, or the company has not subscribed to it.
    pub fn permission(object: &str) -> Self {
        Self::new(
            "PL04000005",
            format!(
                "You do not have permission for API operation READ_ on objects of type {}",
                object.to_lowercase()
            ),
        )
        .id("IA.NO_PERMISSION")
    }

    /// The generic database error.
    pub fn database() -> Self {
        Self::new("DL02000001", "There was an error processing the request.").id("IA.DATABASE_ERROR")
    }

    /// Fields that cannot be queried.
    pub fn fields(object: &str, fields: &[String]) -> Self {
        Self::new(
            "XL03000006",
            format!(
                "The following fields cannot be queried: [ {}: [{}] ]",
                object.to_lowercase(),
                fields.join(", ")
            ),
        )
        .id("IA.FIELDS_CANNOT_BE_QUERIED")
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(_: rusqlite::Error) -> Self {
        Self::database()
    }
}
