# `just` alone lists all of this. Nothing needs just: `cargo workbook` is the same tool.

# cargo is told where the manifest is, because `run` and `solution` run in the folder in which just was called: the file of `--draw`
# and the paths that `solution` prints are meant from there.
tool := "cargo run --quiet --manifest-path " + quote(justfile_directory() / "Cargo.toml") + " --package workbook --"

[private]
default:
    @just --list --unsorted

# Where am I, and what comes next?
[group('read and write')]
[no-exit-message]
status:
    @{{tool}}

# List the chapters' experiments and exercises
[group('read and write')]
[no-exit-message]
list *ARGS:
    @{{tool}} list {{ARGS}}

# Read the book in a browser, and run its experiments and checks from the pages
[group('read and write')]
[no-exit-message]
serve *ARGS:
    @{{tool}} serve {{ARGS}}

# Run an exercise's tests on your code: `just check cloexec/flags`
[group('read and write')]
[no-exit-message]
check *EXERCISES:
    @{{tool}} check {{EXERCISES}}

# Check an exercise each time you save it
[group('read and write')]
[no-exit-message]
watch *ARGS:
    @{{tool}} watch {{ARGS}}

# Say which known wrong answers fail as yours does: `just why cloexec/flags`
[group('read and write')]
[no-exit-message]
why EXERCISE *ARGS:
    @{{tool}} why {{EXERCISE}} {{ARGS}}

# Show the next hint for an exercise
[group('read and write')]
[no-exit-message]
hint EXERCISE *ARGS:
    @{{tool}} hint {{EXERCISE}} {{ARGS}}

# Show our answer, once yours passes
[group('read and write')]
[no-exit-message]
[no-cd]
solution EXERCISE *ARGS:
    @{{tool}} solution {{EXERCISE}} {{ARGS}}

# Put an exercise back as it was handed out; yours is kept beside it
[group('read and write')]
[no-exit-message]
reset EXERCISE:
    @{{tool}} reset {{EXERCISE}}

# Say what this machine has and lacks
[group('read and write')]
[no-exit-message]
doctor *ARGS:
    @{{tool}} doctor {{ARGS}}

# Run the book's server as it is after chapter N, on a port or on any free one: `just stage 1 7007`
[group('read and write')]
[no-exit-message]
stage N *ARGS:
    @cargo run --quiet --package stages -- {{N}} {{ARGS}}

# Run the book's server on your own answers to the exercises: `just mine 3 7007`
[group('read and write')]
[no-exit-message]
mine N *ARGS:
    @cargo run --quiet --package stages --features mine -- {{N}} {{ARGS}}

# Be a client of the server on a port: `echo hello | just ask 7007 upper`
[group('read and write')]
[no-exit-message]
ask PORT PROGRAM:
    @cargo run --quiet --package stages -- ask {{PORT}} {{PROGRAM}}

# Run experiments: `just run --all`
[group('experiments')]
[no-exit-message]
[no-cd]
run *ARGS:
    @{{tool}} run {{ARGS}}

# When does a server that serves one client at a time answer the second one?
[group('experiments: 1 fork and exec')]
server-1 *ARGS: (run 'server-1' ARGS)

# Does a parent see a variable that the child of its fork has changed?
[group('experiments: 1 fork and exec')]
fork-returns-twice *ARGS: (run 'fork-returns-twice' ARGS)

# Which parts of a program survive exec?
[group('experiments: 1 fork and exec')]
what-exec-keeps *ARGS: (run 'what-exec-keeps' ARGS)

# Does a child's read move its parent's offset in an inherited file?
[group('experiments: 1 fork and exec')]
shared-offset *ARGS: (run 'shared-offset' ARGS)

# How many page faults does a child take to read and write the memory that it inherited?
[group('experiments: 1 fork and exec')]
copy-on-write *ARGS: (run 'copy-on-write' ARGS)

# How many times is a buffer written if its program forks before the flush?
[group('experiments: 1 fork and exec')]
written-twice *ARGS: (run 'written-twice' ARGS)

# When does a client get end of file, and when is the port free, if a background process runs on?
[group('experiments: 2 close-on-exec')]
server-2 *ARGS: (run 'server-2' ARGS)

