//! What an experiment's report says.

/// Its last paragraph, as one line: of an experiment that cannot ask or disagrees, the reason.
pub fn last_paragraph(report: &str) -> String {
    let last = report.trim_end().rsplit("\n\n").next().unwrap_or_default();
    last.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Where a report first differs from the book's: the book's line and the report's. None past the end of one of them, and both
/// None if the lines are the same.
pub fn difference<'a>(book: &'a str, report: &'a str) -> (Option<&'a str>, Option<&'a str>) {
    let (mut book, mut report) = (book.lines(), report.lines());
    loop {
        match (book.next(), report.next()) {
            (None, None) => return (None, None),
            (book, report) if book == report => {}
            different => return different,
        }
    }
}
