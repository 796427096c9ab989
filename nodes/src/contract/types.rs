//! Types of ports: a head and named dimensions, `Clip[B,N,T,H,W,C]`.

use super::Head;
use super::dim::{DimExpr, DimScope, Size};
use std::fmt;

/// Elements of the largest value: 256 GiB of 32-bit numbers.
const MOST_ELEMENTS: usize = 1 << 36;

/// What travels on an edge in one phase or view: a head and sizes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Type {
    /// What it is.
    pub head: Head,
    /// The sizes, outermost first.
    pub dims: Vec<Size>,
}

impl Type {
    /// Elements for a batch of `batch` samples; `None` where a size is ragged. A number that does not fit is the largest: the
    /// check refuses such types (see [`Type::fits`]).
    pub fn elements(&self, batch: usize) -> Option<usize> {
        self.dims.iter().try_fold(1usize, |n, d| match d {
            Size::Known(k) => Some(n.saturating_mul(*k)),
            Size::Batch(k) => Some(n.saturating_mul(*k).saturating_mul(batch)),
            Size::Ragged => None,
        })
    }

    /// Whether a batch of `batch` samples has no more elements than machines have room for, ragged sizes left out. Nodes are
    /// only built on such types, so that their sizes may be multiplied without a look at overflows.
    pub fn fits(&self, batch: usize) -> bool {
        let sizes = self.dims.iter().flat_map(|d| match d {
            Size::Known(k) => [*k, 1],
            Size::Batch(k) => [*k, batch],
            Size::Ragged => [1, 1],
        });
        // A size of 0 would hide what the others are.
        let elements = sizes.map(|n| n.max(1)).try_fold(1, usize::checked_mul);
        elements.is_some_and(|n| n <= MOST_ELEMENTS)
    }

    /// Whether a dimension is zero: an empty view.
    pub fn is_empty(&self) -> bool {
        self.dims.contains(&Size::Known(0))
    }

    /// The shape of the tensor for a batch of `batch`; `None` where a size is ragged.
    pub fn shape(&self, batch: usize) -> Option<Vec<usize>> {
        self.dims
            .iter()
            .map(|d| match d {
                Size::Known(k) => Some(*k),
                Size::Batch(k) => Some(k * batch),
                Size::Ragged => None,
            })
            .collect()
    }

    /// The number behind dimension `i`, counted from the back when negative.
    pub fn known(&self, i: isize) -> Option<usize> {
        let i = if i < 0 { self.dims.len() as isize + i } else { i };
        match self.dims.get(usize::try_from(i).ok()?) {
            Some(Size::Known(n)) => Some(*n),
            _ => None,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.head)?;
        for (i, d) in self.dims.iter().enumerate() {
            write!(f, "{}{d}", if i > 0 { "," } else { "" })?;
        }
        write!(f, "]")
    }
}

/// The head of a pattern: a name, or a variable that takes the head of what is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeadExpr {
    /// This head and no other.
    Is(Head),
    /// One of these heads, of an input alone. Written `Video|Sequence`.
    OneOf(Vec<Head>),
    /// Any head; the same variable stands for the same head. Written `?X`.
    Any(String),
}

/// A type as a contract writes it: `Clip[B,N,T,H,W,3]`, `?X[B,*S]`, `Video|Sequence[B,*S]`.
///
/// Letters are the node's own and unify over its edges; `$G` is one of the graph's `dims`; `*S` stands for
/// all the remaining dimensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeExpr {
    /// The head.
    pub head: HeadExpr,
    /// The leading dimensions.
    pub dims: Vec<DimExpr>,
    /// The name that takes the dimensions that remain.
    pub rest: Option<String>,
}

/// How a type fails to fit a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// Another head.
    Head,
    /// Another number of dimensions.
    Rank,
    /// Dimension `index` is `got`, the pattern wants `want`.
    Dim {
        /// Which dimension.
        index: usize,
        /// The size that the pattern asks for.
        want: Size,
        /// The size that came.
        got: Size,
        /// The local name whose earlier binding (by another input) decided `want`, if that is why.
        bound_by: Option<String>,
    },
    /// The pattern itself has no size here.
    Unresolved(super::dim::DimError),
}

