//! The schema for editors: it matches the current kinds, and all graphs of the repository are valid by it.

use jsonschema::Validator;
use serde_json::Value;
use std::path::{Path, PathBuf};

const FILE: &str = "graphs/graph.schema.json";

fn schema() -> Value {
    glad::describe::schema(&glad::nodes::registry())
}

fn validator() -> Validator {
    jsonschema::draft7::new(&schema()).expect("a valid schema of draft 07")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn graphs(folder: &Path, all: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            graphs(&path, all);
        } else if path.extension().is_some_and(|e| e == "toml") {
            all.push(path);
        }
    }
}

fn parse(text: &str) -> Value {
    serde_json::to_value(text.parse::<toml::Table>().unwrap()).unwrap()
}

#[test]
fn the_file_is_up_to_date() {
    let text = std::fs::read_to_string(root().join(FILE)).unwrap_or_default();
    let file: Value = serde_json::from_str(&text).unwrap_or_default();
    assert!(
        file == schema(),
        "{FILE} is not that of the kinds: `glad-run schema > {FILE}`"
    );
}

#[test]
fn it_is_a_schema_of_draft_07() {
    assert!(jsonschema::draft7::meta::is_valid(&schema()));
}

#[test]
fn all_our_graphs_are_valid() {
    let v = validator();
    let mut all = vec![];
    graphs(&root().join("graphs"), &mut all);
    graphs(&root().join("examples"), &mut all);
    all.retain(|p| p.file_name().is_some_and(|n| n != "Cargo.toml"));
    assert!(all.len() > 30);
    for path in all {
        let graph = parse(&std::fs::read_to_string(&path).unwrap());
        let mut wrong: Vec<String> = v
            .iter_errors(&graph)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        // The example has a kind that the program itself lacks.
        wrong.retain(|w| !(path.ends_with("custom-node/coral.toml") && w.starts_with("/nodes/coral/kind:")));
        assert!(wrong.is_empty(), "{}: {wrong:#?}", path.display());
    }
}

#[test]
fn mistakes_are_found() {
    let v = validator();
    for (text, at) in [
        ("titel = \"x\"", ""),
        ("streams = \"source\"", "/streams"),
        ("[nodes.a]\nkind = \"uniform_samplr\"", "/nodes/a/kind"),
        ("[nodes.a]\nkind = \"uniform_sampler\"\nclips = true", "/nodes/a/clips"),
        ("[nodes.a]\nkind = \"uniform_sampler\"\nclip = 2", "/nodes/a/clip"),
        ("[nodes.a]\nkind = \"grl\"\nschedule = \"ganim\"", "/nodes/a/schedule"),
        (
            "[nodes.a]\nkind = \"video_list\"\ngenerate.mini.sede = 1",
            "/nodes/a/generate",
        ),
        ("[nodes.a]\ninputs = { x = 1 }", "/nodes/a/inputs/x"),
        ("[phases.a]\nbatch = 0", "/phases/a/batch"),
        ("[phases.a]\nepoch = 1", "/phases/a/epoch"),
        ("[phases.a]\nepoks = 1", "/phases/a"),
        (
            "[phases.a.optimizer.schedule]\nkind = \"step\"\nat = 5",
            "/phases/a/optimizer/schedule",
        ),
        ("[views.a]\nlosses = { x = 1.0 }", "/views/a"),
    ] {
        let graph = parse(text);
        let found: Vec<String> = v.iter_errors(&graph).map(|e| e.instance_path().to_string()).collect();
        assert!(found.iter().any(|f| f == at), "{text}: {found:?}");
    }
}

#[test]
fn a_parameter_may_stand_for_any_value_and_a_stream_may_have_its_own() {
    let text = "
[params]
clips = 2
[nodes.a]
kind = \"uniform_sampler\"
clips = \"$clips\"
frames = \"T\"
target.frames = 4
[nodes.b]
kind = \"grl\"
schedule = \"$grl\"
";
    assert!(validator().is_valid(&parse(text)));
}
