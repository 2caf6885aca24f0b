//! The customers' stores: the data map, the verbs over it, and one module per technology behind one engine trait.

pub mod map;
