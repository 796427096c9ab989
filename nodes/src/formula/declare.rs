//! From the parameters of a node to its typed formulas.

use super::Formula;
use super::fault::{Fault, Span, suggest};
use super::parse::{self, Stated, Word};
use super::typed::{Axis, Input, Op, Output, Typed};
use super::typing::{Let, Typer, Value, reserved};
use crate::{Head, ParamProblem};
use std::collections::BTreeMap;

/// Texts of one node.
const MOST_TEXTS: usize = 64;
/// Heads that no formula makes: what is on the host.
const HOST: [Head; 9] = [
    Head::Video,
    Head::Flow,
    Head::Sequence,
    Head::FrameIndex,
    Head::Clip,
    Head::Images,
    Head::Length,
    Head::Label,
    Head::Mask,
];

/// The typed form of a node's formulas.
///
/// # Errors
/// All that is wrong with them.
pub(super) fn typed(formula: &Formula) -> Result<Typed, Vec<ParamProblem>> {
    let mut typer = Typer {
        out: Typed::default(),
        params: formula.params.iter().map(|(n, v)| (n.clone(), *v)).collect(),
        lets: BTreeMap::new(),
        used: vec![],
        faults: vec![],
        text: 0,
    };
    let texts = formula.lets.len() + formula.outputs.len() + formula.axes.len() + formula.params.len();
    if texts > MOST_TEXTS {
        let message = format!("there are {texts} inputs, parameters and formulas, and {MOST_TEXTS} is the most");
        return Err(vec![ParamProblem::new("", message)]);
    }
    let mut problems = names(formula);
    for (name, text) in &formula.axes {
        if let Err(fault) = input(&mut typer, name, text) {
            problems.push(fault.of(&format!("axes.{name}")));
        }
    }
    if !problems.is_empty() {
        // Formulas over what is not known would repeat it.
        return Err(problems);
    }
    for (name, text) in &formula.lets {
        let number = typer.add_text(format!("let.{name}"), text);
        let parsed = parse::formula(text);
        let entry = parsed.map_or_else(
            |fault| {
                typer.fault(number, fault);
                Let::Wrong
            },
            |expr| Let::Open(expr, number),
        );
        typer.lets.insert(name.clone(), entry);
    }
    formula.lets.keys().for_each(|name| typer.settle(name));
    if let Some(text) = &formula.loss {
        loss(&mut typer, text);
    }
    for (name, text) in &formula.outputs {
        output(&mut typer, name, text);
    }
    if formula.loss.is_none() && formula.outputs.is_empty() {
        problems.push(
            ParamProblem::new("", "has no formula")
                .help("give a `loss = \"…\"`, or tensors in `outputs = { y = \"…\" }`"),
        );
    }
    problems.extend(typer.faults.drain(..).map(|(path, fault)| fault.of(&path)));
    if problems.is_empty() {
        problems = unused_inputs(&typer.out);
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let unused = |of: &str, name: &String| (!typer.used.contains(name)).then(|| format!("{of}.{name}"));
    let lets = formula.lets.keys().filter_map(|n| unused("let", n));
    let params = formula.params.keys().filter_map(|n| unused("params", n));
    typer.out.unused = lets.chain(params).collect();
    Ok(typer.out)
}

/// Names of values that are taken, or are no names.
fn names(formula: &Formula) -> Vec<ParamProblem> {
    let groups = [
        ("axes", formula.axes.keys().collect::<Vec<_>>()),
        ("params", formula.params.keys().collect()),
        ("let", formula.lets.keys().collect()),
    ];
    let mut seen: BTreeMap<&str, &str> = BTreeMap::new();
    let mut problems = vec![];
    for (group, names) in &groups {
        for name in names {
            let mut refuse = |message: String| problems.push(ParamProblem::new(format!("{group}.{name}"), message));
            if !is_name(name) {
                refuse(format!("`{name}` is no name: names have letters, digits and `_`"));
            } else if reserved(name) {
                refuse(format!("`{name}` is a word of formulas"));
            } else if let Some(other) = seen.insert(name, group) {
                refuse(format!("`{name}` is also in `{other}`"));
            }
        }
    }
    let outputs = formula.outputs.keys();
    for name in outputs.filter(|n| !is_name(n) || formula.loss.is_some() && *n == "loss") {
        let message = match is_name(name) {
            true => "`loss` is also the output of `loss`".to_string(),
            false => format!("`{name}` is no name: names have letters, digits and `_`"),
        };
        problems.push(ParamProblem::new(format!("outputs.{name}"), message));
    }
    problems
}

fn is_name(name: &str) -> bool {
    let letters = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    letters && !name.is_empty() && !name.starts_with(|c: char| c.is_numeric())
}

/// Declares an input with its axes.
fn input(typer: &mut Typer, name: &str, text: &str) -> Result<(), Fault> {
    let (head, words) = parse::axes(text)?;
    let mut axes: Vec<Axis> = vec![];
    for Word { name, span } in words {
        let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !plain || name.starts_with('_') {
            return Err(
                Fault::new(&span, format!("`{name}` is no name of an axis")).help("letters from a to z, and digits")
            );
        }
        let axis = typer.out.axes.declare(&name);
        if axes.contains(&axis) {
            return Err(Fault::new(&span, format!("`{name}` is named twice"))
                .help("each axis of an input has a name of its own"));
        }
        axes.push(axis);
    }
    let head = head.map(|h| h.name);
    if matches!(head.as_deref(), Some("Label" | "Mask")) && axes.is_empty() {
        return Err(Fault::new(&(0..text.len()), "labels and masks have an axis").help("`Label[n]`"));
    }
    typer.out.inputs.push(Input {
        name: name.into(),
        head,
        axes,
    });
    Ok(())
}

fn loss(typer: &mut Typer, text: &str) {
    let number = typer.add_text("loss".into(), text);
    let expr = match parse::formula(text) {
        Ok(e) => e,
        Err(fault) => return typer.fault(number, fault),
    };
    let Some(value) = typer.text(number, &expr) else { return };
    match finished(typer, number, &value, &expr.span) {
        Ok(id) => scalar(typer, number, "loss", "Loss", id, &expr.span),
        Err(fault) => typer.fault(number, fault),
    }
}

/// Adds an output that has to be one number.
fn scalar(typer: &mut Typer, number: usize, name: &str, head: &str, id: usize, span: &Span) {
    let node = &typer.out.nodes[id];
    let axes = node.axes.clone();
    if !axes.is_empty() {
        let what = if head == "Loss" { "the loss" } else { "a metric" };
        let shown = typer.out.axes.show(&axes);
        let names: Vec<&str> = axes.iter().map(|a| typer.out.axes.name(*a)).collect();
        let fault = Fault::new(span, format!("{what} is {shown}, and has to be one number"));
        let help = format!("`sum(…)` or `mean(…)` over {}", names.join(" and "));
        return typer.fault(number, fault.help(help));
    }
    if node.constant {
        return typer.fault(number, Fault::new(span, "no input has to do with this number"));
    }
    typer.out.outputs.push(Output {
        name: name.into(),
        head: head.into(),
        axes,
        value: id,
    });
}

/// The value of a text as an output.
fn finished(typer: &mut Typer, number: usize, value: &Value, span: &Span) -> Result<usize, Fault> {
    match value {
        Value::Of(id) => {
            typer.out.texts[number].value = Some(*id);
            Ok(*id)
        }
        Value::Labels(i, _) => {
            let name = &typer.out.inputs[*i].name;
            Err(Fault::new(span, format!("`{name}` are labels, no numbers"))
                .help("take the labels where the node takes them from"))
        }
    }
}

fn output(typer: &mut Typer, name: &str, text: &str) {
    let number = typer.add_text(format!("outputs.{name}"), text);
    let (stated, expr) = match parse::output(text) {
        Ok(found) => found,
        Err(fault) => return typer.fault(number, fault),
    };
    let Some(value) = typer.text(number, &expr) else { return };
    let id = match finished(typer, number, &value, &expr.span) {
        Ok(id) => id,
        Err(fault) => return typer.fault(number, fault),
    };
    let (head, axes) = match &stated {
        None => ("Feature".to_string(), typer.out.nodes[id].axes.clone()),
        Some(stated) => match order(typer, stated, id) {
            Ok(axes) => (stated.head.name.clone(), axes),
            Err(fault) => return typer.fault(number, fault),
        },
    };
    if matches!(head.as_str(), "Loss" | "Metric") {
        return scalar(typer, number, name, &head, id, &expr.span);
    }
    if axes.is_empty() {
        let fault = Fault::new(&expr.span, "a single number is a loss or a metric");
        return typer.fault(number, fault.help("write it in `loss`, or as `Metric[] = …`"));
    }
    typer.out.outputs.push(Output {
        name: name.into(),
        head,
        axes,
        value: id,
    });
}

/// The axes that an output states, which have to be those of its value, in any order.
fn order(typer: &mut Typer, stated: &Stated, id: usize) -> Result<Vec<Axis>, Fault> {
    let head = Head::from(stated.head.name.as_str());
    if HOST.contains(&head) {
        return Err(Fault::new(&stated.head.span, format!("a formula makes no {head}"))
            .help("it makes values on the device, such as `Feature[n,d]`, `Logits[n,k]` and `Metric[]`"));
    }
    let own = typer.out.nodes[id].axes.clone();
    let shown = typer.out.axes.show(&own);
    let mut axes = vec![];
    for word in &stated.axes {
        match typer.out.axes.find(&word.name).filter(|a| own.contains(a)) {
            Some(axis) if !axes.contains(&axis) => axes.push(axis),
            Some(_) => {
                return Err(Fault::new(
                    &word.span,
                    format!("the axis `{}` is named twice", word.name),
                ));
            }
            None => {
                let names = own.iter().map(|a| typer.out.axes.name(*a));
                return Err(
                    Fault::new(&word.span, format!("there is no axis `{}` in {shown}", word.name)).help(suggest(
                        &word.name,
                        names,
                        format!("the value is {shown}"),
                    )),
                );
            }
        }
    }
    match axes.len() == own.len() {
        true => Ok(axes),
        false => {
            Err(Fault::new(&stated.span, format!("the value is {shown}")).help("name all its axes, in the order meant"))
        }
    }
}

/// Inputs that no output needs.
fn unused_inputs(typed: &Typed) -> Vec<ParamProblem> {
    let needed = typed.needed();
    let mut used: Vec<usize> = (0..typed.nodes.len())
        .filter(|id| needed[*id])
        .flat_map(|id| typed.reads(id))
        .collect();
    // A declared axis may be of use by its size alone.
    let sizes = (0..typed.nodes.len()).filter(|id| needed[*id]);
    for id in sizes {
        let axes = match &typed.nodes[id].op {
            Op::Size(axis) => vec![*axis],
            Op::Index | Op::OneHot(_) => typed.nodes[id].axes.clone(),
            _ => vec![],
        };
        for axis in axes.into_iter().map(|a| typed.axes.of(a)) {
            // The only input that tells the size.
            let with: Vec<usize> = (0..typed.inputs.len())
                .filter(|i| typed.inputs[*i].axes.contains(&axis))
                .collect();
            if let [only] = with.as_slice() {
                used.push(*only);
            }
        }
    }
    let unused = typed.inputs.iter().enumerate().filter(|(i, _)| !used.contains(i));
    unused
        .map(|(_, input)| {
            ParamProblem::new(format!("axes.{}", input.name), "no formula uses this input")
                .help(format!("use `{}`, or leave it out of `axes` and `inputs`", input.name))
        })
        .collect()
}
