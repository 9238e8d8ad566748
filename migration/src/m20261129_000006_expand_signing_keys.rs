//! The public keys that the service has published, and the issuers of tokens. All replicas share both.

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
        let keys = Table::create()
            .table(SigningKeys::Table)
            .col(text(SigningKeys::Kid).primary_key())
            .col(text(SigningKeys::X))
            .col(text(SigningKeys::Y))
            .col(big_integer(SigningKeys::PublishedAt))
            .col(big_integer(SigningKeys::PublishedUntil))
            .to_owned();
        manager.create_table(keys).await?;
        let issuers = Table::create()
            .table(Issuers::Table)
            .col(text(Issuers::Issuer).primary_key())
            .col(big_integer(Issuers::Since))
            .to_owned();
        manager.create_table(issuers).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let issuers = Table::drop().table(Issuers::Table).to_owned();
        manager.drop_table(issuers).await?;
        let keys = Table::drop().table(SigningKeys::Table).to_owned();
        manager.drop_table(keys).await
    }
}

#[derive(DeriveIden)]
enum SigningKeys {
    Table,
    /// The ID of the key (RFC 7638).
    Kid,
    /// The coordinates of the public key, in base64url.
    X,
    Y,
    /// When the key was first published, in Unix seconds.
    PublishedAt,
    /// When the publication ends, in Unix seconds. Services that have the private key move this time forward.
    PublishedUntil,
}

#[derive(DeriveIden)]
enum Issuers {
    Table,
    Issuer,
    /// When the setting changed to this issuer, in Unix seconds.
    Since,
}
