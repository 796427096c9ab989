//! `glad-run list` and `glad-run new`: the graph files inside the program.

use super::exit::Failure;
use super::output::ends_in;
use crate::describe::svg::shortened;
use crate::diag::{one_line, suggest, terminal};
use crate::load::{BuiltIn, Use, built_in, built_ins, copy_of};
use anyhow::Context;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Letters of a line about a file.
const WIDTH: usize = 100;

/// The built-in files, with what each is.
pub(super) fn list() -> String {
    let mut out = String::new();
    let parts = [
        (
            Use::Graph,
            "graphs: glad-run NAME (also with check, plan, draw, …; --with NAME lays one over another)",
        ),
        (Use::Setting, "settings: --setting NAME"),
        (Use::Composite, "composites: kind = \"glad:NAME\" in a graph"),
    ];
    let widest = built_ins().map(|b| b.short().len()).max().unwrap_or(0);
    for (part, heading) in parts {
        out += &format!("{heading}\n");
        for b in built_ins().filter(|b| b.used_as() == part) {
            out += format!("  {:widest$}  {}", b.short(), shortened(&about(b.text), WIDTH)).trim_end();
            out.push('\n');
        }
        out.push('\n');
    }
    out + "glad-run new NAME writes a copy to edit. In graph files these are glad:full, glad:settings/mini, glad:lib/order, …\n"
}

/// The first sentence of the comment at the file's top, else its title.
fn about(text: &str) -> String {
    let lines = text.lines().skip_while(|l| l.starts_with("#:"));
    let comment: Vec<&str> = lines.map_while(|l| l.strip_prefix("# ")).collect();
    let comment = comment.join(" ");
    if !comment.is_empty() {
        // A sentence ends before a capital: `eq. 4` is no end.
        let ends = |(i, _): &(usize, &str)| comment[i + 2..].starts_with(char::is_uppercase);
        let end = comment
            .match_indices(". ")
            .find(ends)
            .map_or(comment.len(), |(i, _)| i + 1);
        return comment[..end].to_string();
    }
    let table = text.parse::<toml::Table>().unwrap_or_default();
    let title = table.get("title").or_else(|| table.get("set")?.get("title"));
    title.and_then(toml::Value::as_str).unwrap_or_default().to_string()
}

/// Writes a copy of a built-in file to `out`, else to the current folder. Nothing is overwritten.
///
/// # Errors
/// There is no such built-in file, or the copy cannot be written.
pub(super) fn new(name: &str, out: Option<&Path>) -> Result<(), Failure> {
    let name = name.strip_prefix("glad:").unwrap_or(name);
    let found = built_in(name).or_else(|| built_ins().find(|b| b.short() == name));
    let Some(found) = found else {
        let names: Vec<&str> = built_ins().map(|b| b.short()).collect();
        let help = suggest(name, "built-in files", names);
        return Err(Failure::Usage(format!("there is no built-in file `{name}`: {help}")));
    };
    let file = format!("{}.toml", found.name.rsplit('/').next().unwrap_or(found.name));
    let path = out.map_or_else(|| PathBuf::from(&file), Path::to_path_buf);
    let path = if path.is_dir() { path.join(file) } else { path };
    ends_in(&path, "a graph file", &["toml"])?;
    match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(mut to) => to
            .write_all(copy_of(found).as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?,
        Err(e) if e.kind() == ErrorKind::AlreadyExists => {
            let path = path.display();
            return Err(Failure::Usage(format!(
                "{path} is there already, and nothing is overwritten: name another file by -o"
            )));
        }
        Err(e) => {
            return Err(anyhow::Error::new(e)
                .context(format!("cannot write {}", path.display()))
                .into());
        }
    }
    terminal::out(&next(found, &one_line(&path.display().to_string())));
    Ok(())
}

/// What to do with a copy.
fn next(b: BuiltIn, path: &str) -> String {
    match b.used_as() {
        Use::Setting => format!(
            "{path} is written. Name your lists and sizes in it, then\n  glad-run lint full --setting {path}\n  glad-run full --setting {path}\n"
        ),
        Use::Graph => format!("{path} is written. Edit it, then\n  glad-run check {path}\n  glad-run {path}\n"),
        Use::Composite => format!("{path} is written: `kind = \"{path}\"` in a graph beside it.\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Args;
    use clap::CommandFactory;

    #[test]
    fn each_is_listed_with_what_it_is() {
        let text = list();
        let line = |name: &str, about: &str| format!("  {name:25}  {about}");
        for line in [
            line(
                "full",
                "GLAD: global-local view alignment, background debiasing, temporal order learning.",
            ),
            line("ablations/2a_all", "Table 2a: all three alignments"),
            line("smoke", "The mini setting in a minute: a few videos, a few steps."),
            line(
                "lib/order",
                "Temporal order learning (eq. 7): clip features in random order, which of the N! orders was it?",
            ),
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        for b in built_ins() {
            assert!(
                !about(b.text).is_empty(),
                "{} says what it is in its first line, or has a title",
                b.name
            );
        }
    }

    /// `glad-run NAME` is a command or a graph, never one in the place of the other.
    #[test]
    fn no_command_hides_a_built_in_file() {
        for command in Args::command().get_subcommands() {
            assert_eq!(built_in(command.get_name()), None, "{}", command.get_name());
        }
    }

    #[test]
    fn a_copy_overwrites_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.toml");
        new("own_videos", Some(&path)).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("glad:lib/resize_crop_flip"));
        std::fs::write(&path, "mine").unwrap();
        let Err(Failure::Usage(printed)) = new("own_videos", Some(&path)) else {
            panic!("it was written again")
        };
        assert!(printed.contains("mine.toml is there already"), "{printed}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        new("glad:settings/own_videos", Some(dir.path())).unwrap();
        assert!(dir.path().join("own_videos.toml").is_file());
        let Err(Failure::Usage(printed)) = new("own_video", None) else {
            panic!("there is no such file")
        };
        assert!(printed.contains("did you mean `own_videos`?"), "{printed}");
    }
}
