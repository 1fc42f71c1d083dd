//! What an experiment states: its question, what might happen, and what the book says.

use crate::lab::Lab;
use crate::verdict::Result;

/// What a program does when it has started itself in a role. Gives the exit status.
pub type Role = fn(&mut Lab) -> Result<i32>;

/// A question to the kernel, what might happen, and what the book says happens.
#[derive(Debug, Clone, Copy)]
pub struct Question {
    /// One sentence that ends in a question mark, and that can be understood on its own. The tool's list, the justfile
    /// and the page show the same sentence.
    pub question: &'static str,
    /// Who does what before the kernel is asked: the sentences between the question and the choices. The last one says
    /// exactly what the choices answer.
    pub setup: &'static str,
    /// What might happen. The first is shown as `a`.
    pub choices: &'static [Choice],
    /// The choice that the book names, counted from 0.
    pub book: usize,
    /// What the outcome means, in a sentence or two.
    pub shows: &'static str,
    /// The name of the first lane; `program` by default.
    pub lane: &'static str,
    /// The roles that this program can be started in, by name: see [`Lab::exec`] and [`Lab::program`]. None by
    /// default.
    pub roles: &'static [(&'static str, Role)],
}

/// One thing that might happen.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// What would happen, as a full sentence.
    pub text: &'static str,
    /// Why it does not happen, in one sentence: the answer to a reader who predicted it. Empty for the choice that the
    /// book names, and where no sentence is written yet.
    pub because: &'static str,
}

impl Question {
    /// What most experiments leave as it is: a first lane called `program`, and no roles.
    pub const EMPTY: Self =
        Self { question: "", setup: "", choices: &[], book: 0, shows: "", lane: "program", roles: &[] };

    /// The sentences of the choices, in their order.
    pub(crate) fn texts(&self) -> impl Iterator<Item = &'static str> {
        self.choices.iter().map(|choice| choice.text)
    }
}

impl Choice {
    /// A choice, with no answer to a reader who predicts it.
    pub const fn new(text: &'static str) -> Self {
        Self { text, because: "" }
    }

    /// The same choice, and why it is wrong.
    pub const fn because(self, because: &'static str) -> Self {
        Self { because, ..self }
    }
}