# Which threads of a process run in the child of its fork?
[group('experiments: 1 fork and exec')]
fork-copies-one-thread *ARGS: (run 'fork-copies-one-thread' ARGS)

# Which descriptors does a program have after exec?
[group('experiments: 2 close-on-exec')]
fd-vanishes *ARGS: (run 'fd-vanishes' ARGS)

# Does a duplicate have the close-on-exec flag of its original?
[group('experiments: 2 close-on-exec')]
dup-clears *ARGS: (run 'dup-clears' ARGS)

# Does a parent see the flags that its child sets on an inherited descriptor?
[group('experiments: 2 close-on-exec')]
flag-or-description *ARGS: (run 'flag-or-description' ARGS)

# Can a program inherit a file between open and fcntl?
[group('experiments: 2 close-on-exec')]
open-race *ARGS: (run 'open-race' ARGS)

# What does poll report for an empty pipe after its last writer has closed?
[group('experiments: 2 close-on-exec')]
poll-and-readiness *ARGS: (run 'poll-and-readiness' ARGS)

# When does a pipe's reader get end of file if another program has inherited the write end?
[group('experiments: 2 close-on-exec')]
missing-eof *ARGS: (run 'missing-eof' ARGS)

# Can a replacement bind the port of a server that was killed while its helper runs?
[group('experiments: 2 close-on-exec')]
port-stays-taken *ARGS: (run 'port-stays-taken' ARGS)

# Which libraries set close-on-exec without being asked to?
[group('experiments: 2 close-on-exec')]
cloexec-by-default *ARGS: (run 'cloexec-by-default' ARGS)

# Which descriptors survive a loop that closes every number up to the limit?
[group('experiments: 2 close-on-exec')]
close-by-hand *ARGS: (run 'close-by-hand' ARGS)

# What does a client get whose program prints before it has read all of its input?
[group('experiments: 3 nonblocking pipes')]
server-3 *ARGS: (run 'server-3' ARGS)

# What do a read from an empty and a write to a full nonblocking pipe return?
[group('experiments: 3 nonblocking pipes')]
empty-and-full *ARGS: (run 'empty-and-full' ARGS)

# How can a process get blocking reads when another has set O_NONBLOCK?
[group('experiments: 3 nonblocking pipes')]
shared-nonblocking *ARGS: (run 'shared-nonblocking' ARGS)

# When does a pipe's reader get end of file after its writer has exited?
[group('experiments: 3 nonblocking pipes')]
no-eof-after-fork *ARGS: (run 'no-eof-after-fork' ARGS)

# Which kind of epoll reports a pipe again after a read left a byte in it?
[group('experiments: 3 nonblocking pipes')]
level-and-edge *ARGS: (run 'level-and-edge' ARGS)

# When does poll report a full pipe as writable again?
[group('experiments: 3 nonblocking pipes')]
pollout-threshold *ARGS: (run 'pollout-threshold' ARGS)

# Which writes to a nearly full pipe are split?
[group('experiments: 3 nonblocking pipes')]
pipe-buf *ARGS: (run 'pipe-buf' ARGS)

# Can another process's bytes come between those of one write to a pipe?
[group('experiments: 3 nonblocking pipes')]
two-writers *ARGS: (run 'two-writers' ARGS)

# What must a program do after a partial write?
[group('experiments: 3 nonblocking pipes')]
partial-write *ARGS: (run 'partial-write' ARGS)

# Which processes survive a write to a pipe without a reader?
[group('experiments: 3 nonblocking pipes')]
broken-pipe *ARGS: (run 'broken-pipe' ARGS)

# What do other clients get while a server waits for one client's lookup or program?
[group('experiments: 4 the waker')]
server-4 *ARGS: (run 'server-4' ARGS)

# When does a loop in poll notice a callback from another thread?
[group('experiments: 4 the waker')]
callback-from-a-thread *ARGS: (run 'callback-from-a-thread' ARGS)

# How many events does epoll_wait return for a thousand wakes?
[group('experiments: 4 the waker')]
thousand-wakes *ARGS: (run 'thousand-wakes' ARGS)

