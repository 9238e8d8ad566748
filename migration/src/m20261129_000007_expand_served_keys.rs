//! The published keys that each replica serves to verifiers.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, text},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut key = Index::create();
        let served_keys = Table::create()
            .table(ServedKeys::Table)
            .col(text(ServedKeys::Replica))
            .col(text(ServedKeys::Kid))
            .col(big_integer(ServedKeys::ServedSince))
            .col(big_integer(ServedKeys::SeenAt))
            .primary_key(key.col(ServedKeys::Replica).col(ServedKeys::Kid))
            .to_owned();
        manager.create_table(served_keys).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let served_keys = Table::drop().table(ServedKeys::Table).to_owned();
        manager.drop_table(served_keys).await
    }
}

#[derive(DeriveIden)]
enum ServedKeys {
    Table,
    /// A random text, which differs between the processes of the service.
    Replica,
    /// The ID of the key (RFC 7638).
    Kid,
    /// Since when the replica serves the key, in Unix seconds.
    ServedSince,
    /// When the replica last read the published keys, in Unix seconds.
    SeenAt,
}