/// What the names of a contract stand for at one node, in one phase or view.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    /// Sizes of names.
    pub scope: DimScope,
    /// Heads of head variables.
    pub heads: std::collections::BTreeMap<String, Head>,
    /// What `*S` took.
    pub rests: std::collections::BTreeMap<String, Vec<Size>>,
}

impl TypeExpr {
    /// Parses a contract's type. Contracts are code, so a mistake in one panics with the text.
    pub fn parse(text: &str) -> TypeExpr {
        Self::try_parse(text).unwrap_or_else(|e| panic!("type `{text}` of a contract: {e}"))
    }

    /// Parses a type.
    ///
    /// # Errors
    /// The text is no type: what is wrong, in words.
    pub fn try_parse(text: &str) -> Result<TypeExpr, String> {
        let (head, rest) = text.split_once('[').ok_or("expected `Head[dims]`")?;
        let body = rest.strip_suffix(']').ok_or("missing `]`")?;
        let head = match head.strip_prefix('?') {
            Some(v) => HeadExpr::Any(v.into()),
            None if head.contains('|') => HeadExpr::OneOf(head.split('|').map(Head::from).collect()),
            None => HeadExpr::Is(head.into()),
        };
        let (mut dims, mut tail) = (vec![], None);
        for part in body.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            if tail.is_some() {
                return Err("nothing may follow `*`".into());
            }
            match part.strip_prefix('*') {
                Some(name) => tail = Some(name.to_string()),
                None => dims.push(DimExpr::parse(part, false)?),
            }
        }
        Ok(TypeExpr { head, dims, rest: tail })
    }

    /// Binds the pattern's free names to `ty`, or reports how it does not fit, all misfits at once.
    ///
    /// # Errors
    /// All that does not fit.
    pub fn bind(&self, ty: &Type, b: &mut Bindings) -> Result<(), Vec<Misfit>> {
        let mut bad = vec![];
        match &self.head {
            HeadExpr::Is(h) if *h != ty.head => return Err(vec![Misfit::Head]),
            HeadExpr::OneOf(heads) if !heads.contains(&ty.head) => return Err(vec![Misfit::Head]),
            HeadExpr::Is(_) | HeadExpr::OneOf(_) => {}
            HeadExpr::Any(v) => match b.heads.get(v) {
                Some(h) if *h != ty.head => return Err(vec![Misfit::Head]),
                Some(_) => {}
                None => {
                    b.heads.insert(v.clone(), ty.head.clone());
                }
            },
        }
        let fits = match self.rest {
            None => ty.dims.len() == self.dims.len(),
            Some(_) => ty.dims.len() >= self.dims.len(),
        };
        if !fits {
            return Err(vec![Misfit::Rank]);
        }
        for (index, (want, got)) in self.dims.iter().zip(&ty.dims).enumerate() {
            if let DimExpr::Local(name) = want
                && !b.scope.locals.contains_key(name)
            {
                b.scope.locals.insert(name.clone(), *got);
                continue;
            }
            match want.eval(&b.scope) {
                Ok(w) if w == *got => {}
                Ok(w) => bad.push(Misfit::Dim {
                    index,
                    want: w,
                    got: *got,
                    bound_by: match want {
                        DimExpr::Local(n) => Some(n.clone()),
                        _ => None,
                    },
                }),
                Err(e) => bad.push(Misfit::Unresolved(e)),
            }
        }
        if let Some(name) = &self.rest {
            let tail = ty.dims[self.dims.len()..].to_vec();
            match b.rests.get(name) {
                None => {
                    b.rests.insert(name.clone(), tail);
                }
                Some(old) if *old == tail => {}
                Some(old) if old.len() != tail.len() => bad.push(Misfit::Rank),
                Some(old) => {
                    for (i, (w, g)) in old.iter().zip(&tail).enumerate().filter(|(_, (w, g))| w != g) {
                        bad.push(Misfit::Dim {
                            index: self.dims.len() + i,
                            want: *w,
                            got: *g,
                            bound_by: Some(name.clone()),
                        });
                    }
                }
            }
        }
        if bad.is_empty() { Ok(()) } else { Err(bad) }
    }

    /// The type under `b`, for an output.
    ///
    /// # Errors
    /// A name in it is not bound, or a size is too large.
    pub fn resolve(&self, b: &Bindings) -> Result<Type, super::dim::DimError> {
        let head = match &self.head {
            HeadExpr::Is(h) => h.clone(),
            HeadExpr::OneOf(_) => return Err(super::dim::DimError::Unbound(self.head.to_string())),
            HeadExpr::Any(v) => b
                .heads
                .get(v)
                .cloned()
                .ok_or_else(|| super::dim::DimError::Unbound(v.clone()))?,
        };
        let mut dims = self
            .dims
            .iter()
            .map(|d| d.eval(&b.scope))
            .collect::<Result<Vec<_>, _>>()?;
        if let Some(r) = &self.rest {
            dims.extend(b.rests.get(r).ok_or_else(|| super::dim::DimError::Unbound(r.clone()))?);
        }
        Ok(Type { head, dims })
    }
}