# How many of three wakes reach a loop that never reads its edge-triggered eventfd?
[group('experiments: 4 the waker')]
undrained-waker *ARGS: (run 'undrained-waker' ARGS)

# How much memory do 65536 undrained wakes take, in a pipe and in an eventfd?
[group('experiments: 4 the waker')]
pipe-or-eventfd *ARGS: (run 'pipe-or-eventfd' ARGS)

# Should a loop drain its waker before it checks its queue, or after?
[group('experiments: 4 the waker')]
lost-wake-up *ARGS: (run 'lost-wake-up' ARGS)

# With which orderings can a thread and a loop miss each other's store?
[group('experiments: 4 the waker')]
acquire-and-release *ARGS: (run 'acquire-and-release' ARGS)

# What happens to a signal that is sent while it is ignored, or while it is blocked?
[group('experiments: 4 the waker')]
blocked-ignored-handled *ARGS: (run 'blocked-ignored-handled' ARGS)

# What does a read that sleeps return when a signal comes?
[group('experiments: 4 the waker')]
signal-during-read *ARGS: (run 'signal-during-read' ARGS)

# Which waits return at once if a signal comes between the check and the wait?
[group('experiments: 4 the waker')]
signal-before-poll *ARGS: (run 'signal-before-poll' ARGS)

# If a blocked signal is sent several times, how many times is it pending?
[group('experiments: 4 the waker')]
merged-signals *ARGS: (run 'merged-signals' ARGS)

# How often does a server call read for one request, beside 500 idle clients?
[group('experiments: 5 select, poll, epoll')]
server-5 *ARGS: (run 'server-5' ARGS)

# Which of select, poll and epoll takes as long for 1,000 descriptors as for 10?
[group('experiments: 5 select, poll, epoll')]
what-waiting-costs *ARGS: (run 'what-waiting-costs' ARGS)

# What does a oneshot registration report after its first report?
[group('experiments: 5 select, poll, epoll')]
level-edge-oneshot *ARGS: (run 'level-edge-oneshot' ARGS)

# What does epoll report for a descriptor that is registered for no events?
[group('experiments: 5 select, poll, epoll')]
registered-for-nothing *ARGS: (run 'registered-for-nothing' ARGS)

# Can epoll watch a file, /dev/null, or another epoll?
[group('experiments: 5 select, poll, epoll')]
what-cannot-be-watched *ARGS: (run 'what-cannot-be-watched' ARGS)

# What does epoll report for a descriptor that was closed while a duplicate is open?
[group('experiments: 5 select, poll, epoll')]
closed-but-reported *ARGS: (run 'closed-but-reported' ARGS)

# Which handler gets an event whose descriptor number was reused?
[group('experiments: 5 select, poll, epoll')]
stale-event *ARGS: (run 'stale-event' ARGS)

# How often does a loop call epoll_wait until 4.9 ms are over, if it rounds timeouts down?
[group('experiments: 5 select, poll, epoll')]
timeout-rounded-down *ARGS: (run 'timeout-rounded-down' ARGS)

# How many system calls read 64 connections, with epoll and with io_uring?
[group('experiments: 5 select, poll, epoll')]
calls-for-64-reads *ARGS: (run 'calls-for-64-reads' ARGS)

# Which clients get no answer when one worker of a server is killed?
[group('experiments: 6 fork and accept')]
server-6 *ARGS: (run 'server-6' ARGS)

# Can a socket for [::] and a socket for 0.0.0.0 share a port?
[group('experiments: 6 fork and accept')]
dual-stack-socket *ARGS: (run 'dual-stack-socket' ARGS)

# What is left of a child that has exited and was not waited for?
[group('experiments: 6 fork and accept')]
zombie *ARGS: (run 'zombie' ARGS)

# How many of ten pidfds are ready if one of the ten exited children was reaped?
[group('experiments: 6 fork and accept')]
exits-per-sigchld *ARGS: (run 'exits-per-sigchld' ARGS)

# Which process runs first after a fork, parent or child?
[group('experiments: 6 fork and accept')]
order-after-fork *ARGS: (run 'order-after-fork' ARGS)

# What does fork cost a process that uses much memory?
[group('experiments: 6 fork and accept')]
cost-of-fork *ARGS: (run 'cost-of-fork' ARGS)

