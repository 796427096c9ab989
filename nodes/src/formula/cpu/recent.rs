//! What was made lately, by what it was made for.

use anyhow::Result;
use std::sync::{Arc, Mutex, PoisonError};

/// How many are kept: batches of several sizes may take turns.
const MOST: usize = 8;

/// The last values, the latest at the end.
pub(super) struct Recent<K, V>(Mutex<Vec<(K, Arc<V>)>>);

impl<K: PartialEq, V> Recent<K, V> {
    pub(super) fn new() -> Self {
        Recent(Mutex::new(vec![]))
    }

    /// The value for `key`, which is made where it is not there.
    ///
    /// # Errors
    /// Those of `make`.
    pub(super) fn get(&self, key: &K, make: impl FnOnce() -> Result<V>) -> Result<Arc<V>>
    where
        K: Clone,
    {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, found)) = all.iter().find(|(k, _)| k == key) {
            return Ok(found.clone());
        }
        let made = Arc::new(make()?);
        if all.len() == MOST {
            all.remove(0);
        }
        all.push((key.clone(), made.clone()));
        Ok(made)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten() {
        let recent = Recent::new();
        let get = |key: usize, value: usize| *recent.get(&key, || Ok(value)).unwrap();
        assert_eq!([get(0, 7), get(0, 8)], [7, 7]);
        (1..=MOST).for_each(|key| assert_eq!(get(key, key), key));
        assert_eq!([get(0, 9), get(MOST, 0)], [9, MOST]);
        assert!(recent.get(&77, || anyhow::bail!("no")).is_err());
    }
}
