//! The kinds of processors that programs are built for.

/// A kind of processor that the program can be built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Processor {
    /// 32-bit x86, for the machine in the page
    I686,
    /// 64-bit x86, for qemu
    #[value(name = "x86-64")]
    X86_64,
    /// 64-bit ARM, for qemu
    Aarch64,
}

impl Processor {
    /// rustc's name of it.
    pub fn target(self) -> &'static str {
        match self {
            Self::I686 => "i686-unknown-linux-gnu",
            Self::X86_64 => "x86_64-unknown-linux-gnu",
            Self::Aarch64 => "aarch64-unknown-linux-gnu",
        }
    }

    /// The name of the part of the machine that is built for it.
    pub fn part(self) -> &'static str {
        match self {
            Self::I686 => "programs-i686",
            Self::X86_64 => "programs-x86-64",
            Self::Aarch64 => "programs-aarch64",
        }
    }

    /// Debian's name of it.
    pub fn debian(self) -> &'static str {
        match self {
            Self::I686 => "i386",
            Self::X86_64 => "amd64",
            Self::Aarch64 => "arm64",
        }
    }
}
