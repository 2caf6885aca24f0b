//! The members of a segment, page by page.

use super::Store;
use crate::engine::Access;
use crate::map::{Alternative, Reach, Tenancy};
use crate::sql::{Bind, Sql};
use erasure_protocol::{Fault, Identifier, Record, TenantId};

/// Records of members, and where the next page begins.
type Page = (Vec<Record>, Option<String>);

impl Store {
    /// Up to `limit` records of members of the segment, after `after` (none at first), in a stable order, and where to go on
    /// (`None` at the end). The cursor is personal data.
    ///
    /// # Errors
    /// With the store's fault.
    pub async fn members(&self, tenant: &TenantId, segment: &str, after: Option<String>, limit: usize) -> Result<Page, Fault> {
        let schema = self.schema().await?;
        let listed = self
            .section()
            .rules
            .iter()
            .find_map(|rule| match (&rule.members_of, &rule.reach) {
                (Some(segment), Reach::Match(alternatives)) => Some((rule, segment, alternatives.first()?)),
                (Some(_) | None, Reach::Match(_) | Reach::Through(_)) => None,
            });
        let nobody = Ok((Vec::new(), None));
        let Some((rule, column, alternative)) = listed else {
            return nobody;
        };
        let kind = |name| schema.kind(&rule.table, name);
        let Some(segment) = kind(column).fit(segment) else {
            return nobody;
        };
        let mut sql = Sql::new("select distinct ");
        let dialect = self.dialect();
        sql.list(", ", &alternative.columns, |sql, (name, _)| {
            dialect.as_text(sql, |sql| sql.column(name))
        });
        // The order is that of the text, so that the cursor, which is text, and the order agree.
        sql.push(" from ");
        sql.table(&rule.table);
        sql.push(" as t where ");
        sql.column(column);
        sql.push(" = ");
        kind(column).cast(&mut sql, |sql| {
            sql.bind(Bind::Text(Some(segment)));
            sql.push(text_of(dialect));
        });
        if let Tenancy::Column(tenant_column) = &rule.tenancy {
            let Some(tenant) = kind(tenant_column).fit(tenant.as_str()) else {
                return nobody;
            };
            sql.push(" and ");
            sql.column(tenant_column);
            sql.push(" = ");
            kind(tenant_column).cast(&mut sql, |sql| {
                sql.bind(Bind::Text(Some(tenant)));
                sql.push(text_of(dialect));
            });
        }
        for (name, _) in &alternative.columns {
            sql.push(" and ");
            sql.column(name);
            sql.push(" is not null");
        }
        let after: Option<Vec<String>> = after.and_then(|cursor| serde_json::from_str(&cursor).ok());
        if let Some(after) = after.filter(|after| after.len() == alternative.columns.len()) {
            sql.push(" and (");
            sql.list(", ", &alternative.columns, |sql, (name, _)| {
                dialect.as_text(sql, |sql| sql.column(name))
            });
            sql.push(") > (");
            sql.list(", ", after, |sql, value| {
                sql.bind(Bind::Text(Some(value)));
                sql.push(text_of(dialect));
            });
            sql.push(")");
        }
        sql.push(" order by ");
        sql.list(", ", 1..=alternative.columns.len(), Sql::number);
        sql.push(" limit ");
        sql.number(limit.max(1));
        let mut session = self.begin(Access::Look).await?;
        let rows = self.fetch(&mut *session, &rule.table, sql).await?;
        let more = rows.len() == limit.max(1);
        let last: Option<Vec<String>> = rows.last().filter(|_| more).and_then(|row| row.iter().cloned().collect());
        let next = last.and_then(|last| serde_json::to_string(&last).ok());
        Ok((rows.into_iter().map(|row| record(alternative, row)).collect(), next))
    }
}

fn text_of(dialect: crate::engine::Dialect) -> &'static str {
    match dialect {
        crate::engine::Dialect::Postgres => "::text",
        crate::engine::Dialect::Sqlite => "",
    }
}

fn record(alternative: &Alternative, row: Vec<Option<String>>) -> Record {
    let pairs = alternative.columns.iter().zip(row);
    pairs
        .filter_map(|((_, kind), value)| Some((kind.clone(), Identifier::new(value?)?)))
        .collect()
}
