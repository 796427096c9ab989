//! What a person sees while a run goes on: a bar in a terminal, plain lines elsewhere, nothing with `--quiet`.

use crate::diag::{one_line, terminal};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Plain lines come at most this often.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where progress goes.
pub struct Progress {
    quiet: bool,
    terminal: bool,
    uncached: AtomicBool,
    active: Mutex<Active>,
}

struct Active {
    bar: ProgressBar,
    label: String,
    since: Instant,
    line: Instant,
    done: u64,
    total: u64,
    start: u64,
}

impl Progress {
    /// For this process's standard error.
    pub fn new(quiet: bool) -> Progress {
        let now = Instant::now();
        Progress {
            quiet,
            terminal: std::io::stderr().is_terminal(),
            uncached: AtomicBool::new(false),
            active: Mutex::new(Active {
                bar: ProgressBar::hidden(),
                label: String::new(),
                since: now,
                line: now,
                done: 0,
                total: 0,
                start: 0,
            }),
        }
    }

    /// A line of its own.
    pub fn say(&self, text: &str) {
        if self.quiet {
            return;
        }
        let active = self.lock();
        if self.terminal {
            active.bar.suspend(|| terminal::err(text));
        } else {
            terminal::err(text);
        }
    }

    /// Reports, once, that something could not be kept in the cache.
    pub fn uncached(&self, e: &anyhow::Error) {
        if !self.uncached.swap(true, Ordering::Relaxed) {
            self.say(&format!(
                "the cache cannot be written: {e:#}\nthe run goes on without: images are held in memory, and other runs train \
                 the same phases again (the environment variable GLAD_CACHE names another folder)"
            ));
        }
    }

    /// Begins a stretch of `total` things, `start` of which are done already.
    pub fn begin(&self, label: &str, start: u64, total: u64) {
        let mut a = self.lock();
        a.bar.finish_and_clear();
        a.label = one_line(label).into_owned();
        a.since = Instant::now();
        a.line = a.since;
        (a.start, a.done, a.total) = (start, start, total);
        if self.quiet {
            return;
        }
        if self.terminal {
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(8));
            let style = ProgressStyle::with_template("{prefix:.bold} {bar:24} {pos}/{len} {wide_msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
            bar.set_prefix(a.label.clone());
            bar.set_position(start);
            a.bar = bar;
        }
    }

    /// Says how far it is, with a few words.
    pub fn at(&self, done: u64, words: impl FnOnce() -> String) {
        let mut a = self.lock();
        a.done = done.max(a.done);
        if self.quiet {
            return;
        }
        let left = a.left();
        if self.terminal {
            a.bar.set_position(a.done);
            a.bar
                .set_message(one_line(&format!("{}  {left}", words())).into_owned());
        } else if a.line.elapsed() >= LINE_EVERY {
            a.line = Instant::now();
            terminal::err(&format!("{} {}/{}  {}  {left}", a.label, a.done, a.total, words()));
        }
    }

    /// Ends the stretch, with a line that stays.
    pub fn end(&self, text: &str) {
        let mut a = self.lock();
        a.bar.finish_and_clear();
        a.bar = ProgressBar::hidden();
        if !self.quiet && !text.is_empty() {
            terminal::err(text);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Active> {
        self.active.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl Active {
    fn left(&self) -> String {
        let (done, todo) = (self.done - self.start, self.total.saturating_sub(self.done));
        if done == 0 || todo == 0 {
            return String::new();
        }
        let per = self.since.elapsed().as_secs_f64() / done as f64;
        format!("{} left", duration(Duration::from_secs_f64(per * todo as f64)))
    }
}

/// `8 s`, `3 min 20 s`, `2 h 5 min`.
pub fn duration(d: Duration) -> String {
    let s = d.as_secs();
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}
