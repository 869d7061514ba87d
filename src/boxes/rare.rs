//! A list that is nearly always empty, and then is one word: there are ten thousands of each.

use minicbor::{Decode, Decoder, Encode, Encoder};
use std::{
    fmt,
    ops::{Deref, DerefMut},
};

/// Stored as a `Vec` is.
#[derive(Clone)]
#[expect(clippy::box_collection, reason = "a thin pointer is what this is for")]
pub(super) struct Rare<T>(Option<Box<Vec<T>>>);

impl<T> Rare<T> {
    pub fn push(&mut self, item: T) {
        super::evolve::push_tight(self.0.get_or_insert_default(), item);
    }

    /// # Panics
    /// As `Vec::remove`.
    pub fn remove(&mut self, at: usize) -> T {
        let item = self.0.get_or_insert_default().remove(at);
        self.forget_if_empty();
        item
    }

    pub fn retain(&mut self, keep: impl FnMut(&T) -> bool) {
        if let Some(items) = &mut self.0 {
            items.retain(keep);
            self.forget_if_empty();
        }
    }

    fn forget_if_empty(&mut self) {
        self.0.take_if(|items| items.is_empty());
    }

    /// Heap memory of the list itself.
    pub fn heap_bytes(&self) -> usize {
        self.0.as_deref().map_or(0, |items| size_of_val(items) + items.capacity() * size_of::<T>())
    }
}

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Deref for Rare<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}

impl<T> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        self.0.as_deref_mut().map_or(&mut [], Vec::as_mut_slice)
    }
}

impl<'a, T> IntoIterator for &'a Rare<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T> From<Vec<T>> for Rare<T> {
    fn from(items: Vec<T>) -> Self {
        Self((!items.is_empty()).then(|| Box::new(items)))
    }
}

impl<T: Copy> From<&[T]> for Rare<T> {
    fn from(items: &[T]) -> Self {
        items.to_vec().into()
    }
}

impl<T: fmt::Debug> fmt::Debug for Rare<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<C, T: Encode<C>> Encode<C> for Rare<T> {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        cx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        (**self).encode(e, cx)
    }
}

impl<'b, C, T: Decode<'b, C>> Decode<'b, C> for Rare<T> {
    fn decode(d: &mut Decoder<'b>, cx: &mut C) -> Result<Self, minicbor::decode::Error> {
        // Exact: decoding a list takes more in advance.
        let mut items = d.decode_with::<C, Vec<T>>(cx)?;
        items.shrink_to_fit();
        Ok(items.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    #[test]
    fn a_rare_list_is_a_word_and_stored_as_any_list() {
        assert_eq!(size_of::<Rare<u64>>(), size_of::<usize>());
        for count in [0, 1, 30] {
            let list: Vec<u64> = (0..count).map(|number| number * 7).collect();
            let bytes = minicbor::to_vec(&list).unwrap();
            let ring: VecDeque<u64> = list.iter().copied().collect();
            assert_eq!(minicbor::to_vec(&ring).unwrap(), bytes);
            let rare: Rare<u64> = minicbor::decode(&bytes).unwrap();
            assert_eq!((&rare[..], minicbor::to_vec(&rare).unwrap()), (&list[..], bytes));
            assert_eq!(rare.heap_bytes() == 0, count == 0);
        }
    }

    #[test]
    fn a_list_that_was_emptied_holds_no_memory() {
        let mut rare = Rare::default();
        rare.retain(|_| true);
        (0..9).for_each(|number| rare.push(number));
        rare[0] = 4;
        rare.iter_mut().for_each(|number| *number *= 2);
        assert_eq!((rare.remove(0), rare.len(), (&rare).into_iter().sum::<i32>()), (8, 8, 72));
        rare.retain(|number| *number > 14);
        assert_eq!(*rare, [16]);
        rare.remove(0);
        assert_eq!((rare.heap_bytes(), rare.is_empty()), (0, true));
        assert_eq!(Rare::from(&[1, 2][..]).len(), 2);
    }
}
