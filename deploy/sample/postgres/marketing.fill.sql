-- {people} is replaced by the number of people. Everybody is in `everybody`, every second in `newsletter`, every tenth in `vip`.

insert into segments (id, tenant_id, name, member_count) values
  ('acme-everybody', 'acme', 'Everybody', 0), ('globex-everybody', 'globex', 'Everybody', 0),
  ('acme-newsletter', 'acme', 'Newsletter', 0), ('globex-newsletter', 'globex', 'Newsletter', 0),
  ('acme-vip', 'acme', 'Very important', 0), ('globex-vip', 'globex', 'Very important', 0);

with people as (
  select n,
    ((n - 1) / 10) * 4 + case when (n - 1) % 10 = 0 then 1 when (n - 1) % 10 < 3 then 2 when (n - 1) % 10 < 6 then 3 else 4 end as account,
    case when n <= (({people} + 19) / 20) * 10 then 'acme' else 'globex' end as tenant,
    (({people} + 19) / 20) * 10 as border
  from generate_series(1::bigint, {people}) as numbers (n)
)
insert into memberships (segment_id, tenant_id, user_id, added_at)
select tenant || '-everybody', tenant, 'u-' || lpad(n::text, 7, '0'), timestamptz '2024-01-01 00:00:00+00' + (n) * interval '1 minute' from people
union all
select tenant || '-newsletter', tenant, 'u-' || lpad(n::text, 7, '0'), timestamptz '2024-01-01 00:00:00+00' + (n) * interval '1 minute' from people where n % 2 = 0
union all
select tenant || '-vip', tenant, 'u-' || lpad(n::text, 7, '0'), timestamptz '2024-01-01 00:00:00+00' + (n) * interval '1 minute' from people where n % 10 = 0;

update segments set member_count = (select count(*) from memberships m where m.segment_id = segments.id);
