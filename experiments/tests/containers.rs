//! What a container or a tracer takes away or adds is no verdict: an experiment agrees there too, or is skipped with the reason.

use support::case::{
    Case,
    Expected::{Agrees, Skips},
    HTTP, works,
};

mod support;

#[test]
fn without_a_loopback_interface_the_reason_names_it() {
    let launcher = ["unshare", "--map-root-user", "--net"];
    if works(&launcher) {
        for experiment in
            ["kill-and-replace", "server-1", "server-12", "cloexec-by-default"].into_iter().chain(HTTP)
        {
            Case::by(&launcher, experiment, "no loopback").check(&Skips("127.0.0.1"));
        }
        Case::by(&launcher, "fd-vanishes", "no loopback").check(&Agrees);
    }
}

#[test]
fn without_proc_the_reason_says_so() {
    let launcher =
        ["unshare", "--map-root-user", "--mount", "sh", "-c", "mount -t tmpfs none /proc && \"$0\" \"$@\""];
    if works(&launcher) {
        for experiment in ["fd-vanishes", "idle-close-race"] {
            Case::by(&launcher, experiment, "no /proc").check(&Skips("/proc"));
        }
    }
}

#[test]
fn without_devices_the_reason_says_so() {
    let launcher = [
        "unshare",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        "mount -t tmpfs none /dev && exec \"$0\" \"$@\"",
    ];
    if works(&launcher) {
        Case::by(&launcher, "cost-of-fork", "no /dev").check(&Skips("/dev/null"));
    }
}

#[test]
fn as_process_1_of_a_container_an_experiment_gets_the_orphans_of_the_book_s_server() {
    let launcher = ["unshare", "--map-root-user", "--pid", "--fork", "--mount-proc"];
    if works(&launcher) {
        Case::by(&launcher, "server-7", "pid 1").check(&Agrees);
    }
}

#[test]
fn a_tracer_is_the_reason() {
    let launcher = ["strace", "-f", "-qq", "-o", "/dev/null"];
    if works(&launcher) {
        Case::by(&launcher, "worker-killed-under-load", "traced").check(&Skips("traced"));
    }
}
