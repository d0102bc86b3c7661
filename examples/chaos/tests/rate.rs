//! The clocks of a process run at the rate that is asked for, whoever reads them, and those of this
//! process don't.

use std::process::{Command, Stdio};
use std::sync::{Condvar, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use greenroom_chaos::clock::{machine_ns, since};
use greenroom_chaos::rate::ClockRate;
use rustix::time::{ClockId, clock_gettime};

const ROLE: &str = "CHAOS_RATE_TEST";
/// How long the process measures, by the clock that stays right.
const MEASURES: Duration = Duration::from_millis(500);

fn boottime() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    Duration::new(u64::try_from(time.tv_sec).unwrap(), u32::try_from(time.tv_nsec).unwrap())
}

/// Run by the test below in a process of its own: prints how far each clock goes, and how long a
/// sleep and a wait of as much take by the right one.
#[test]
fn measures() {
    if std::env::var_os(ROLE).is_none() {
        return;
    }
    let (began_ns, monotonic, boot) = (machine_ns(), Instant::now(), boottime());
    while since(began_ns) < MEASURES {
        sleep(Duration::from_millis(1));
    }
    let (monotonic, boot) = (monotonic.elapsed(), boottime() - boot);
    let began_ns = machine_ns();
    sleep(MEASURES);
    let slept = since(began_ns);
    let (lock, told) = (Mutex::new(()), Condvar::new());
    let began_ns = machine_ns();
    drop(told.wait_timeout_while(lock.lock().unwrap(), MEASURES, |()| true).unwrap());
    let spans = [monotonic, boot, slept, since(began_ns)];
    println!("measured {}", spans.map(|span| span.as_millis().to_string()).join(" "));
}

fn measured(rate: f64) -> Vec<f64> {
    let directory = tempfile::tempdir().unwrap();
    let mut clock = ClockRate::start(&directory.path().join("clock")).unwrap();
    clock.set(rate).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "measures", "--nocapture"])
        .env(ROLE, "")
        .envs(clock.variables().unwrap())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = said.lines().find_map(|line| line.split_once("measured "));
    let numbers = line.unwrap_or_else(|| panic!("{output:?}")).1.split_whitespace();
    numbers.map(|number| number.parse().unwrap()).collect()
}

#[test]
fn clocks_and_sleeps_run_at_the_rate_that_is_asked_for() {
    let spent = MEASURES.as_secs_f64() * 1e3;
    for rate in [0.8, 1.0, 1.25] {
        let measured = measured(rate);
        // A busy machine makes the process late by its own clock too, so only a little less is wrong.
        for clock in &measured[..2] {
            let expected = spent * rate;
            assert!(*clock >= expected - 5.0 && *clock < expected * 1.15, "{rate}: {measured:?}");
        }
        let slept = spent / rate;
        for wait in &measured[2..] {
            assert!(*wait >= slept - 5.0 && *wait < slept * 1.15, "{rate}: {measured:?}");
        }
    }
}

#[test]
fn a_rate_that_changes_makes_no_jump() {
    let directory = tempfile::tempdir().unwrap();
    let mut clock = ClockRate::start(&directory.path().join("clock")).unwrap();
    assert_eq!(clock.skew(), Duration::ZERO);
    clock.set(1.25).unwrap();
    sleep(Duration::from_millis(100));
    clock.set(1.0).unwrap();
    let skew = clock.skew();
    assert!(skew >= Duration::from_millis(24) && skew < Duration::from_millis(100), "{skew:?}");
    sleep(Duration::from_millis(20));
    assert_eq!(clock.skew(), skew, "at the right rate it gets no worse");
}