# Can the child of a fork take a lock that another thread held?
[group('experiments: 6 fork and accept')]
lock-held-at-fork *ARGS: (run 'lock-held-at-fork' ARGS)

# Which process owns an epoll that was made before a fork?
[group('experiments: 6 fork and accept')]
epoll-before-fork *ARGS: (run 'epoll-before-fork' ARGS)

# How many waiting children does the kernel wake for one connection?
[group('experiments: 6 fork and accept')]
thundering-herd *ARGS: (run 'thundering-herd' ARGS)

# Which waiting child gets a connection: in accept, and with EPOLLEXCLUSIVE?
[group('experiments: 6 fork and accept')]
which-child-accepts *ARGS: (run 'which-child-accepts' ARGS)

# What happens to queued connections when one of two SO_REUSEPORT sockets is closed?
[group('experiments: 6 fork and accept')]
queue-lost *ARGS: (run 'queue-lost' ARGS)

# What does accept return for a client that has already reset its connection?
[group('experiments: 6 fork and accept')]
aborted-before-accept *ARGS: (run 'aborted-before-accept' ARGS)

# What does accept do when the process has no descriptor left?
[group('experiments: 6 fork and accept')]
no-descriptors-left *ARGS: (run 'no-descriptors-left' ARGS)

# What does a client read from a worker that is killed in the middle of its answer?
[group('experiments: 6 fork and accept')]
kill-and-replace *ARGS: (run 'kill-and-replace' ARGS)

# When does a server without timers close a client that never ends its request?
[group('experiments: 7 the loop')]
server-7 *ARGS: (run 'server-7' ARGS)

# How many queued callbacks run before the handler of a ready descriptor?
[group('experiments: 7 the loop')]
starvation *ARGS: (run 'starvation' ARGS)

# How often does a timer that restarts itself run before a ready descriptor's handler?
[group('experiments: 7 the loop')]
timer-that-rearms *ARGS: (run 'timer-that-rearms' ARGS)

# When does a timer run if the time of day is set back before its deadline?
[group('experiments: 7 the loop')]
wall-clock-set-back *ARGS: (run 'wall-clock-set-back' ARGS)

# How often is a handler called that removes itself, and when is its connection closed?
[group('experiments: 7 the loop')]
removes-itself *ARGS: (run 'removes-itself' ARGS)

# How long do canceled timers stay in the heap of a loop?
[group('experiments: 7 the loop')]
canceled-timers *ARGS: (run 'canceled-timers' ARGS)

# In which order does a loop run callbacks, timers and handlers?
[group('experiments: 7 the loop')]
one-iteration *ARGS: (run 'one-iteration' ARGS)

# What happens to a running request when SIGTERM stops the server's loop?
[group('experiments: 8 signals and blocked loops')]
server-8 *ARGS: (run 'server-8' ARGS)

# When does a loop that checks a handler's flag sleep through a signal?
[group('experiments: 8 signals and blocked loops')]
wakeup-descriptor *ARGS: (run 'wakeup-descriptor' ARGS)

# In which thread does a signal's handler run?
[group('experiments: 8 signals and blocked loops')]
which-thread-handles *ARGS: (run 'which-thread-handles' ARGS)

# Which callbacks does a watchdog of a loop report?
[group('experiments: 8 signals and blocked loops')]
blocked-loop *ARGS: (run 'blocked-loop' ARGS)

# Which system calls does SA_RESTART restart after a signal?
[group('experiments: 8 signals and blocked loops')]
interrupted-calls *ARGS: (run 'interrupted-calls' ARGS)

# How often does a watchdog fire while its loop has nothing to do?
[group('experiments: 8 signals and blocked loops')]
alarm-during-wait *ARGS: (run 'alarm-during-wait' ARGS)

# What does a client get from a server on epoll where a sandbox refuses epoll?
[group('experiments: 9 choosing the implementation')]
server-9 *ARGS: (run 'server-9' ARGS)

# With which poller does the same program make the fewest system calls?
[group('experiments: 9 choosing the implementation')]
three-pollers *ARGS: (run 'three-pollers' ARGS)

