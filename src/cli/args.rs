//! Every flag, in one place.

use crate::diag::did_you_mean;
use crate::load::home;
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Args as ClapArgs, CommandFactory, Parser, Subcommand};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// As many threads as are of use on the largest machines; more would only take memory.
pub(super) const THREADS: RangeInclusive<u64> = 1..=1024;
/// The largest whole number of TOML.
const LARGEST: u64 = i64::MAX as u64;

/// Reads a whole number of a range, or names the range.
fn whole(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> + Clone + Send + Sync + 'static {
    move |text| match text.parse() {
        Ok(n) if range.contains(&n) => Ok(n),
        _ => Err(format!(
            "expected a whole number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

/// As [`whole`], of what is counted in memory.
fn count(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<usize, String> + Clone + Send + Sync + 'static {
    let whole = whole(range);
    move |text| usize::try_from(whole(text)?).map_err(|e| e.to_string())
}

/// Reads a path: a shell replaces `~` only at the beginning of a word, and not in `--out=~/runs`.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| {
        let path = path.to_str().map_or(path.clone(), home);
        let somebodys = path.to_str().is_some_and(|text| text.starts_with('~'));
        match somebodys && !path.exists() {
            true => Err("`~name` is not replaced (`~/` is): write the path out"),
            false => Ok(path),
        }
    })
}

/// Reads `PATH=VALUE`.
fn assignment(text: &str) -> Result<String, String> {
    match text.contains('=') {
        true => Ok(text.to_owned()),
        false => Err("expected PATH=VALUE, such as dims.T=4".to_owned()),
    }
}

/// Declarative pipeline graphs for unsupervised video domain adaptation.
///
/// `glad-run GRAPH` checks the graph, plans it, and runs it: phases in order, then the view `infer`.
#[derive(Parser, Debug)]
#[command(
    name = "glad-run",
    version,
    args_conflicts_with_subcommands = true,
    arg_required_else_help = true,
    after_help = "Exit codes: 0 done; 1 the graph is wrong, its data absent or the run's folder refused, nothing ran; 2 the command line is wrong; 3 the run failed; \
                  130 stopped by a signal, the state is saved."
)]
pub(super) struct Args {
    /// Other things to do than to run a graph.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Running a graph.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Which experiment: a graph and what is laid over it.
#[derive(ClapArgs, Clone, Debug)]
pub(super) struct GraphArgs {
    /// The graph: a file, or a built-in one (`glad-run list`).
    #[arg(value_parser = path())]
    pub graph: PathBuf,
    /// What is laid over it.
    #[command(flatten)]
    pub layers: LayerArgs,
}

/// What is laid over a graph.
#[derive(ClapArgs, Clone, Debug, Default)]
pub(super) struct LayerArgs {
    /// The setting, instead of the graph's own: data, sizes, backbone, lengths of phases. A file, or a built-in one.
    #[arg(long, value_name = "SETTING", value_parser = path())]
    pub setting: Option<PathBuf>,
    /// An overlay, a file or a built-in one; may be given several times.
    #[arg(long = "with", value_name = "OVERLAY", value_parser = path())]
    pub with: Vec<PathBuf>,
    /// A value to change, such as `phases.main.steps=100`; may be given several times.
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = assignment)]
    pub set: Vec<String>,
}

/// How things are run.
#[derive(ClapArgs, Clone, Debug)]
pub(super) struct MachineArgs {
    /// Threads that read and decode video [default: the number of cores].
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count(THREADS))]
    pub workers: Option<usize>,
    /// Threads that compute [default: the number of cores].
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count(THREADS))]
    pub threads: Option<usize>,
    /// Where to compute: `cpu` or `cuda:0`.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    /// Say nothing but errors and the result.
    #[arg(long, short)]
    pub quiet: bool,
}

/// Running a graph.
#[derive(ClapArgs, Clone, Debug)]
pub(super) struct RunArgs {
    /// The graph: a file, or a built-in one (`glad-run list`).
    #[arg(value_parser = path())]
    pub graph: Option<PathBuf>,
    /// What is laid over it.
    #[command(flatten)]
    pub layers: LayerArgs,
    /// The seed: everything random in training follows from it [default: the graph's, else 1].
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole(0..=LARGEST))]
    pub seed: Option<u64>,
    /// The run's folder [default: a new one under runs/].
    #[arg(long, value_name = "DIR", value_parser = path())]
    pub out: Option<PathBuf>,
    /// Go on with the run in --out from its last saved state.
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// For schedulers, which start the same command again: go on with the run in --out, or begin it where the folder is absent
    /// or empty. Anything else there is exit code 1.
    #[arg(long, requires = "out", conflicts_with = "resume")]
    pub go_on: bool,
    /// Save the state every so many steps, besides once a minute.
    #[arg(long, value_name = "STEPS", allow_negative_numbers = true, value_parser = whole(1..=LARGEST))]
    pub save_every: Option<u64>,
    /// Train phases anew that another run has trained in just the same way.
    #[arg(long)]
    pub no_share: bool,
    /// On a GPU: record each backbone's passes once (CUDA graphs) and launch them as a whole from then on. The same bits,
    /// sooner where networks or batches are small; takes more memory.
    #[arg(long)]
    pub cuda_graphs: bool,
    /// The machine.
    #[command(flatten)]
    pub machine: MachineArgs,
}

