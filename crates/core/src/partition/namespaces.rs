//! Settings of namespaces, as the projection has them.

use super::Partition;
use crate::key;
use crate::model::{NamespaceSettings, Record};

impl Partition {
    /// This partition's copy of a namespace's settings, if they were ever set.
    pub fn namespace(&self, namespace: &str) -> Option<&NamespaceSettings> {
        match self.other(&key::namespace(namespace)) {
            Some(Record::Namespace(settings)) => Some(settings),
            _ => None,
        }
    }

    /// Settings that are at home here, by namespace.
    pub(crate) fn namespace_homes(&self) -> impl Iterator<Item = (&str, &NamespaceSettings)> {
        self.others(b'm').filter_map(|(key, record)| match record {
            Record::Namespace(settings) => Some((std::str::from_utf8(key.get(1..)?).ok()?, settings)),
            _ => None,
        })
    }

    /// Namespaces of whose settings this partition has a copy.
    pub(crate) fn namespace_copies(&self) -> impl Iterator<Item = &str> {
        self.others(b'n').filter_map(|(key, _)| std::str::from_utf8(key.get(1..)?).ok())
    }
}
