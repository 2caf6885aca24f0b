//! The sample map against the sample schema, and against that schema with one thing wrong.

use super::*;

/// A table from a short text: `id* tenant_id when?:time`, where `*` is the primary key, `?` may be null and `:` a type.
fn table(name: &str, columns: &str, indexes: &[&str]) -> Table {
    let mut primary_key = Vec::new();
    let columns = columns.split(' ').map(|it| {
        let (it, kind) = it.split_once(':').unwrap_or((it, "text"));
        let column = it.trim_end_matches(['*', '?']).to_owned();
        if it.ends_with('*') {
            primary_key.push(column.clone());
        }
        Column {
            name: column,
            kind: kind.to_owned(),
            nullable: it.ends_with('?'),
        }
    });
    let columns = columns.collect();
    let parts = |it: &&str| it.split(' ').map(str::to_owned).collect();
    Table {
        name: TableName::parse(name).unwrap(),
        columns,
        primary_key,
        indexes: indexes
            .iter()
            .map(|it| Index {
                parts: parts(it),
                unique: false,
            })
            .collect(),
        foreign_keys: Vec::new(),
    }
}

fn refers(table: &mut Table, column: &str, to: &str, on_delete: OnDelete) {
    table.foreign_keys.push(ForeignKey {
        columns: vec![column.to_owned()],
        table: TableName::parse(to).unwrap(),
        referred: vec!["id".to_owned()],
        on_delete,
    });
}

fn catalog() -> Catalog {
    let mut participants = table(
        "participants",
        "id*:bigint tenant_id account_id:bigint user_id external_id email business_unit first_name last_name status hidden_at?:timestamptz created_at:timestamptz",
        &[
            "tenant_id user_id",
            "tenant_id external_id",
            "tenant_id lower((email)::text) lower(business_unit)",
            "account_id",
        ],
    );
    refers(&mut participants, "account_id", "accounts", OnDelete::Refuse);
    let mut memberships = table(
        "memberships",
        "segment_id* tenant_id user_id* hidden_at? added_at",
        &["tenant_id user_id"],
    );
    refers(&mut memberships, "segment_id", "segments", OnDelete::Refuse);
    let by_person = ["tenant_id participant_id"];
    let crm = vec![
        table("tenants", "id* number name", &[]),
        table("accounts", "id*:bigint tenant_id name billing_email? created_at", &[]),
        participants,
    ];
    let marketing = vec![table("segments", "id* tenant_id name member_count:integer", &[]), memberships];
    let warehouse = vec![
        table(
            "events",
            "id* tenant_id user_id kind payload occurred_at",
            &["tenant_id user_id"],
        ),
        table("report_rows", "id* tenant_id user_id month visits", &["tenant_id user_id"]),
        table("visit_totals", "tenant_id* month* visits", &[]),
        table(
            "share_links",
            "id* tenant_id participant_id? slug landing_page referral_code? visits",
            &by_person,
        ),
        table(
            "referrals",
            "id* tenant_id referrer_id? referred_id? referred_name? referred_email? created_at",
            &["tenant_id referrer_id", "tenant_id referred_id"],
        ),
        table(
            "rewards",
            "id* tenant_id participant_id? recipient_name? amount_cents",
            &by_person,
        ),
        table("reward_notes", "id* reward_id note?", &["reward_id"]),
        table("payouts", "id* tenant_id participant_id iban amount_cents", &by_person),
    ];
    let stores = [("crm", crm), ("marketing", marketing), ("warehouse", warehouse)];
    Catalog {
        stores: stores.into_iter().map(|(name, tables)| (name.to_owned(), tables)).collect(),
    }
}

fn edit<'a>(catalog: &'a mut Catalog, store: &str, name: &str) -> &'a mut Table {
    let tables = catalog.stores.get_mut(store).unwrap();
    tables.iter_mut().find(|it| it.name.to_string() == name).unwrap()
}

/// Expects exactly this problem, on a line of the sample that contains `line`, with advice that contains `advice`.
#[track_caller]
fn found(catalog: &Catalog, severity: Severity, code: Code, line: &str, advice: &str) {
    let problems = check(&sample(), catalog);
    let [problem] = problems.as_slice() else {
        panic!("{problems:#?}")
    };
    assert_eq!((problem.severity, problem.code), (severity, code), "{problem}");
    assert!(
        SAMPLE.lines().nth(problem.place.line as usize - 1).unwrap().contains(line),
        "{}",
        problem.render(SAMPLE)
    );
    assert!(problem.advice.contains(advice), "{problem}");
}

#[test]
fn the_sample_map_fits_the_sample_schema() {
    assert_eq!(check(&sample(), &catalog()), []);
}

