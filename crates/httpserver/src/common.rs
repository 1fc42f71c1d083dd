//! Header fields that each response of a server has, whoever makes it: the application, or the server itself, with a 400.

use crate::response::{InvalidHeader, Response};

/// These fields. Mostly there are none.
#[derive(Debug, Default)]
pub(crate) struct Common(Vec<(String, String)>);

impl Common {
    /// # Errors
    /// Those of [`Response::header`].
    pub(crate) fn new(fields: &[(&str, &str)]) -> Result<Self, InvalidHeader> {
        for (name, value) in fields {
            Response::new(200).header(name, value)?;
        }
        Ok(Self(fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()))
    }

    /// Give a response those that it lacks. One that sets a field itself keeps its own value.
    pub(crate) fn add_to(&self, response: &mut Response) {
        for (name, value) in &self.0 {
            if !response.has(name) {
                response.push(name, value);
            }
        }
    }
}
