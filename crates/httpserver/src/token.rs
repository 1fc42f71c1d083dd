//! The token: a secret of one start of the server, without which nothing runs.
//!
//! It is printed in the fragment of the address, which a browser does not send, so it is in no log and in no Referer. A
//! restarted server has another one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};

/// 128 random bits, as 32 hexadecimal digits.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// A new token, from the kernel's random numbers: see urandom(4).
    ///
    /// # Errors
    /// The errors of open(2) and read(2).
    pub fn new() -> io::Result<Self> {
        let mut bytes = [0; 16];
        File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Is this the token? The answer takes as long for a token that is wrong in its first digit as for one that is wrong in its
    /// last.
    pub fn is(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let different = own.iter().zip(given).fold(0, |all, (a, b)| all | (a ^ b));
        given.len() == own.len() && different == 0
    }

    /// The token, for the address that is printed.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Without the secret, so that it is in no message.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_accepted() {
        let (token, other) = (Token::new().expect("random bytes"), Token::new().expect("random bytes"));
        let own = token.reveal().as_bytes();
        assert!(token.is(own));
        assert_eq!(own.len(), 32);
        let longer = [own, b"0"].concat();
        for wrong in [other.reveal().as_bytes(), b"", &own[..31], &own[1..], &longer, &[0xff; 32]] {
            assert!(!token.is(wrong), "{wrong:?}");
        }
        assert!(!format!("{token:?}").contains(token.reveal()), "a message would give the token away");
    }
}
