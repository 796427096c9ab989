//! Copies of weights that follow them: teachers.

use crate::program::{Checked, Copied, Program};
use anyhow::{Context, Result};
use candle_core::Tensor;
use glad_nodes::{Role, Weight, WeightSpec, WeightStore, ema};

/// Makes what `store` does not have of a program's copies, equal to what they copy. A stream's own weight that a copy gains
/// later, with a program of more streams, begins as the copy's of all streams. Gives the names.
///
/// # Errors
/// There is nothing to copy, or the device has no memory.
pub(super) fn begin(program: &Program, store: &mut WeightStore) -> Result<Vec<String>> {
    let mut begun = vec![];
    for copied in &program.copies {
        let fresh = !store.has_node(&copied.node);
        for spec in &program.weights[&copied.node] {
            let name = full(&copied.node, &spec.name);
            if store.get(&name).is_some() {
                continue;
            }
            let of_all = spec.starts_as().filter(|_| !fresh && spec.role != Role::Buffer);
            let own = of_all.and_then(|all| store.get(&full(&copied.node, all)));
            let from = own.map_or_else(|| original(store, copied, spec), Ok)?;
            let value = from.value.copy()?;
            store.insert(name.clone(), spec.clone(), value);
            begun.push(name);
        }
    }
    Ok(begun)
}

/// Gives copies that follow the running statistics that a view has computed anew for what they copy.
///
/// # Errors
/// The device fails.
pub(super) fn statistics(checked: &Checked, view: &Program, store: &mut WeightStore) -> Result<()> {
    for program in checked.phases.values().chain(checked.views.values()) {
        let follows = |c: &&Copied| c.ema != 1.0 && view.statistics.contains(&c.of);
        for copied in program.copies.iter().filter(follows) {
            for spec in program.weights[&copied.node].iter().filter(|s| s.role == Role::Buffer) {
                let value = original(store, copied, spec)?.value.clone();
                if let Some(copy) = store.get_mut(&full(&copied.node, &spec.name)) {
                    write(copy, &value)?;
                }
            }
        }
    }
    Ok(())
}

/// Moves the copies after an update of what they copy: `copy ← ema · copy + (1 − ema) · weight` for what is trained, and the
/// running statistics as they are. In place, since recorded work of a GPU knows weights by their addresses.
///
/// # Errors
/// The device fails.
pub(super) fn follow(program: &Program, store: &mut WeightStore) -> Result<()> {
    for copied in program.copies.iter().filter(|c| c.moves) {
        for spec in &program.weights[&copied.node] {
            let weight = original(store, copied, spec)?.value.clone();
            let name = full(&copied.node, &spec.name);
            let copy = store
                .get_mut(&name)
                .with_context(|| format!("there is no weight `{name}`"))?;
            if spec.role == Role::Buffer {
                write(copy, &weight)?;
                continue;
            }
            ema::follow(copied.ema, &weight, &copy.value).with_context(|| format!("update of `{name}`"))?;
            copy.version += 1;
        }
    }
    Ok(())
}

/// In place.
fn write(copy: &mut Weight, value: &Tensor) -> Result<()> {
    copy.value.flatten_all()?.slice_set(&value.flatten_all()?, 0, 0)?;
    copy.version += 1;
    Ok(())
}

fn full(node: &str, name: &str) -> String {
    format!("{node}.{name}")
}

/// What a weight is a copy of: of a stream's own where the other has none, that of all streams.
fn original<'s>(store: &'s WeightStore, copied: &Copied, spec: &WeightSpec) -> Result<&'s Weight> {
    let name = full(&copied.of, &spec.name);
    let of_all = || store.get(&full(&copied.of, spec.starts_as()?));
    store
        .get(&name)
        .or_else(of_all)
        .with_context(|| format!("there is no weight `{name}`, of which `{}` is a copy", copied.node))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;

    /// The teacher of Transfer-Learning-Library: elements sin(phase + a i + b j) of student and teacher, in float64.
    #[test]
    fn a_copy_moves_as_a_released_teacher_does() {
        let wave = |phase: f64, [a, b]: [f64; 2]| {
            let at = |i: usize| ((phase + a * (i / 3) as f64 + b * (i % 3) as f64).sin()) as f32;
            Tensor::from_vec((0..6).map(at).collect::<Vec<_>>(), (2, 3), &Device::Cpu).unwrap()
        };
        let (student, teacher) = (wave(0.3, [0.9, 0.7]), wave(0.5, [0.8, 0.6]));
        let right = [
            0.4775864852847743,
            0.8907099963089,
            0.9916648104524686,
            0.9632429944226933,
            0.9463000876874145,
            0.5976424363811317,
        ];
        ema::follow(0.99, &student, &teacher).unwrap();
        for (found, right) in teacher
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap()
            .into_iter()
            .zip(right)
        {
            assert!((f64::from(found) - right).abs() < 1e-7, "{found}, and {right} is right");
        }
    }
}
