//! A few things that are kept for whoever asks again.

use std::collections::VecDeque;

/// Things by their keys. There are never more than so many: those that were asked for last.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    entries: VecDeque<(K, V)>,
    most: usize,
}

impl<K: PartialEq, V: Clone> Recent<K, V> {
    /// Room for `most` things.
    pub(crate) fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), most }
    }

    /// What is kept under `key`, or what `make` makes, which is kept from now on.
    pub(crate) fn get_or_make<E>(&mut self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        let at = self.entries.iter().position(|(known, _)| *known == key);
        let value = match at.and_then(|at| self.entries.remove(at)) {
            Some((_, value)) => value,
            None => make()?,
        };
        self.entries.push_back((key, value.clone()));
        while self.entries.len() > self.most {
            self.entries.pop_front();
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn get(recent: &mut Recent<&'static str, u32>, key: &'static str, made: u32) -> u32 {
        recent.get_or_make(key, || Ok::<_, Infallible>(made)).unwrap()
    }

    #[test]
    fn what_was_not_asked_for_the_longest_goes_first() {
        let mut recent = Recent::new(2);
        assert_eq!((get(&mut recent, "a", 1), get(&mut recent, "b", 2)), (1, 2));
        assert_eq!((get(&mut recent, "a", 9), get(&mut recent, "c", 3)), (1, 3));
        assert_eq!((get(&mut recent, "a", 9), get(&mut recent, "b", 9)), (1, 9), "only b is made anew");
    }

    #[test]
    fn what_could_not_be_made_is_not_kept() {
        let mut recent = Recent::new(2);
        assert_eq!(recent.get_or_make("a", || Err::<u32, _>("no")), Err("no"));
        assert_eq!(get(&mut recent, "a", 1), 1);
    }
}
