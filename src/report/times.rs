//! Where the time of a run went.

use super::scores::percent;
use crate::run::{PhaseReport, RunResult, duration};
use maud::{Markup, html};
use std::time::Duration;

/// The phases, their times by part, and the nodes that took most of it.
pub(super) fn times(result: &RunResult) -> Markup {
    let trained: Vec<_> = result.phases.iter().filter(|(_, p)| p.steps > 0).collect();
    let on_device = trained.iter().any(|(_, p)| p.device_busy.is_some());
    html! {
        @if !result.phases.is_empty() {
            h2 { "Time" }
            table {
                tr {
                    th { "phase" } th.n { "steps" } th.n { "time" } th.n { "videos/s" } th.n { "nodes" }
                    th.n { "optimiser" } th.n { "waited for data" } th.n { "scheduler and rest" }
                    th.n { "data waited" } th.n { "data threads" }
                    @if on_device { th.n { "device busy" } }
                }
                @for (name, p) in &trained {
                    tr {
                        th { (name) }
                        td.n { (p.steps) }
                        td.n { (duration(p.wall)) }
                        td.n { (format!("{:.0}", p.samples as f64 / p.wall.as_secs_f64().max(1e-9))) }
                        td.n { (share(p, in_nodes(p))) }
                        td.n { (share(p, p.optimizer)) }
                        td.n { (share(p, p.waited)) }
                        td.n { (share(p, p.rest())) }
                        td.n { (share(p, p.held)) }
                        td.n { (share(p, p.data_busy)) }
                        @if let Some(busy) = p.device_busy { td.n { (share(p, busy)) } }
                    }
                }
            }
            p.faint {
                "The columns from nodes to rest add up to the phase's time. The data threads run in parallel: their time is the \
                 sum over all of them, and \"data waited\" is the time in which a finished batch was not needed yet."
                @if on_device {
                    " The nodes' time is the time to queue their work on the device, which does it later: \"busy\" is how long it \
                     worked on steps."
                }
            }
            @for (name, _) in result.phases.iter().filter(|(_, p)| p.steps == 0) {
                p.faint { (name) ": taken from an earlier run that trained it in the same way" }
            }
            @if let Some((name, p)) = trained.last() {
                @if !p.data_nodes.is_empty() {
                    table {
                        tr { th { "node of the data side (phase " (name) ")" } th.n { "a video" } th.n { "of the data threads" } }
                        @for (node, time) in p.data_nodes.iter().take(12) {
                            tr {
                                th { (node) }
                                td.n { (format!("{:.2} ms", time.as_secs_f64() * 1e3 / p.samples.max(1) as f64)) }
                                td.n { (percent(time.as_secs_f64() / p.data_busy.as_secs_f64().max(1e-9))) }
                            }
                        }
                    }
                }
                table {
                    tr { th { "node (phase " (name) ")" } th.n { "forward" } th.n { "backward" } th.n { "of the phase" } }
                    @for n in p.nodes.iter().take(12) {
                        tr {
                            th { (n.node) }
                            td.n { (per_step(p, n.forward)) }
                            td.n { (per_step(p, n.backward)) }
                            td.n { (share(p, n.forward + n.backward)) }
                        }
                    }
                }
            }
        }
    }
}

fn in_nodes(p: &PhaseReport) -> Duration {
    p.nodes.iter().map(|n| n.forward + n.backward).sum()
}

fn share(p: &PhaseReport, part: Duration) -> String {
    percent(part.as_secs_f64() / p.wall.as_secs_f64().max(1e-9))
}

fn per_step(p: &PhaseReport, time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3 / p.steps.max(1) as f64)
}
