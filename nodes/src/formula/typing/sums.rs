//! Sums and other reductions, and which of them are products of matrices.

use super::{Typer, Typing};
use crate::formula::fault::{Fault, Span};
use crate::formula::functions::Reduce;
use crate::formula::parse::{Binary, Expr, Word};
use crate::formula::typed::{Axis, Id, Op};

impl Typer {
    pub(super) fn reduce(&mut self, reduce: Reduce, f: &Word, given: &[Expr], span: &Span) -> Typing<Id> {
        let of = self.number(&given[0])?;
        let own = self.out.nodes[of].axes.clone();
        if own.is_empty() {
            let fault = Fault::new(span, format!("`{}` of a single number is that number", f.name));
            return Err(match (f.name.as_str(), given.len()) {
                ("max", 2) => fault.help("the larger of two values is `maximum(a, b)`"),
                ("min", 2) => fault.help("the smaller of two values is `minimum(a, b)`"),
                _ => fault,
            }
            .into());
        }
        let over = match &given[1..] {
            [] => own.clone(),
            named => self.over(of, f, named)?,
        };
        let axes: Vec<Axis> = own.iter().filter(|a| !over.contains(a)).copied().collect();
        let mean = reduce == Reduce::Mean;
        if matches!(reduce, Reduce::Sum | Reduce::Mean) {
            if let Some((a, b)) = self.distance(of, &over) {
                return self.push(span, Op::Distance(a, b, mean), axes, &[a, b]);
            }
            let groups = self.groups(of);
            if groups.len() > 1 {
                let all = groups.concat();
                return self.push(span, Op::Product(groups, mean), axes, &all);
            }
        }
        self.push(span, Op::Reduce(reduce, of), axes, &[of])
    }

    /// The two sides of a squared difference that share all axes of the sum, and have one of their own each.
    fn distance(&self, of: Id, over: &[Axis]) -> Option<(Id, Id)> {
        let nodes = &self.out.nodes;
        let Op::Binary(Binary::Pow, base, exponent) = nodes[of].op else {
            return None;
        };
        let (Op::Binary(Binary::Sub, a, b), Op::Number(2.0)) = (&nodes[base].op, &nodes[exponent].op) else {
            return None;
        };
        let (x, y) = (&nodes[*a].axes, &nodes[*b].axes);
        let shared = over.iter().all(|axis| x.contains(axis) && y.contains(axis));
        let own = x.iter().any(|axis| !y.contains(axis)) && y.iter().any(|axis| !x.contains(axis));
        (shared && own).then_some((*a, *b))
    }

    /// The factors of a product, those that another one has all axes of together with that one.
    fn groups(&self, of: Id) -> Vec<Vec<Id>> {
        let mut factors = vec![];
        self.factors(of, &mut factors);
        // The one with most axes first; a stable sort keeps the order of the text.
        factors.sort_by_key(|id| std::cmp::Reverse(self.out.nodes[*id].axes.len()));
        let mut groups: Vec<(Vec<Axis>, Vec<Id>)> = vec![];
        for id in factors {
            let axes = &self.out.nodes[id].axes;
            match groups.iter_mut().find(|(own, _)| axes.iter().all(|a| own.contains(a))) {
                Some((_, group)) => group.push(id),
                None => groups.push((axes.clone(), vec![id])),
            }
        }
        groups.into_iter().map(|(_, group)| group).collect()
    }

    fn factors(&self, of: Id, found: &mut Vec<Id>) {
        match self.out.nodes[of].op {
            Op::Binary(Binary::Mul, a, b) => {
                self.factors(a, found);
                self.factors(b, found);
            }
            _ => found.push(of),
        }
    }
}
