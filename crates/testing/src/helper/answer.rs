//! What a helper printed: a line for each thing, whose first word says what it is about.

/// All that it printed.
#[derive(Debug, Clone)]
pub struct Answer(pub String);

impl Answer {
    /// The rest of each line that starts with this word.
    pub fn lines<'a, 'w>(&'a self, word: &'w str) -> impl Iterator<Item = &'a str> + use<'a, 'w> {
        self.0.lines().filter_map(move |line| line.strip_prefix(word)?.strip_prefix(' '))
    }

    /// The rest of the one line that starts with this word.
    ///
    /// # Panics
    /// If there is none, or more than one: two processes may have returned from code that forks.
    #[track_caller]
    pub fn line(&self, word: &str) -> &str {
        let mut lines = self.lines(word);
        match (lines.next(), lines.next()) {
            (Some(line), None) => line,
            (None, _) => panic!("the helper printed no line that starts with `{word}`:\n{}", self.0),
            (Some(_), Some(_)) => {
                panic!("the helper printed more than one line that starts with `{word}`:\n{}", self.0)
            }
        }
    }
}