#[test]
fn a_missing_store_table_or_column_is_told_with_the_nearest() {
    let mut it = catalog();
    let tables = it.stores.remove("crm").unwrap();
    it.stores.insert("crn".to_owned(), tables);
    found(
        &it,
        Severity::Error,
        Code::StoreUnread,
        "[subsystem.profiles]",
        "did you mean `crn`?",
    );

    let mut it = catalog();
    edit(&mut it, "warehouse", "events").name = TableName::parse("event").unwrap();
    let problems = check(&sample(), &it);
    assert_eq!(problems[0].code, Code::NoTable);
    assert!(problems[0].advice.contains("did you mean `event`?"), "{}", problems[0]);

    let mut it = catalog();
    edit(&mut it, "warehouse", "events").columns[4].name = "pay_load".to_owned();
    found(
        &it,
        Severity::Error,
        Code::NoColumn,
        "personal = [\"payload\"]",
        "did you mean `pay_load`?",
    );

    let mut it = catalog();
    edit(&mut it, "warehouse", "payouts").columns[1].name = "owner".to_owned();
    found(&it, Severity::Error, Code::NoTenantColumn, "table.payouts]", "another tenant");

    let mut it = catalog();
    edit(&mut it, "marketing", "segments").columns[3].name = "members".to_owned();
    found(&it, Severity::Error, Code::NoColumn, "counted_in", "");
}

#[test]
fn a_value_that_the_column_cannot_take_is_an_error() {
    let mut it = catalog();
    edit(&mut it, "warehouse", "rewards").columns[2].nullable = false;
    found(&it, Severity::Error, Code::NotNull, "recipient_name = { value", "value");

    let mut it = catalog();
    edit(&mut it, "warehouse", "rewards").columns[3].kind = "bigint".to_owned();
    found(&it, Severity::Error, Code::WrongType, "recipient_name = { value", "type");
}

#[test]
fn a_reference_that_would_refuse_the_delete_is_an_error() {
    let mut elsewhere = catalog();
    let mut orders = table("orders", "id* buyer:bigint", &[]);
    refers(&mut orders, "buyer", "participants", OnDelete::Refuse);
    elsewhere.stores.get_mut("crm").unwrap().push(orders);
    found(
        &elsewhere,
        Severity::Error,
        Code::Referenced,
        "table.participants]",
        "on delete set null",
    );
    edit(&mut elsewhere, "crm", "orders").foreign_keys[0].on_delete = OnDelete::Clear;
    assert_eq!(check(&sample(), &elsewhere), []);

    let mut itself = catalog();
    refers(
        edit(&mut itself, "crm", "participants"),
        "account_id",
        "participants",
        OnDelete::Refuse,
    );
    found(&itself, Severity::Error, Code::Referenced, "table.participants]", "on delete");

    let mut later = catalog();
    refers(
        edit(&mut later, "warehouse", "report_rows"),
        "user_id",
        "events",
        OnDelete::Refuse,
    );
    found(
        &later,
        Severity::Error,
        Code::Referenced,
        "table.events]",
        "write rule `report_rows` before",
    );
    refers(
        edit(&mut later, "warehouse", "events"),
        "user_id",
        "report_rows",
        OnDelete::Refuse,
    );
    edit(&mut later, "warehouse", "report_rows").foreign_keys.clear();
    assert_eq!(check(&sample(), &later), []);
}

#[test]
fn what_only_needs_a_look_is_a_warning() {
    let mut it = catalog();
    edit(&mut it, "crm", "participants").indexes.remove(2);
    found(
        &it,
        Severity::Warning,
        Code::Unindexed,
        "email = \"email\"",
        "create index on participants (tenant_id, ",
    );

    let mut it = catalog();
    edit(&mut it, "crm", "participants").indexes.remove(3);
    found(&it, Severity::Warning, Code::Unindexed, "when_last", "account_id");

    let mut it = catalog();
    edit(&mut it, "warehouse", "events").primary_key.clear();
    found(&it, Severity::Warning, Code::NoKey, "table.events]", "key =");

    let mut it = catalog();
    let orders = table("orders", "id* buyer_email email_count total", &[]);
    it.stores.get_mut("crm").unwrap().push(orders);
    found(
        &it,
        Severity::Warning,
        Code::LooksPersonal,
        "[subsystem.profiles]",
        "without_people = { orders",
    );

    let mut it = catalog();
    let extra = table("x", "shippingAddress", &[]).columns;
    edit(&mut it, "warehouse", "rewards").columns.extend(extra);
    found(&it, Severity::Warning, Code::LooksPersonal, "table.rewards]", "becomes");
}

#[test]
fn a_parent_must_be_reached_by_its_own_key() {
    let mut it = catalog();
    edit(&mut it, "warehouse", "rewards").primary_key = vec!["tenant_id".to_owned(), "id".to_owned()];
    found(&it, Severity::Error, Code::NotUnique, "through", "somebody else");
}

#[test]
fn a_match_by_what_nothing_resolves_is_told() {
    let text = changed("account_id = \"exact\"", "account_id = \"exact\"\ndevice = \"exact\"").replace(
        "table.report_rows]\nmatch = [{ user_id = \"user_id\" }]",
        "table.report_rows]\nmatch = [{ user_id = \"device\" }]",
    );
    let problems = check(&Map::parse(&text).unwrap(), &catalog());
    assert_eq!(problems.iter().map(|it| it.code).collect::<Vec<_>>(), [Code::Unresolved]);
}
