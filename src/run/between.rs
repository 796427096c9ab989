//! What comes between the steps of a phase: saved states, passes over lists, validation.

use super::checkpoint;
use super::entry::Session;
use super::error::RunError;
use super::refreshed::Refreshed;
use super::setup::set_up;
use super::stop::{self, Section};
use super::train::{PhaseHooks, State};
use super::view::NodeScores;
use crate::graph::Select;
use anyhow::{Context, Result};
use serde_json::{Map, json};

impl PhaseHooks for Session<'_> {
    fn save(&mut self, step: u64, state: &mut State<'_>) -> Result<()> {
        state.position.step = step;
        let within = (Some(&*state.optimizer), state.refreshed.as_ref());
        self.save_state(within, state.store, state.position, state.log)
    }

    fn refresh(&mut self, step: u64, state: &mut State<'_>) -> Result<(), RunError> {
        let name = &self.graph.run[state.position.entry].value;
        let view = self.checked.phases[name].refresh.as_ref();
        let view = view.and_then(|(view, _)| self.checked.views.get(view));
        let program = view.context("the view of `refresh` is not there")?;
        // It may take long: the run may be stopped or killed in it, and then begins the pass anew when it goes on.
        self.save(step, state)?;
        stop::enter(Section::Saved)?;
        let result = self.view(program, state.store)?;
        stop::enter(Section::Unsaved)?;
        if !result.bad.is_empty() {
            let lists = set_up(program, self.options.cache.as_deref(), self.progress)?.lists;
            state.position.note_bad(&program.streams, &lists, &result.bad);
        }
        let refreshed = result
            .refreshed
            .context("the view of `refresh` computes nothing over its list")?;
        let videos: Vec<String> = (result.counts.iter())
            .map(|(stream, n)| format!("{n} videos of {stream}"))
            .collect();
        self.progress.say(&format!(
            "{name} step {step}: {} over {}",
            program.name,
            videos.join(", ")
        ));
        *state.refreshed = Some(Refreshed { step, ..refreshed });
        Ok(())
    }

    fn epoch(&mut self, step: u64, state: &mut State<'_>) -> Result<(), RunError> {
        let name = &self.graph.run[state.position.entry].value;
        let Some(view) = self.graph.phases[name].validate.as_ref() else {
            return Ok(());
        };
        // A validation may take long: the run may be stopped or killed in it, and then validates when it goes on.
        state.position.unvalidated = true;
        self.save(step, state)?;
        stop::enter(Section::Saved)?;
        let program = self
            .checked
            .views
            .get(&view.value)
            .context("the validation view is not there")?;
        let result = self.view(program, state.store)?;
        stop::enter(Section::Unsaved)?;
        let State {
            store, position, log, ..
        } = state;
        position.unvalidated = false;
        let mut row = vec![];
        for s in &result.scores {
            for (n, v) in &s.scores.values {
                let at = s.stream.as_ref().map_or(String::new(), |s| format!("@{s}"));
                row.push((format!("{}.{n}{at}", s.node), *v));
            }
        }
        let mut head = Map::new();
        head.insert("view".into(), json!(view.value));
        head.insert("phase".into(), json!(name));
        head.insert("step".into(), json!(step));
        log.write(head, &view.value, step, &row)?;
        let words: Vec<String> = row.iter().map(|(n, v)| format!("{n} {v:.3}")).collect();
        self.progress
            .say(&format!("{name} step {step}, {}: {}", view.value, words.join("  ")));
        if self.graph.select.value == Select::Best {
            let held = |stream: &str| self.graph.held_out.iter().any(|h| h.value == stream);
            // What compares with labels; of an oracle, first of all those of a held-out stream.
            let labelled = |s: &&NodeScores| program.labels.iter().any(|u| program.calls[u.call].node == s.node);
            let mut scores: Vec<&NodeScores> = result.scores.iter().filter(labelled).collect();
            scores.sort_by_key(|s| !(self.graph.oracle && s.stream.as_deref().is_some_and(held)));
            let score = scores
                .first()
                .and_then(|s| s.scores.values.first())
                .map(|(_, v)| *v)
                .context("the validation view scores nothing")?;
            if position.best.is_none_or(|b| score > b) {
                position.best = Some(score);
                checkpoint::save(&self.folder.best(), position, store, None, None)?;
            }
        }
        Ok(())
    }
}
