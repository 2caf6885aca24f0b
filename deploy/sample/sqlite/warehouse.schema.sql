-- The sample company's warehouse: events, reports, share links, referrals, rewards and payouts.
-- Times are UTC texts as datetime() writes them.

create table events (
  id          integer primary key,
  tenant_id   text not null,
  user_id     text not null,
  kind        text not null,
  payload     text not null,
  occurred_at text not null
);
create index events_by_user on events (tenant_id, user_id);

create table report_rows (
  id        integer primary key,
  tenant_id text not null,
  user_id   text not null,
  month     text not null,
  visits    integer not null
);
create index report_rows_by_user on report_rows (tenant_id, user_id);

create table visit_totals (
  tenant_id text not null,
  month     text not null,
  visits    integer not null,
  primary key (tenant_id, month)
);

create table share_links (
  id             integer primary key,
  tenant_id      text not null,
  participant_id integer,
  slug           text not null unique,
  landing_page   text not null,
  referral_code  text,
  visits         integer not null
);
create index share_links_by_participant on share_links (tenant_id, participant_id);

create table referrals (
  id             integer primary key,
  tenant_id      text not null,
  referrer_id    integer,
  referred_id    integer,
  referred_name  text,
  referred_email text,
  created_at     text not null
);
create index referrals_by_referrer on referrals (tenant_id, referrer_id);
create index referrals_by_referred on referrals (tenant_id, referred_id);

create table rewards (
  id             integer primary key,
  tenant_id      text not null,
  participant_id integer,
  recipient_name text,
  amount_cents   integer not null,
  granted_at     text not null
);
create index rewards_by_participant on rewards (tenant_id, participant_id);

create table reward_notes (
  id        integer primary key,
  reward_id integer not null references rewards (id),
  note      text
);
create index reward_notes_by_reward on reward_notes (reward_id);

create table payouts (
  id             integer primary key,
  tenant_id      text not null,
  participant_id integer not null,
  iban           text not null,
  amount_cents   integer not null,
  paid_at        text not null
);
create index payouts_by_participant on payouts (tenant_id, participant_id);
