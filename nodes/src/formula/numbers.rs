//! The numbers of a formula that no input has to do with, in f64.

use super::host::Arrived;
use super::numeric::of_number;
use super::parse::Binary;
use super::program::Program;
use super::typed::{Op, Typed};

/// The number of each operation that is one, where `progress` is the share of the phase that is done; 0 for the others.
pub(super) fn numbers(program: &Program, arrived: &Arrived<'_>, progress: f64) -> Vec<f64> {
    let mut numbers: Vec<f64> = vec![];
    for (id, node) in program.typed.nodes.iter().enumerate() {
        let number = match (&node.op, node.constant && program.needed[id]) {
            (_, false) => 0.0,
            (Op::Number(x), _) => *x,
            (Op::Size(axis), _) => arrived.size(*axis) as f64,
            (Op::Dim(name), _) => program.dims[name] as f64,
            (Op::Progress, _) => progress,
            (Op::Renamed(of) | Op::Detach(of), _) => numbers[*of],
            (Op::Unary(function, of), _) => of_number(*function, numbers[*of]),
            (Op::Binary(operation, a, b), _) => of_numbers(*operation, numbers[*a], numbers[*b]),
            (Op::Larger(true, a, b), _) => numbers[*a].max(numbers[*b]),
            (Op::Larger(false, a, b), _) => numbers[*a].min(numbers[*b]),
            (Op::Where(c, a, b), _) => numbers[if numbers[*c] != 0.0 { *a } else { *b }],
            // All others are of inputs, or have axes.
            _ => 0.0,
        };
        numbers.push(number);
    }
    numbers
}

/// Which operations are numbers that change from step to step.
pub(super) fn moving(typed: &Typed) -> Vec<bool> {
    let mut moving: Vec<bool> = vec![];
    for (id, node) in typed.nodes.iter().enumerate() {
        let below = typed.below(id);
        moving.push(node.constant && (node.op == Op::Progress || below.iter().any(|b| moving[*b])));
    }
    moving
}

/// What an operator makes of two numbers.
pub(super) fn of_numbers(operation: Binary, x: f64, y: f64) -> f64 {
    let truth = |t: bool| f64::from(u8::from(t));
    match operation {
        Binary::Add => x + y,
        Binary::Sub => x - y,
        Binary::Mul => x * y,
        Binary::Div => x / y,
        Binary::Pow => x.powf(y),
        Binary::Less => truth(x < y),
        Binary::LessEqual => truth(x <= y),
        Binary::Greater => truth(x > y),
        Binary::GreaterEqual => truth(x >= y),
        Binary::Equal => truth(x == y),
        Binary::NotEqual => truth(x != y),
        Binary::And => x * y,
        Binary::Or => x.max(y),
    }
}
