//! Credentials are sealed before the database sees them.

use scenario_worker::store::{Keyring, StoreError, UnsealError};

use super::*;

on_both_databases!(
    what_is_sealed_is_found_again_and_nothing_of_it_is_in_the_database,
    what_was_stored_in_the_clear_is_read_and_leaves_nothing_when_it_is_sealed,
    a_new_key_seals_anew_and_the_old_one_is_not_needed_any_more,
    importing_again_under_a_new_key_seals_anew_and_counts_as_unchanged,
    a_store_without_the_key_says_which_one_is_missing_and_takes_no_import,
    a_sealed_value_at_another_place_is_refused_and_an_import_mends_it,
);

fn keys(bytes: &[u8]) -> Keyring {
    use base64::Engine as _;
    let text = bytes.iter().map(|byte| base64::prelude::BASE64_STANDARD.encode([*byte; 32]));
    Keyring::parse(&text.collect::<Vec<_>>().join("\n")).unwrap()
}

async fn sealed_store(database: &TestDatabase, bytes: &[u8]) -> Store {
    database.store().await.with_keys(keys(bytes))
}

async fn assert_reads_everything(store: &Store) {
    let mut imported = parsed(ACME)[0].document().clone();
    imported.providers.sort_by(|one, other| one.id.cmp(&other.id));
    assert_eq!(stored(store, &imported).await, imported);
}

/// Whether the bytes of the database have a credential, or a name that stands beside one.
async fn shows(database: &TestDatabase) -> Vec<&'static str> {
    let bytes = database.raw().await;
    assert!(contains(&bytes, "A broken mug"), "the bytes are those of the database");
    let telling = SECRET_VALUES.into_iter().chain(["traces.example", "models.example", "bearer"]);
    telling.filter(|text| contains(&bytes, text)).collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

async fn what_is_sealed_is_found_again_and_nothing_of_it_is_in_the_database(database: &TestDatabase) {
    let store = sealed_store(database, &[1]).await;
    import(&store, ACME).await;
    assert_eq!(shows(database).await, [""; 0]);
    assert_reads_everything(&store).await;
    let again = import(&store, ACME).await.total();
    assert_eq!((again.created, again.updated), (0, 0));
    store.check().await.unwrap();
}

async fn what_was_stored_in_the_clear_is_read_and_leaves_nothing_when_it_is_sealed(database: &TestDatabase) {
    import(&database.store().await, ACME).await;
    assert_eq!(shows(database).await.len(), 6, "without keys everything can be seen");
    let store = sealed_store(database, &[1]).await;
    assert_reads_everything(&store).await;
    assert_eq!(store.reseal().await.unwrap(), 5, "a project, two providers, a secret, an agent");
    assert_eq!(shows(database).await, [""; 0]);
    assert_reads_everything(&store).await;
    assert_eq!(store.reseal().await.unwrap(), 0);
}

async fn a_new_key_seals_anew_and_the_old_one_is_not_needed_any_more(database: &TestDatabase) {
    import(&sealed_store(database, &[1]).await, ACME).await;
    let both = sealed_store(database, &[2, 1]).await;
    both.check_keys().await.unwrap();
    assert_reads_everything(&both).await;
    assert_eq!(both.reseal().await.unwrap(), 5);
    let new = sealed_store(database, &[2]).await;
    new.check_keys().await.unwrap();
    assert_reads_everything(&new).await;
}

async fn importing_again_under_a_new_key_seals_anew_and_counts_as_unchanged(database: &TestDatabase) {
    import(&sealed_store(database, &[1]).await, ACME).await;
    let report = import(&sealed_store(database, &[2, 1]).await, ACME).await.total();
    assert_eq!((report.created, report.updated), (0, 0));
    assert_reads_everything(&sealed_store(database, &[2]).await).await;
}

async fn a_store_without_the_key_says_which_one_is_missing_and_takes_no_import(database: &TestDatabase) {
    import(&sealed_store(database, &[1]).await, ACME).await;
    for store in [database.store().await, sealed_store(database, &[2]).await] {
        let error = store.check_keys().await.unwrap_err();
        let text = chain(&error);
        assert!(matches!(error, StoreError::Sealed { source: UnsealError::UnknownKey(_), .. }), "{text}");
        for part in ["project 'acme'", "store.encryption_keys_file", "sealed with the key "] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(store.check().await.is_err());
        let error = store.import(&parsed(ACME), ImportMode::default(), &HttpOnly).await.unwrap_err();
        assert!(matches!(error, ImportError::Store(StoreError::Sealed { .. })), "{error}");
        assert!(store.secrets(&project("acme")).await.is_err());
    }
}

async fn a_sealed_value_at_another_place_is_refused_and_an_import_mends_it(database: &TestDatabase) {
    let store = sealed_store(database, &[1]).await;
    import(&store, ACME).await;
    let swapped = "UPDATE providers SET document = (SELECT document FROM providers WHERE id = 'another')";
    database.execute(swapped).await;
    let error = chain(&store.providers(&project("acme")).await.unwrap_err());
    assert!(error.contains("opening provider 'offline' of project 'acme'"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
    assert_eq!(import(&store, ACME).await.of(Kind::Provider).updated, 1);
    assert_reads_everything(&store).await;
}
