//! Parameters of sources against the files of their lists: what is wrong with all of them is found before anything runs.

use super::lists::{dim, list_place, param};
use crate::diag::Problem;
use crate::graph::Graph;
use crate::program::{Call, Program};
use glad_nodes::Source;

/// That a source's parameters do not fit its files, with the places of both.
pub(super) fn examine(
    graph: &Graph,
    program: &Program,
    (call, stream): (&Call, Option<&str>),
    source: &dyn Source,
) -> Option<Problem> {
    let found = source.examine(&program.split).err()?;
    let node = &graph.nodes[&call.node];
    let of_stream = stream.map_or(String::new(), |s| format!(" of stream {s}"));
    let mut p = Problem::error(found.message).at(
        &list_place(node, stream, &program.split),
        format!("the list{of_stream} ({})", program.split),
    );
    if let Some(value) = param(node, stream, &found.path) {
        p = p.at(&value.place, format!("`{}` of `{}`", found.path, node.path));
        if let Some((place, number)) = value.text().and_then(|name| dim(graph, program, name)) {
            p = p.at(&place, number);
        }
    }
    Some(match found.help {
        Some(help) => p.help(help),
        None => p,
    })
}

#[cfg(test)]
mod tests {
    use crate::check::testing::features;

    /// An array of so many rows of so many numbers.
    fn npy(rows: usize, size: usize) -> Vec<u8> {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {size}), }}\n");
        let length = (header.len() as u16).to_le_bytes();
        let numbers = vec![0; 4 * rows * size];
        [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes(), &numbers].concat()
    }

    const SOURCE: &str = "video,label,file,shape\n/v/a.mp4,0,../a.npy,3x16\n/v/b.mp4,1,../b.npy,3x16\n";

    #[test]
    fn rows_of_another_size_are_found_with_all_places() {
        let files = |a: usize, b: usize| [("a.npy", npy(3, a)), ("b.npy", npy(3, b))];
        let found = features(&[("source_train", SOURCE)], &files(16, 16), "");
        assert_eq!(
            found.list.iter().filter(|p| p.message.contains("shape")).count(),
            1,
            "{found}"
        );
        let text = found.to_string();
        for part in [
            "source_train/index.csv:2: ",
            "a.npy has the shape [3, 16], where rows of 64 numbers are expected",
            "the list of stream source (train)",
            "`size` of `videos`",
            "D = 64",
            "write `D = 16` in `dims`",
        ] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        // One of them fits, so the other is a bad video, and the parameter is right.
        let found = features(&[("source_train", SOURCE)], &files(16, 64), "");
        assert!(!found.to_string().contains("shape"), "{found}");
        let found = features(&[("source_train", SOURCE)], &files(16, 16), "[set.dims]\nD = 16");
        assert!(!found.to_string().contains("shape"), "{found}");
    }

    #[test]
    fn folders_need_the_names_that_their_files_have() {
        let one = |name: &str| (format!("a/{name}"), npy(1, 64));
        let files: Vec<(String, Vec<u8>)> = ["img_00001.npy", "img_00002.npy", "notes.txt"].map(one).into();
        let files: Vec<(&str, Vec<u8>)> = files.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
        let index = "video,label,file,shape\n/v/a.mp4,0,../a,2x64\n";
        let of = |overlay: &str| features(&[("source_train", index)], &files, overlay).to_string();
        let text = of("");
        assert!(
            text.contains("is a folder, and no `template` says what its files are called")
                && text.contains("write `template = \"img_%05d.npy\"` and `start_index = 1`"),
            "{text}"
        );
        let text = of("[nodes.videos]\ntemplate = \"img_%05d.npy\"");
        assert!(
            text.contains("has no img_00000.npy: its first is img_00001.npy")
                && text.contains("write `start_index = 1`"),
            "{text}"
        );
        let text = of("[nodes.videos]\ntemplate = \"frame_%d.npy\"\nstart_index = 1");
        assert!(
            text.contains("has no frame_1.npy: its files are called as img_00001.npy")
                && text.contains("write `template = \"img_%05d.npy\"`\n"),
            "{text}"
        );
        let text = of("[nodes.videos]\ntemplate = \"img_%05d.npy\"\nstart_index = 1");
        assert!(!text.contains("img_"), "{text}");
    }
}
