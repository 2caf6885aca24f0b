-- The fourth store of the benchmark's company: what was mailed to whom. Load it with the search path set to the store's schema.

create table letters (
  id        bigint primary key,
  tenant_id text not null,
  user_id   text not null,
  subject   text not null,
  sent_at   timestamptz not null
);
create index letters_by_user on letters (tenant_id, user_id);

create table preferences (
  tenant_id text not null,
  user_id   text not null,
  language  text not null,
  primary key (tenant_id, user_id)
);
