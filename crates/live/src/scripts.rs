//! The hashes of a page's inline scripts, without which a browser does not run them: see CSP Level 3, 6.7.2.
//!
//! mdBook writes some lines of script into each page. Permitting inline scripts in general would also permit those that an
//! attacker gets into a page, so the policy names the hash of each script that mdBook wrote.

use sha2::{Digest, Sha256};

/// The sources of the inline scripts of a page, as a policy names them, each once: `'sha256-…='`.
pub fn hashes(html: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for script in inline(html) {
        let hash = format!("'sha256-{}'", base64(&Sha256::digest(script)));
        if !found.contains(&hash) {
            found.push(hash);
        }
    }
    found
}

/// The text of each `script` element without `src`. mdBook writes its tags in lower case.
fn inline(html: &str) -> impl Iterator<Item = &str> {
    html.split("<script").skip(1).filter_map(|rest| {
        let (attributes, rest) = rest.split_once('>')?;
        let is_tag = attributes.is_empty() || attributes.starts_with([' ', '\n', '\t']);
        let text = rest.split_once("</script>")?.0;
        (is_tag && !attributes.contains("src=") && !text.is_empty()).then_some(text)
    })
}

/// RFC 4648, 4.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let group = part.iter().fold(0, |all, byte| all << 8 | u32::from(*byte)) << (8 * (3 - part.len()));
        for place in 0..4 {
            let digit = DIGITS[(group >> (18 - 6 * place)) as usize & 63];
            text.push(if place <= part.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_rfc() {
        let known = [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ];
        for (text, encoded) in known {
            assert_eq!(base64(text.as_bytes()), encoded);
        }
    }

    #[test]
    fn each_inline_script_is_named_once_by_its_exact_text() {
        // The hash that browsers document: echo -n "alert('Hello, world.');" | openssl sha256 -binary | openssl base64
        let html = "<script>alert('Hello, world.');</script><p>x</p><script src=\"a.js\"></script>\
                    <script type=\"module\">alert('Hello, world.');</script><scripture>no</scripture>";
        assert_eq!(hashes(html), ["'sha256-qznLcsROx4GACP2dm0UCKCzCG+HiZ1guq6ZZDob/Tng='"]);
        assert_eq!(hashes("<script>\nlet a;\n</script>").len(), 1);
        assert_ne!(hashes("<script>a</script>"), hashes("<script>a </script>"), "a space counts");
    }
}
