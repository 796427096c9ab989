//! Permutations by their index in lexicographic order.

/// The permutation of `0..n` with index `index` of `n!` in lexicographic order.
pub(super) fn nth(n: usize, mut index: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..n).collect();
    (0..n)
        .map(|i| {
            let below = factorial(n - 1 - i);
            let pick = left.remove(index / below % (n - i));
            index %= below;
            pick
        })
        .collect()
}

/// `n!`, for the small `n` that a head can distinguish.
pub(super) fn factorial(n: usize) -> usize {
    (1..=n).product()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lexicographic() {
        let all: Vec<Vec<usize>> = (0..6).map(|i| nth(3, i)).collect();
        assert_eq!(all, [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]);
        assert_eq!(nth(1, 0), [0]);
    }

    proptest! {
        #[test]
        fn a_later_place_is_a_larger_permutation(n in 1usize..7, a in 0usize..5040, b in 0usize..5040) {
            let (a, b) = (a % factorial(n), b % factorial(n));
            prop_assert_eq!(nth(n, a).cmp(&nth(n, b)), a.cmp(&b));
            let mut sorted = nth(n, a);
            sorted.sort();
            prop_assert_eq!(sorted, (0..n).collect::<Vec<_>>());
        }
    }
}
