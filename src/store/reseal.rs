//! Definitions that are in the database already: whether they can be opened, and sealing them anew.

use sqlx::AnyConnection;

use super::sealing::Label;
use super::tables::{PlacedRow, Row, Table};
use super::{Kind, Store, StoreError};

impl Store {
    /// Makes sure that every sealed definition is sealed with a key that is listed.
    ///
    /// # Errors
    /// [`StoreError::Sealed`] that names a definition's kind and project and its key's id, or that the database does not
    /// answer.
    pub async fn check_keys(&self) -> Result<(), StoreError> {
        if self.check_file().is_err() {
            return Ok(());
        }
        for kind in Kind::ALL.into_iter().filter(|kind| kind.holds_credentials()) {
            let heads = Table::of(kind).sealed_heads(self.pool()).await;
            let heads = heads.map_err(|source| self.failed(&format!("looking at every {kind}"), source))?;
            for found in heads {
                self.keys().knows(&found.head).map_err(|source| StoreError::Sealed {
                    attempted: self.attempt(&format!("opening a {kind} of project '{}'", found.project_id)),
                    source,
                })?;
            }
        }
        Ok(())
    }

    /// Seals with the first key whatever may hold credentials and is not sealed with it, and answers how many definitions
    /// that were. Without keys it changes nothing.
    ///
    /// # Errors
    /// [`StoreError`] if one cannot be opened or sealed, or the database does not take it; then nothing is changed.
    pub async fn reseal(&self) -> Result<usize, StoreError> {
        if !self.keys().seals() {
            return Ok(0);
        }
        let failed = |source| self.failed("sealing definitions anew", source);
        let mut transaction = self.begin_writing().await.map_err(failed)?;
        let mut count = 0;
        for kind in Kind::ALL.into_iter().filter(|kind| kind.holds_credentials()) {
            count += self.reseal_kind(kind, &mut transaction).await?;
        }
        transaction.commit().await.map_err(failed)?;
        if count > 0 {
            self.forget_removed().await.map_err(failed)?;
        }
        Ok(count)
    }

    async fn reseal_kind(&self, kind: Kind, connection: &mut AnyConnection) -> Result<usize, StoreError> {
        let failed = |source| self.failed(&format!("sealing every {kind} anew"), source);
        let rows = Table::of(kind).every(&mut *connection).await.map_err(failed)?;
        let mut count = 0;
        for PlacedRow { project_id, row } in rows {
            if self.keys().is_current(&row.document) {
                continue;
            }
            let label = Label { kind, project: &project_id, id: &row.id };
            let document = self.open_document(label, row.document)?;
            let document = self.seal_document(label, &document)?;
            let row = Row { id: row.id.clone(), document };
            Table::of(kind).upsert(&mut *connection, &project_id, &row).await.map_err(failed)?;
            count += 1;
        }
        Ok(count)
    }

    /// Whether `stored` is as it would be written now: without keys in the clear, which nothing sealed ever becomes.
    pub(super) fn is_current(&self, kind: Kind, stored: &str) -> bool {
        !kind.holds_credentials() || self.keys().is_current(stored)
    }

    /// `document` as the database is given it.
    pub(super) fn seal_document(&self, label: Label<'_>, document: &str) -> Result<String, StoreError> {
        if !label.kind.holds_credentials() {
            return Ok(document.to_owned());
        }
        self.keys()
            .seal(label, document)
            .map_err(|source| StoreError::Seal { attempted: format!("sealing {label}"), source })
    }

    /// The document that the database has as `stored`.
    pub(super) fn open_document(&self, label: Label<'_>, stored: String) -> Result<String, StoreError> {
        self.keys().open(label, stored).map_err(|source| StoreError::Sealed {
            attempted: self.attempt(&format!("opening {label}")),
            source,
        })
    }
}
