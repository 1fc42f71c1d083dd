//! A program's memory and its descriptors, and which of the two survive exec.

use std::fs::{File, read_to_string};
use std::hint::black_box;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::process::ExitCode;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};

use experiments::{Choice, Lab, Question, Result, ask};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::read;

/// The text on the heap is this word, repeated. The repeated word is not in the program's file, and a search for it
/// needs no copy of it, which the search would find.
const WORD: &[u8] = b"heap ";
const TIMES: usize = 12;

const QUESTION: Question = Question {
    question: "Which parts of a program survive exec?",
    setup: "A program opens a file without close-on-exec and reads 5 bytes of it. A variable holds the \
            descriptor's number, and a text is on the heap. Then the program calls exec. Which of these does \
            the new program have?",
    choices: &[
        Choice::new("The open file, with 5 bytes read; neither the number nor the text."),
        Choice::new("The open file, the number and the text: exec replaces only the code.").because(
            "exec replaces memory: the variable had its initial value, and the text was nowhere in memory.",
        ),
        Choice::new("Nothing: exec releases everything, as exit does.")
            .because("exec keeps the descriptor table: descriptor 3 was open in the new program."),
        Choice::new("The open file, at its beginning again; neither the number nor the text.")
            .because("The new program's read began at byte 5: exec does not touch the offset."),
    ],
    book: 0,
    shows: "exec replaces memory and keeps the descriptor table. The file stays open, but the variable with \
            its number is gone, so the new program does not know of the file: the descriptor has leaked. \
            Only the child, between fork and exec, still knows what to close.",
    roles: &[("after-exec", after_exec), ("after-close", after_close)],
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let child = lab.fork("child", |lab| {
            let file = open(lab)?;
            let length = read(&file, &mut [0; 5])?;
            let text = black_box(WORD.repeat(TIMES));
            let size = text.len();
            lab.note(format!("read {length} bytes of it; put a text of {size} bytes on the heap"));
            lab.check(in_memory()?, "before exec, a search of all writable memory finds the text");
            lab.exec("after-exec", &[], "exec: the same program again, from its beginning")?;
            Ok(1)
        })?;
        let observed = usize::try_from(child.answer(lab)?)?;
        let child = lab.fork("child", |lab| {
            drop(open(lab)?);
            lab.note(format!("close descriptor {}", NUMBER.load(Relaxed)));
            lab.exec("after-close", &[], "exec")?;
            Ok(1)
        })?;
        child.status(lab)?;
        Ok(observed)
    })
}

// ANCHOR: open
/// The variable: the number of the descriptor that was opened.
static NUMBER: AtomicI32 = AtomicI32::new(-1);

/// Opens a file that stays open across exec, and stores its number in the variable.
fn open(lab: &Lab) -> Result<File> {
    let file = lab.file(b"alphabravo")?;
    // Rust opens everything close-on-exec, so the flag has to be cleared.
    fcntl(&file, FcntlArg::F_SETFD(FdFlag::empty()))?;
    NUMBER.store(file.as_raw_fd(), Relaxed);
    lab.note(format!("open a file; the variable is {}", NUMBER.load(Relaxed)));
    Ok(file)
}
// ANCHOR_END: open

/// Gives the choice that the kernel made.
fn after_exec(lab: &mut Lab) -> Result<i32> {
    let number = NUMBER.load(Relaxed);
    lab.note(format!("the variable is {number}, its initial value"));
    let text = in_memory()?;
    lab.note(format!("search the memory for the text: {}", if text { "found" } else { "not there" }));
    lab.check(
        number == -1 && !text,
        "after exec, the variable has its initial value, and the search finds nothing",
    );
    let open = lab.descriptors()?;
    lab.note(format!("/proc/self/fd lists, apart from 0, 1 and 2: {open:?}"));
    let Some(&found) = open.first() else { return Ok(2) };
    // SAFETY: it is open, as the list says, and nothing in this program closes it.
    let found = unsafe { BorrowedFd::borrow_raw(found) };
    let mut word = [0; 5];
    let length = read(found, &mut word)?;
    lab.note(format!("read 5 bytes from {}: {:?}", open[0], String::from_utf8_lossy(&word[..length])));
    lab.check(open == [3] && length == 5, "after exec, the descriptor is open and can be read");
    Ok(match &word {
        _ if number != -1 || text => 1,
        b"bravo" => 0,
        b"alpha" => 3,
        _ => return Err("what was read is not in the file".into()),
    })
}

fn after_close(lab: &mut Lab) -> Result<i32> {
    let open = lab.descriptors()?;
    lab.note(format!("/proc/self/fd lists, apart from 0, 1 and 2: {open:?}"));
    lab.check(open.is_empty(), "if the child closes the file before exec, it is not open afterwards");
    Ok(0)
}

/// Is the text anywhere in the memory that this process can write to?
fn in_memory() -> Result<bool> {
    let memory = File::open("/proc/self/mem")?;
    for line in read_to_string("/proc/self/maps")?.lines() {
        let Some((range, access)) = line.split_once(' ') else { continue };
        if !access.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').ok_or("a range in maps has no end")?;
        let [start, end] = [u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?];
        let mut bytes = vec![0; usize::try_from(end - start)?];
        memory.read_exact_at(&mut bytes, start)?;
        let is_text = |window: &[u8]| window.chunks(WORD.len()).all(|word| word == WORD);
        if bytes.windows(WORD.len() * TIMES).any(is_text) {
            return Ok(true);
        }
    }
    Ok(false)
}
