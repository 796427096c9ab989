//! Requests to stop: signals of a person, a shell, or a scheduler. The state is saved, then the process ends with exit code 130.
//!
//! Signals within [`SAME`] are one request, since many senders send two: `timeout` signals the child and its group, a terminal
//! the group and the shell, Slurm each process and the step. A later one ends the process at once.

use super::error::RunError;
use crate::diag::terminal;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// The exit code of a process that was asked to stop and has its state saved.
pub const STOPPED: u8 = 130;
/// The process ends with something unsaved.
const LOST: i32 = 3;

/// How far apart signals are that are still one request.
const SAME: Duration = Duration::from_secs(2);

/// What the process is doing, which decides what a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// There is no run's folder yet: the process may end, with nothing to go on from.
    Before,
    /// The saved state is the newest: the process may end.
    Saved,
    /// There is something to save: the phase looks at `asked`, saves, and returns [`RunError::Stopped`].
    Unsaved,
    /// The run is done, and its results are being written, which takes a moment: it is not interrupted.
    Finished,
}

/// What follows from a signal, or from entering a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    GoOn,
    /// Nothing is lost.
    End,
    /// Before there was anything to save.
    EndBefore,
    /// A second request.
    EndAtOnce,
}

#[derive(Debug)]
struct State {
    section: Section,
    first: Option<Instant>,
    /// What to print where the process ends by a request: how to go on.
    message: String,
}

impl State {
    const fn new() -> State {
        State {
            section: Section::Before,
            first: None,
            message: String::new(),
        }
    }

    fn signal(&mut self, now: Instant) -> Action {
        match self.first {
            Some(first) if now.saturating_duration_since(first) < SAME => Action::GoOn,
            Some(_) => match self.section {
                Section::Saved => Action::End,
                _ => Action::EndAtOnce,
            },
            None => {
                self.first = Some(now);
                self.due()
            }
        }
    }

    fn enter(&mut self, section: Section) -> Action {
        self.section = section;
        match self.first {
            Some(_) => self.due(),
            None => Action::GoOn,
        }
    }

    /// What a request does in this section.
    fn due(&self) -> Action {
        match self.section {
            Section::Before => Action::EndBefore,
            Section::Saved => Action::End,
            Section::Unsaved | Section::Finished => Action::GoOn,
        }
    }
}

static STATE: Mutex<State> = Mutex::new(State::new());

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(|e| e.into_inner())
}

/// Ends the process where that is what follows. The caller holds the lock, so nothing enters another section meanwhile.
fn follow(action: Action, message: &str) {
    match action {
        Action::GoOn => {}
        Action::End => {
            terminal::err(message);
            std::process::exit(i32::from(STOPPED));
        }
        Action::EndBefore => {
            terminal::err("stopped before the run began: there is nothing to go on from");
            std::process::exit(LOST);
        }
        Action::EndAtOnce => {
            terminal::err("stopped at once by a second signal: what came after the last saved state is lost");
            std::process::exit(LOST);
        }
    }
}

/// Listens for requests from now on (SIGINT, SIGTERM, SIGHUP unless the process ignores it, as below `nohup`, and SIGUSR1
/// and SIGUSR2, which schedulers send before the time of a job is over).
/// `message` is printed where the process ends with its state saved. To be called once.
pub fn listen(message: String) {
    state().message = message;
    // Where nothing can be listened to, a signal ends the process, as it does any other.
    let _ = listener(|| {
        let mut state = state();
        let action = state.signal(Instant::now());
        follow(action, &state.message);
    });
}

#[cfg(unix)]
fn listener(request: impl Fn() + Send + 'static) -> std::io::Result<()> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
    let mut signals = vec![SIGINT, SIGTERM, SIGUSR1, SIGUSR2];
    if !ignored(SIGHUP) {
        signals.push(SIGHUP);
    }
    let mut signals = signal_hook::iterator::Signals::new(signals)?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || signals.forever().for_each(|_| request()))?;
    Ok(())
}

/// Whether the process ignores a signal, where the system reports it.
#[cfg(unix)]
fn ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|l| l.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|m| u64::from_str_radix(m.trim(), 16).ok());
    mask.is_some_and(|m| m >> (signal - 1) & 1 == 1)
}

#[cfg(not(unix))]
fn listener(request: impl Fn() + Send + 'static) -> Result<(), ctrlc::Error> {
    ctrlc::set_handler(request)
}

/// Notes what the process does from here on.
///
/// # Errors
/// [`RunError::Stopped`]: a request waited for this section, in which the process may end.
pub fn enter(section: Section) -> Result<(), RunError> {
    match state().enter(section) {
        Action::GoOn => Ok(()),
        _ => Err(RunError::Stopped),
    }
}

/// Notes that the state was saved for a request: the process is about to end, and may be ended by another signal.
pub(super) fn saved() {
    state().section = Section::Saved;
}

/// Whether the run was asked to stop.
pub(super) fn asked() -> bool {
    state().first.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(times: &[u64], section: Section) -> Vec<Action> {
        let (mut state, begin) = (State::new(), Instant::now());
        assert_eq!(state.enter(section), Action::GoOn);
        let mut at = |t: &u64| state.signal(begin + Duration::from_millis(*t));
        times.iter().map(&mut at).collect()
    }

    #[test]
    fn two_signals_within_a_moment_are_one_request() {
        use Action::{End, EndAtOnce, EndBefore, GoOn};
        assert_eq!(after(&[0, 0, 5, 1999], Section::Unsaved), [GoOn; 4]);
        assert_eq!(after(&[0, 5, 2000], Section::Unsaved), [GoOn, GoOn, EndAtOnce]);
        assert_eq!(after(&[0, 3000], Section::Finished), [GoOn, EndAtOnce]);
        assert_eq!(after(&[0], Section::Saved), [End]);
        assert_eq!(after(&[0], Section::Before), [EndBefore]);
    }

    #[test]
    fn a_request_waits_for_the_state_to_be_saved() {
        let mut state = State::new();
        assert_eq!(state.enter(Section::Unsaved), Action::GoOn);
        assert_eq!(state.signal(Instant::now()), Action::GoOn);
        assert_eq!(state.enter(Section::Unsaved), Action::GoOn);
        assert_eq!(state.enter(Section::Saved), Action::End);
        // One that comes when all is done changes nothing.
        let mut state = State::new();
        state.enter(Section::Finished);
        assert_eq!(state.signal(Instant::now()), Action::GoOn);
        assert_eq!(state.enter(Section::Finished), Action::GoOn);
    }
}
