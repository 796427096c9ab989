//! What a person sees while a run goes on: a bar in a terminal, plain lines elsewhere, nothing with `--quiet`.

use super::bar::{Line, line};
use crate::diag::{Problems, one_line, terminal};
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
        self.beside_bar(|| terminal::err(text));
    }

    /// Problems, in colours on a terminal.
    pub fn problems(&self, problems: &Problems) {
        self.beside_bar(|| terminal::problems(problems));
    }

    /// Prints, unless nothing is to be seen, while the bar is out of the way.
    fn beside_bar(&self, print: impl FnOnce()) {
        if self.quiet {
            return;
        }
        let active = self.lock();
        if self.terminal {
            active.bar.suspend(print);
        } else {
            print();
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
            let style =
                ProgressStyle::with_template("{prefix:.bold} {msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
            bar.set_style(style);
            a.bar = bar;
            a.draw(&[]);
        }
    }

    /// Shows how far it is, with words on it, the most important first.
    pub fn at(&self, done: u64, words: impl FnOnce() -> Vec<String>) {
        let mut a = self.lock();
        a.done = done.max(a.done);
        if self.quiet {
            return;
        }
        if self.terminal {
            a.draw(&words());
        } else if a.line.elapsed() >= LINE_EVERY {
            a.line = Instant::now();
            terminal::err(&format!(
                "{} {}/{}  {}  {}",
                a.label,
                a.done,
                a.total,
                a.left(),
                words().join("  ")
            ));
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
    /// Draws the line of a terminal, as wide as it is now.
    fn draw(&self, words: &[String]) {
        let (_, columns) = console::Term::stderr().size();
        let left = self.left();
        let words: Vec<String> = words.iter().map(|w| one_line(w).into_owned()).collect();
        let (label, text) = line(
            usize::from(columns),
            &Line {
                label: &self.label,
                done: self.done,
                total: self.total,
                left: &left,
                words: &words,
            },
        );
        self.bar.set_prefix(label);
        self.bar.set_message(text);
    }

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