/// Other things to do than to run a graph.
#[derive(Subcommand, Debug)]
pub(super) enum Command {
    /// The graphs, settings and composites inside the program.
    List,
    /// Write a copy of a built-in file to edit, such as the setting `own_videos`. Nothing is overwritten.
    New {
        /// The built-in file (`glad-run list`).
        name: String,
        /// The file to write [default: the built-in file's name, in the current folder].
        #[arg(long, short, value_name = "FILE", value_parser = path())]
        out: Option<PathBuf>,
    },
    /// Check graphs (files, folders of them, or built-in ones) without running anything.
    Check {
        /// Graph files, folders of them, or built-in graphs.
        #[arg(required = true, value_parser = path())]
        graphs: Vec<PathBuf>,
        /// What is laid over each.
        #[command(flatten)]
        layers: LayerArgs,
        /// Look at every data file, too: what is absent is an error then.
        #[arg(long)]
        files: bool,
    },
    /// Write decoded frames as PNG, upright and at the video's own size; or one contact sheet, to look at.
    Frames {
        /// Video files or folders of frames.
        #[arg(required = true, value_parser = path())]
        videos: Vec<PathBuf>,
        /// Numbers of frames, from 0, such as 0,7,40 [default: all; with --sheet 24, spread evenly].
        #[arg(long, value_name = "N,…", value_delimiter = ',', conflicts_with = "graph", allow_negative_numbers = true, value_parser = count(0..=1_000_000_000))]
        index: Option<Vec<usize>>,
        /// The folder to write to.
        #[arg(long, short, value_name = "DIR", value_parser = path())]
        out: PathBuf,
        /// One picture of each video, with the number under each frame.
        #[arg(long)]
        sheet: bool,
        /// File names of folders of frames [default: img_%05d.jpg].
        #[arg(long, value_name = "NAME")]
        template: Option<String>,
        /// The number of a folder's first image [default: 0].
        #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count(0..=1_000_000_000))]
        start_index: Option<usize>,
        /// The frames that a sampler of this graph picks (--node); on a sheet each clip has a row.
        #[arg(long, requires = "node", value_parser = path())]
        graph: Option<PathBuf>,
        /// The sampler, such as `local`.
        #[arg(long, requires = "graph")]
        node: Option<String>,
        /// The phase or view that the sampler runs in [default: the last phase that it runs in].
        #[arg(long = "in", value_name = "PHASE", requires = "graph")]
        program: Option<String>,
        /// What is laid over the graph.
        #[command(flatten)]
        layers: LayerArgs,
        /// Show no progress.
        #[arg(long, short)]
        quiet: bool,
    },
    /// Go through every line and file of the lists of all phases and views, and say what is wrong.
    ///
    /// Every file is opened once, on all cores, and its index read; without --decode no frame is decoded. So it takes the time
    /// in which the disk opens so many files, and memory for every line: for a million lines whose files are all missing, the
    /// longest report, 35 s on 2 cores and 1.6 GB. `check` reads the lists alone: a million lines in 1.3 s and 130 MB.
    Lint {
        /// The experiment.
        #[command(flatten)]
        graph: GraphArgs,
        /// Where the report goes (Markdown) [default: runs/lint-GRAPH.md].
        #[arg(long, short, value_name = "FILE", value_parser = path())]
        out: Option<PathBuf>,
        /// Also decode the first, the middle and the last frame of every video file, and all images of folders.
        #[arg(long)]
        decode: bool,
        /// Threads that look at files [default: the number of cores].
        #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count(THREADS))]
        workers: Option<usize>,
        /// Show no progress.
        #[arg(long, short)]
        quiet: bool,
    },
    /// What would run: per phase and view the calls, types, parameters, cost, memory, and the gradient audit.
    Plan {
        /// The experiment.
        #[command(flatten)]
        graph: GraphArgs,
        /// The whole plan as JSON, for programs (`glad-run schema --plan` is its schema).
        #[arg(long, conflicts_with = "measure")]
        json: bool,
        /// Threads that read and decode, for the memory of the queue.
        #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = count(THREADS))]
        workers: Option<usize>,
        /// Where it is to compute, for its memory: `cpu` or `cuda:0`, which need not be there.
        #[arg(long, default_value = "cpu")]
        device: String,
        /// Also train so many steps of each phase on its real data, and tell which side waits for the other, the time that a run
        /// will take, and on a GPU its memory. Nothing is kept.
        #[arg(long, value_name = "STEPS", num_args = 0..=1, default_missing_value = "20", allow_negative_numbers = true, value_parser = count(1..=1_000_000))]
        measure: Option<usize>,
        /// With --measure: threads that compute [default: the number of cores].
        #[arg(long, value_name = "N", requires = "measure", allow_negative_numbers = true, value_parser = count(THREADS))]
        threads: Option<usize>,
        /// With --measure, on a GPU: as in a run with it.
        #[arg(long, requires = "measure")]
        cuda_graphs: bool,
    },
    /// Which file set a value: `explain graphs/full.toml phases.main.steps`.
    Explain {
        /// The experiment.
        #[command(flatten)]
        graph: GraphArgs,
        /// The value's path.
        path: String,
    },
    /// How two experiments differ, as structure.
    Diff {
        /// One graph: a file, or a built-in one.
        #[arg(value_parser = path())]
        a: PathBuf,
        /// The other.
        #[arg(value_parser = path())]
        b: PathBuf,
    },
    /// A picture of the graph (SVG).
    Draw {
        /// The experiment.
        #[command(flatten)]
        graph: GraphArgs,
        /// Show what is inside every composite, also of those that are alike.
        #[arg(long)]
        open: bool,
        /// The file to write, `.svg` [default: standard output].
        #[arg(long, short, value_name = "FILE", value_parser = path())]
        out: Option<PathBuf>,
    },
    /// The node kinds, or all about one of them.
    Nodes {
        /// The kind.
        kind: Option<String>,
    },
    /// The JSON schema of graph files, for editors.
    Schema {
        /// That of `glad-run plan --json` instead.
        #[arg(long)]
        plan: bool,
    },
    /// What runs share, below GLAD_CACHE: trained phases, images, generated data.
    Cache {
        /// Empty it. What a run at work still needs it makes again, or reports.
        #[arg(long)]
        clear: bool,
    },
    /// Score a finished run again.
    Eval {
        /// The run's folder.
        #[arg(long = "run", value_name = "DIR", value_parser = path())]
        run: PathBuf,
        /// The view.
        #[arg(long, default_value = "infer")]
        view: String,
        /// What is laid over the run's graph.
        #[command(flatten)]
        layers: LayerArgs,
        /// The machine.
        #[command(flatten)]
        machine: MachineArgs,
    },
    /// Class probabilities of any videos, or what any port gives for them.
    Predict {
        /// The run's folder.
        #[arg(long = "run", value_name = "DIR", value_parser = path())]
        run: PathBuf,
        /// Video files or folders of frames.
        #[arg(value_parser = path())]
        videos: Vec<PathBuf>,
        /// The videos of a list instead, one of the kind that the run's lists are.
        #[arg(long, value_name = "LIST", value_parser = path())]
        list: Option<PathBuf>,
        /// The view.
        #[arg(long, default_value = "infer")]
        view: String,
        /// A port to write instead, such as `consensus.y`.
        #[arg(long, value_name = "NODE.PORT")]
        port: Option<String>,
        /// What to write: for predictions a file, `.csv` (as a run's predictions.csv) or `.json`; for --port one file,
        /// `.safetensors`, or a folder with an index and a file for each video, a name without ending, which `feature_list` reads.
        #[arg(long, value_name = "FILE", value_parser = path())]
        out: Option<PathBuf>,
        /// The machine.
        #[command(flatten)]
        machine: MachineArgs,
    },
}

/// The command that may have been meant where `word` is none.
pub(super) fn near_command(word: &str) -> Option<String> {
    let command = Args::command();
    did_you_mean(word, command.get_subcommands().map(|c| c.get_name()))
}

/// Help where the first word of the command line, which is no command, was taken for a graph.
pub(super) fn command_meant() -> Option<String> {
    let first = std::env::args_os().nth(1)?.into_string().ok()?;
    if let Some(hint) = no_verb(&first, std::env::args().nth(2).as_deref()) {
        return Some(hint);
    }
    let is_one = Args::command().find_subcommand(&first).is_some();
    let plain = first.chars().all(|c| c.is_ascii_alphanumeric());
    near_command(&first).filter(|_| plain && !is_one)
}

/// Help where a verb is in front of the graph, as other programs have one.
pub(super) fn no_verb(first: &str, second: Option<&str>) -> Option<String> {
    let verb = ["run", "train"].contains(&first) && !Path::new(first).exists();
    let graph = second.filter(|word| !word.starts_with('-')).unwrap_or("GRAPH");
    verb.then(|| format!("a graph is run without a command in front of it: glad-run {graph}"))
}
