//! What fork copies of a program's memory, and when: counted in page faults.

use std::hint::black_box;
use std::num::NonZero;
use std::process::ExitCode;

use experiments::{Choice, Lane, Question, Result, ask, vary};
use nix::errno::Errno;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::{SysconfVar, sysconf};

const LENGTH: usize = 16 << 20;

const QUESTION: Question = Question {
    question: "How many page faults does a child take to read and write the memory that it inherited?",
    setup: "A program writes to every page of 16 MiB of memory, and forks. The child reads all of this \
            memory, and then writes to every page of one half. How many page faults does the child take?",
    choices: &[
        Choice::new("None: fork gave it a copy of the memory, ready for use.").because(
            "The child's first write to each page caused a fault: the kernel copies a page only then.",
        ),
        Choice::new("One for each page, at its first read: the kernel copies a page then.")
            .because("The child's reads caused no fault: both processes read the same pages."),
        Choice::new("None to read, and one to write: the first write copies the whole memory.").because(
            "The kernel copies one page at a time: the child took a fault for each page that it wrote.",
        ),
        Choice::new(
            "None to read, and one for each page that it writes: the kernel copies a page at its first write.",
        ),
    ],
    book: 3,
    shows: "After fork, both processes have the same pages, which are read-only in both. The first write to \
            a page causes a fault, and the kernel copies that page. The parent's pages stay read-only after \
            the child has exited: the parent's first writes cause faults too, although nothing is left to \
            copy.",
    lane: "parent",
    ..Question::EMPTY
};

fn main() -> ExitCode {
    ask(QUESTION, |lab| {
        let page = usize::try_from(sysconf(SysconfVar::PAGE_SIZE)?.ok_or("no page size")?)?;
        let pages = LENGTH / page;
        let memory = map(LENGTH)?;
        let first = faults(|| write_pages(memory, page, b'p'))?;
        tell(lab, "write every page", first, pages);
        let child = lab.fork("child", |lab| {
            // First on a page that is not counted: the child has to fault in its code and stack as well.
            let mut spare = vec![0; page];
            faults(|| read_pages(&spare, page))?;
            faults(|| write_pages(&mut spare, page, b'c'))?;
            let to_read = faults(|| read_pages(memory, page))?;
            tell(lab, "read every page", to_read, pages);
            let half = &mut memory[..LENGTH / 2];
            let to_write = faults(|| write_pages(half, page, b'c'))?;
            tell(lab, "write every page of one half", to_write, pages / 2);
            let both = memory[0] == b'c' && memory[LENGTH / 2] == b'p';
            lab.check(both, "the child sees its own bytes in one half, and its parent's in the other");
            match (to_read, to_write) {
                (read, _) if near(read, pages) => Ok(1),
                (read, write) if near(read, 0) && near(write, pages / 2) => Ok(3),
                (0, 0) => Ok(0),
                (read, write) if near(read, 0) && near(write, 1) => Ok(2),
                other => Err(format!("faults to read and to write: {other:?}").into()),
            }
        })?;
        let observed = usize::try_from(child.answer(lab)?)?;
        let unchanged = memory.iter().step_by(page).all(|byte| *byte == b'p');
        lab.check(unchanged, "the parent does not see what the child wrote");
        let after = faults(|| write_pages(memory, page, b'q'))?;
        tell(lab, "write every page", after, pages);
        lab.check(
            near(after, pages),
            "after the child has exited, the parent's first write to each page still causes a fault",
        );
        let again = faults(|| write_pages(memory, page, b'r'))?;
        tell(lab, "write every page again", again, pages);
        lab.check(near(again, 0), "a second write to each page causes no fault");
        Ok(observed)
    })
}

/// Fresh memory of this process's own, in pages of the ordinary size. The end of the process unmaps it.
fn map(length: usize) -> Result<&'static mut [u8]> {
    let size = NonZero::new(length).ok_or("no length")?;
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: without MAP_FIXED the kernel picks a place where nothing else is.
    let start = unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_PRIVATE) }?;
    // With huge pages one fault would stand for 512 pages. EINVAL: a kernel that has none.
    // SAFETY: the advice is about the mapping made above, and changes the size of its pages, not its content.
    match unsafe { madvise(start, length, MmapAdvise::MADV_NOHUGEPAGE) } {
        Ok(()) | Err(Errno::EINVAL) => {}
        Err(error) => return Err(error.into()),
    }
    // SAFETY: `length` bytes, readable and writable, zeroed by the kernel, never unmapped, and known only to
    // the one reference that this makes.
    Ok(unsafe { std::slice::from_raw_parts_mut(start.as_ptr().cast(), length) })
}

fn read_pages(memory: &[u8], page: usize) {
    for byte in memory.iter().step_by(page) {
        black_box(*byte);
    }
}

fn write_pages(memory: &mut [u8], page: usize, value: u8) {
    for byte in memory.iter_mut().step_by(page) {
        *black_box(byte) = value;
    }
}

// ANCHOR: faults
/// How many minor page faults this process takes while it does `work`.
fn faults(work: impl FnOnce()) -> Result<usize> {
    let before = getrusage(UsageWho::RUSAGE_SELF)?.minor_page_faults();
    work();
    let after = getrusage(UsageWho::RUSAGE_SELF)?.minor_page_faults();
    Ok(usize::try_from(after - before)?)
}
// ANCHOR_END: faults

/// Equal except for a few: a process takes faults for other reasons too.
fn near(faults: usize, expected: usize) -> bool {
    faults.abs_diff(expected) <= 40
}

fn tell(lane: &Lane, what: &str, faults: usize, pages: usize) {
    let each = faults as f64 / pages as f64;
    lane.note(format!("{what}: {} page faults, {each:.1} a page", vary("n", faults)));
}
