-- The sample company's marketing database: segments, who is in them, and how many.
-- Load it with the search path set to the store's schema.

create table segments (
  id           text primary key,
  tenant_id    text not null,
  name         text not null,
  member_count integer not null
);

create table memberships (
  segment_id text not null references segments (id),
  tenant_id  text not null,
  user_id    text not null,
  hidden_at  timestamptz,
  added_at   timestamptz not null,
  primary key (segment_id, user_id)
);
create index memberships_by_user on memberships (tenant_id, user_id);