/// `Clip`, `Video|Sequence`, `any`.
impl fmt::Display for HeadExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeadExpr::Is(h) => write!(f, "{h}"),
            HeadExpr::OneOf(heads) => {
                let names: Vec<&str> = heads.iter().map(Head::name).collect();
                f.write_str(&names.join("|"))
            }
            HeadExpr::Any(_) => f.write_str("any"),
        }
    }
}

impl fmt::Display for TypeExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[", self.head)?;
        let mut parts: Vec<String> = self.dims.iter().map(|d| d.to_string()).collect();
        if self.rest.is_some() {
            parts.push("…".into());
        }
        write!(f, "{}]", parts.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(head: &str, dims: &[usize]) -> Type {
        Type {
            head: head.into(),
            dims: std::iter::once(Size::Batch(1))
                .chain(dims.iter().map(|n| Size::Known(*n)))
                .collect(),
        }
    }

    #[test]
    fn letters_unify_over_the_edges_of_a_node() {
        let mut b = Bindings::default();
        let feature = TypeExpr::parse("Feature[B,N,D]");
        feature.bind(&ty("Feature", &[2, 64]), &mut b).unwrap();
        assert_eq!(TypeExpr::parse("Logits[B,N!]").resolve(&b).unwrap(), ty("Logits", &[2]));
        let e = feature.bind(&ty("Feature", &[3, 64]), &mut b).unwrap_err();
        assert!(matches!(&e[..], [Misfit::Dim { index: 1, bound_by: Some(n), .. }] if n == "N"));
    }

    #[test]
    fn any_head_keeps_its_head_and_the_rest() {
        let mut b = Bindings::default();
        let any = TypeExpr::parse("?X[B,*S]");
        any.bind(&ty("Feature", &[3, 64]), &mut b).unwrap();
        assert_eq!(any.resolve(&b).unwrap(), ty("Feature", &[3, 64]));
        let e = any.bind(&ty("Logits", &[3, 64]), &mut b).unwrap_err();
        assert!(matches!(e[..], [Misfit::Head]), "{e:?}");
    }

    #[test]
    fn one_of_several_heads_is_any_of_these_alone() {
        let either = TypeExpr::parse("Video|Sequence[B,*S]");
        assert_eq!(either.to_string(), "Video|Sequence[B,…]");
        for sound in [ty("Video", &[]), ty("Sequence", &[64])] {
            either.bind(&sound, &mut Bindings::default()).unwrap();
        }
        let e = either.bind(&ty("Clip", &[]), &mut Bindings::default()).unwrap_err();
        assert!(matches!(e[..], [Misfit::Head]), "{e:?}");
        // An output is of one head.
        assert!(either.resolve(&Bindings::default()).is_err());
    }
}
