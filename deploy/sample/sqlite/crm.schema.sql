-- The sample company's customer database: tenants, accounts and the people on them.
-- Times are UTC texts as datetime() writes them.

create table tenants (
  id     text primary key,
  number text not null unique,
  name   text not null
);

create table accounts (
  id            integer primary key,
  tenant_id     text not null references tenants (id),
  name          text not null,
  billing_email text,
  created_at    text not null
);
create index accounts_by_tenant on accounts (tenant_id);

create table participants (
  id            integer primary key,
  tenant_id     text not null references tenants (id),
  account_id    integer not null references accounts (id),
  user_id       text not null,
  external_id   text not null,
  email         text not null,
  business_unit text not null,
  first_name    text not null,
  last_name     text not null,
  status        text not null default 'active',
  hidden_at     text,
  created_at    text not null,
  unique (tenant_id, user_id),
  unique (tenant_id, external_id)
);
create index participants_by_email on participants (tenant_id, lower(email), lower(business_unit));
create index participants_by_account on participants (account_id);