# What does select return for a ready descriptor with a number above 1023?
[group('experiments: 9 choosing the implementation')]
select-beyond-1024 *ARGS: (run 'select-beyond-1024' ARGS)

# What happens to a program that makes its loop where epoll is refused?
[group('experiments: 9 choosing the implementation')]
epoll-refused *ARGS: (run 'epoll-refused' ARGS)

# What does an HTTP client get from stage 9 of our server?
[group('experiments: 10 HTTP on the loop')]
server-10 *ARGS: (run 'server-10' ARGS)

# How often does an HTTP server call its handler for a request in pieces, and for three in one piece?
[group('experiments: 10 HTTP on the loop')]
request-in-pieces *ARGS: (run 'request-in-pieces' ARGS)

# What happens to an HTTP client that sends a byte at a time, and to the others meanwhile?
[group('experiments: 10 HTTP on the loop')]
slow-client *ARGS: (run 'slow-client' ARGS)

# Which clients of an HTTP server wait while one handler blocks, with one process and with four?
[group('experiments: 10 HTTP on the loop')]
blocking-handler *ARGS: (run 'blocking-handler' ARGS)

# What does a proxy get when it sends a request on a connection that the server has closed?
[group('experiments: 10 HTTP on the loop')]
idle-close-race *ARGS: (run 'idle-close-race' ARGS)

# Which requests get no answer when a worker of an HTTP server is killed under load?
[group('experiments: 10 HTTP on the loop')]
worker-killed-under-load *ARGS: (run 'worker-killed-under-load' ARGS)

# Which rule of a server on your own machine stops all that a hostile page sends to it?
[group('experiments: 10 HTTP on the loop')]
hostile-page *ARGS: (run 'hostile-page' ARGS)

# Which system calls does an async server make that a server of callbacks does not?
[group('experiments: 12 callbacks to futures')]
server-12 *ARGS: (run 'server-12' ARGS)

# What has an async function done if its future was never polled?
[group('experiments: 12 callbacks to futures')]
unpolled-future *ARGS: (run 'unpolled-future' ARGS)

# How often is an async function with two awaits polled if it never has to wait?
[group('experiments: 12 callbacks to futures')]
polls-of-two-awaits *ARGS: (run 'polls-of-two-awaits' ARGS)

# Where is an async function's variable while the function waits?
[group('experiments: 12 callbacks to futures')]
variables-across-await *ARGS: (run 'variables-across-await' ARGS)

# In which iterations of the loop is a task polled?
[group('experiments: 12 callbacks to futures')]
when-a-task-is-polled *ARGS: (run 'when-a-task-is-polled' ARGS)

# How often is a task polled after several wakes?
[group('experiments: 12 callbacks to futures')]
wakes-and-polls *ARGS: (run 'wakes-and-polls' ARGS)

# What is left of an operation whose future is dropped?
[group('experiments: 12 callbacks to futures')]
dropped-future *ARGS: (run 'dropped-future' ARGS)

# Run all tests
[group('maintain')]
test:
    cargo test --workspace

# Prove the exercises: references and other right answers pass, starters fail, mistakes are caught
[group('maintain')]
[no-exit-message]
verify *ARGS:
    @{{tool}} verify {{ARGS}}

# Break each reference by one mechanical edit after the other: do the tests notice?
[group('maintain')]
[no-exit-message]
mutants *ARGS:
    @{{tool}} mutants {{ARGS}}

# Measure how long a reader waits from a save to the verdict, exercise by exercise, and for what
[group('maintain')]
[no-exit-message]
latency *ARGS:
    @{{tool}} latency {{ARGS}}

# Write new transcripts and the README's pictures from what this kernel does, and the changes between the stages
[group('maintain')]
bless:
    BLESS=1 cargo test --package experiments
    BLESS=1 cargo test --package stages --test diffs
    BLESS=1 cargo test --package live --test site

# Build the Linux that runs the experiments in the published pages; `just machine --try` runs all of them in it
[group('maintain')]
[no-exit-message]
machine *ARGS:
    @cargo run --quiet --package machine -- {{ARGS}}

# Build the book as a site below target/site, with the Linux of `just machine` in its pages
[group('maintain')]
site:
    cargo run --quiet --package live -- --site target/site

