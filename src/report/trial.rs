//! The result of `plan --measure`, a few steps of each phase, as text.

use super::scores::percent;
use crate::describe::{bytes, table};
use crate::run::{Trial, duration};

/// From this share of the time on, a side counts as waiting.
const MUCH: f64 = 0.1;

/// A table of the phases, with conclusions.
pub fn trial_text(trials: &[Trial], on: &str) -> String {
    let on_gpu = trials.iter().any(|t| t.memory.is_some());
    let mut rows = vec![
        [
            "phase",
            "a step",
            "videos/s",
            "compute waits",
            "data waits",
            "the phase takes",
        ]
        .map(String::from)
        .to_vec(),
    ];
    if on_gpu {
        rows[0].extend(["GPU busy", "GPU memory"].map(String::from));
    }
    for t in trials {
        let (wall, r) = (t.report.wall.as_secs_f64().max(1e-9), &t.report);
        let share = |d: std::time::Duration| percent((d.as_secs_f64() / wall).min(1.0));
        let whole = t.step().mul_f64(t.of as f64);
        let mut row = vec![
            t.phase.clone(),
            format!("{:.1} ms", t.step().as_secs_f64() * 1e3),
            format!("{:.0}", r.samples as f64 / wall),
            share(r.waited),
            share(r.held),
            format!("about {} ({} steps)", duration(whole), t.of),
        ];
        if let Some(memory) = t.memory {
            row.push(r.device_busy.map_or("–".into(), share));
            row.push(bytes(memory.used));
        }
        rows.push(row);
    }
    let steps = trials.first().map_or(0, |t| t.report.steps);
    let mut text = format!("measured: {steps} steps of each phase {on}\n\n");
    text += &table(&rows, &[1, 2, 3, 4], "  ");
    text.push('\n');
    for t in trials {
        text += &format!("  {}: {}\n", t.phase, verdict(t));
        if t.passes > 0 {
            let times = if t.passes == 1 { "pass" } else { "passes" };
            text += &format!(
                "  {}: {} {times} over lists come on top, each as long as scoring them\n",
                t.phase, t.passes
            );
        }
        if t.bad > 0 {
            text += &format!(
                "  {}: {} videos could not be used (glad-run lint says which and why)\n",
                t.phase, t.bad
            );
        }
    }
    text
}

/// Which side waits, and what helps.
fn verdict(t: &Trial) -> &'static str {
    let share = |d: std::time::Duration| d.as_secs_f64() / t.report.wall.as_secs_f64().max(1e-9);
    if share(t.report.waited) > MUCH {
        match t.decodes {
            true => {
                "compute waits for data: more --workers help while there are cores, and data that `glad-run prepare` has prepared"
            }
            false => {
                "compute waits for data: more --workers help while there are cores, and a faster disk for the features"
            }
        }
    } else if share(t.report.held) > MUCH {
        "the data side waits: the time is that of computing, and more --workers give nothing"
    } else {
        "neither side waits much for the other"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{DeviceMemory, PhaseReport};
    use std::time::Duration;

    fn trial(waited: f64, held: f64, bad: usize) -> Trial {
        Trial {
            phase: "main".into(),
            of: 3000,
            passes: 0,
            report: PhaseReport {
                steps: 20,
                wall: Duration::from_secs(4),
                waited: Duration::from_secs_f64(waited),
                held: Duration::from_secs_f64(held),
                device_busy: Some(Duration::from_secs(1)),
                samples: 320,
                ..PhaseReport::default()
            },
            bad,
            memory: None,
            decodes: true,
        }
    }

    #[test]
    fn says_which_side_waits() {
        let text = trial_text(&[trial(3.0, 0.0, 2)], "on cpu");
        assert_eq!(
            text,
            "measured: 20 steps of each phase on cpu\n\n  \
             phase    a step  videos/s  compute waits  data waits  the phase takes\n  \
             main   200.0 ms        80         75.0 %       0.0 %  about 10 min 0 s (3000 steps)\n\n  \
             main: compute waits for data: more --workers help while there are cores, and data that `glad-run prepare` has \
             prepared\n  main: 2 videos could not be used (glad-run lint says which and why)\n"
        );
        let features = Trial {
            decodes: false,
            ..trial(3.0, 0.0, 0)
        };
        let text = trial_text(&[features], "");
        assert!(text.contains("a faster disk") && !text.contains("prepare"), "{text}");
        assert!(trial_text(&[trial(0.1, 3.0, 0)], "").contains("the data side waits"));
        assert!(trial_text(&[trial(0.1, 0.3, 0)], "").contains("neither side waits"));
        let passes = Trial {
            passes: 15,
            ..trial(0.1, 0.3, 0)
        };
        assert!(
            trial_text(&[passes], "")
                .contains("main: 15 passes over lists come on top, each as long as scoring them\n")
        );
        let on_gpu = Trial {
            memory: Some(DeviceMemory {
                used: 3 << 30,
                held: 4 << 30,
            }),
            ..trial(0.1, 0.3, 0)
        };
        let text = trial_text(&[on_gpu], "");
        assert!(
            text.contains("GPU busy") && text.contains("25.0 %") && text.contains("3.00 GiB"),
            "{text}"
        );
    }
}