# Measure: bare system calls beside ours; `just bench waker` for one chapter
[group('maintain')]
bench *CHAPTERS:
    cargo bench --package bench {{ if CHAPTERS == "" { "" } else { "--bench " + CHAPTERS } }}

# Measure each figure that the loop promises beside its peer, and print one table; `just rows echo wake` for some of them
[group('maintain')]
rows *WHICH:
    cargo bench --package bench --bench rows -- {{WHICH}}

# Measure the HTTP server beside bare epoll, hyper, nginx and libuv, and print one table; `just http pipelined` for a part
[group('maintain')]
http *WHICH:
    cargo bench --package bench --bench http -- {{WHICH}}

# Send our HTTP server and others the same malformed and ambiguous requests, and compare what each runs
[group('maintain')]
[no-exit-message]
differential:
    @cargo bench --quiet --package bench --bench differential

# Run all tests and experiments N times with every core busy
[group('maintain')]
[no-exit-message]
soak N='10':
    @{{tool}} soak {{N}}

# Let each system call of loops, wakers, servers and programs fail with each errno, and print what came of it
[group('maintain')]
[no-exit-message]
faults:
    cargo test --quiet --package faults --test whole -- --ignored --nocapture --exact all_faults

# Run every experiment and the crates' tests on kernels of Debian, in qemu: `just kernels 6.1`, or all, for the book's table
[group('maintain')]
[no-exit-message]
kernels *ARGS:
    @cargo run --quiet --package machine -- kernels {{ARGS}}

# Let libFuzzer make up what clients send to an HTTP connection, for so many seconds; needs cargo-fuzz and a C++ compiler
[group('maintain')]
[no-exit-message]
fuzz SECONDS='60':
    #!/usr/bin/env sh
    set -eu
    if ! cargo fuzz --version >/dev/null 2>&1; then
        echo "There is no cargo-fuzz here: cargo install cargo-fuzz" >&2
        exit 1
    fi
    cd crates/httpserver/fuzz
    # The flags of the coverage are nightly Rust's, which the stable compiler takes when it is told so.
    RUSTC_BOOTSTRAP=1 exec cargo fuzz run --fuzz-dir . --sanitizer none connection -- \
        -dict=http.dict -max_len=1200 -timeout=10 -max_total_time={{SECONDS}}

# Look for memory errors and descriptors left in the loop's tests; needs valgrind. `just valgrind calls` for one file
[group('maintain')]
[no-exit-message]
valgrind *TESTS:
    #!/usr/bin/env sh
    set -eu
    if ! command -v valgrind >/dev/null; then
        echo "There is no valgrind here. Debian's package has the same name: apt-get install valgrind" >&2
        exit 1
    fi
    # loom's threads are stacks that it exchanges itself, which valgrind takes for errors; and it has no memory of its own.
    tests="{{TESTS}}"
    [ -n "$tests" ] || tests=$(ls crates/ioloop/tests | sed -n 's/[.]rs$//p' | grep -vx crossing)
    set --
    for test in $tests; do set -- "$@" --test "$test"; done
    runner="valgrind -q --error-exitcode=99 --leak-check=full --show-leak-kinds=definite"
    runner="$runner --errors-for-leak-kinds=definite --track-fds=yes"
    # Under it a second is a minute.
    PATIENCE=300 exec cargo --config "target.'cfg(unix)'.runner = '$runner'" \
        test --package ioloop "$@" --no-fail-fast -- --test-threads=2

# Look for undefined behavior in what of the loop asks little of the kernel; needs Miri, which is nightly Rust's
[group('maintain')]
[no-exit-message]
miri:
    #!/usr/bin/env sh
    set -eu
    if ! cargo +nightly miri --version >/dev/null 2>&1; then
        echo "There is no Miri here: rustup toolchain install nightly --component miri" >&2
        exit 1
    fi
    # closures runs a loop in Miri's own epoll, and a loop looks at the clock.
    MIRIFLAGS=-Zmiri-disable-isolation exec cargo +nightly miri test --target-dir target/miri --package ioloop \
        --test closure --test heap --test slab --test timers

# Run what CI runs
[group('maintain')]
ci:
    bash .ci/run
