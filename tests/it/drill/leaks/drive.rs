//! Drives every path on which an identifier travels, and keeps what was said on the way.

use super::planted::Person;
use crate::desk::{Desk, command, parked};
use crate::drill::hold::Hold;
use anyhow::{Context, Result, ensure};
use erasure_tests::{
    eventually::eventually_true,
    opendsr::{Act, Mode, Processor},
    producer::Message,
    role::Role,
    world::{Answer, TOKEN, World},
};
use serde_json::{Value, json};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(90);

/// The files that the test itself writes.
pub(super) const FILES: [&str; 7] = [
    "erasure.toml",
    "map.toml",
    "keys.toml",
    "people.csv",
    "people.ndjson",
    "forgotten.csv",
    "crash.csv",
];

/// A fleet, the people who are left to be asked for, and everything that anybody was told.
pub(super) struct Drive<'a> {
    pub(super) world: &'a World,
    pub(super) mailer: &'a Processor,
    pub(super) desk: Desk,
    pub(super) role: Role,
    pub(super) people: std::vec::IntoIter<Person>,
    /// What commands said, the look-up's data apart.
    pub(super) said: String,
    /// What HTTP answered.
    pub(super) answers: String,
    /// What `/metrics` and `/readyz` said.
    pub(super) pages: String,
}

impl Drive<'_> {
    fn next(&mut self) -> Result<Person> {
        self.people.next().context("there are people left")
    }

    /// Runs a command and keeps what it says.
    async fn run(&mut self, arguments: &[&str]) -> Result<Answer> {
        let answer = self.world.command(arguments).await?;
        if arguments.first() != Some(&"lookup") {
            self.said.push_str(&answer.stdout);
        }
        self.said.push_str(&answer.stderr);
        Ok(answer)
    }

    async fn request(&mut self, id: &str, person: &Person, more: &[&str]) -> Result<Answer> {
        let identifiers = person.arguments();
        let identifiers = identifiers.iter().map(String::as_str);
        let arguments = ["request", "--tenant", "acme", "--id", id]
            .into_iter()
            .chain(more.iter().copied());
        self.run(&arguments.chain(identifiers).collect::<Vec<_>>()).await
    }

    /// Waits until `erasure status` says so.
    async fn ends(&mut self, id: &str, state: &str) -> Result<()> {
        let world = self.world;
        let is = || async {
            let answer = world.command(&["status", id, "--tenant", "acme", "--json"]).await;
            answer
                .ok()
                .and_then(|it| it.json().ok())
                .is_some_and(|it| it["state"] == state)
        };
        eventually_true(&format!("{id} is {state}"), SOON, is).await?;
        self.run(&["status", id, "--tenant", "acme"]).await.map(drop)
    }

    /// Waits until a request needs attention, looks at it in every way, and at the pages.
    async fn stands_still(&mut self, id: &str) -> Result<()> {
        let of = |event: &Value| event["data"]["state"] == "needs_attention" && event["data"]["request_id"] == id;
        self.desk.hears(&format!("that {id} needs attention"), of).await?;
        self.run(&["attention", "show", id, "--tenant", "acme"]).await?;
        self.run(&["attention", "list", "--json"]).await?;
        self.get(&format!("/v1/requests/{id}?tenant=acme")).await?;
        self.look_at_pages().await
    }

    async fn redrive(&mut self, id: &str) -> Result<()> {
        self.run(&["attention", "redrive", "--all", "--actor", "olivia"])
            .await?
            .done()?;
        self.ends(id, "erased").await
    }

    pub(super) async fn look_at_pages(&mut self) -> Result<()> {
        for page in ["/metrics", "/readyz", "/healthz"] {
            self.pages += &reqwest::get(self.role.url(page)).await?.text().await?;
        }
        Ok(())
    }

    async fn get(&mut self, path: &str) -> Result<()> {
        let sent = reqwest::Client::new()
            .get(self.role.url(path))
            .bearer_auth(TOKEN)
            .send()
            .await?;
        self.keep(sent).await.map(drop)
    }

    async fn post(&mut self, path: &str, body: impl Into<reqwest::Body>, content_type: &str) -> Result<u16> {
        let post = reqwest::Client::new().post(self.role.url(path)).bearer_auth(TOKEN);
        let sent = post.header("content-type", content_type).body(body).send().await?;
        self.keep(sent).await
    }

    async fn keep(&mut self, response: reqwest::Response) -> Result<u16> {
        let status = response.status().as_u16();
        self.answers += &format!("{:?}", response.headers());
        self.answers += &response.text().await?;
        Ok(status)
    }

    /// Everything by the command line: dry run, find, look-up, erase; deactivate and reactivate; the same id for somebody else.
    pub(super) async fn by_command(&mut self) -> Result<()> {
        let (person, other, stranger) = (self.next()?, self.next()?, self.next()?);
        let arguments = person.arguments();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.request("cli", &person, &["--dry-run"]).await?.done()?;
        for look in ["find", "lookup"] {
            self.run(&[&[look, "--tenant", "acme"], arguments.as_slice()].concat())
                .await?
                .done()?;
        }
        self.request("cli", &person, &["--watch"]).await?.done()?;
        self.run(&[&["find", "--tenant", "acme"], arguments.as_slice()].concat())
            .await?
            .done()?;
        self.request("cli", &stranger, &[]).await?;
        for (id, operation) in [("off", "deactivate"), ("on", "reactivate"), ("gone", "erase")] {
            self.request(id, &other, &["--operation", operation, "--watch"])
                .await?
                .done()?;
        }
        // Mistaken for something else: an id, a tenant, a kind, a pair, a ticket.
        let Person { email, phone, name, .. } = &stranger;
        let words = [
            format!("email={email}"),
            format!("{email}=email"),
            format!("nick={name}"),
            email.clone(),
        ];
        for word in &words {
            self.run(&["find", "--tenant", "acme", word]).await?;
            self.run(&["request", "--tenant", "acme", "--dry-run", word]).await?;
        }
        self.run(&["find", "--tenant", email, &words[0]]).await?;
        self.run(&["request", "--tenant", "acme", "--ticket", phone, "--id", email, &words[0]])
            .await?;
        for command in [
            vec!["status", email],
            vec!["attention", "show", email],
            vec!["attention", "list", "--code", email],
        ] {
            self.run(&command).await?;
        }
        Ok(())
    }

    /// Files with good and bad lines, and one whose header was forgotten.
    pub(super) async fn by_file(&mut self) -> Result<()> {
        let bad = self.next()?;
        let Person {
            name,
            email,
            phone,
            external_id,
            ..
        } = &bad;
        let word = external_id.trim_start_matches("QX-").to_lowercase();
        let mut csv = "email,business_unit,external_id,phone\n".to_owned();
        for person in self.people.by_ref().take(90) {
            csv += &format!("{},EU,{},{}\n", person.email, person.external_id, person.phone);
        }
        csv += &format!("\"{name},EU,,\n{email},EU,{external_id},{phone},{name}\n{email}\n{name}\0,EU,,\n,{name},,\n");
        let mut ndjson = String::new();
        for person in self.people.by_ref().take(60) {
            ndjson += &format!("{}\n", person.subject());
        }
        ndjson += &format!(
            "{{\"phone\":[\"{phone}\"]}}\n{{\"{email}\":1}}\n{{\"{word}\":\"external_id\"}}\n{phone}\n{{\"phone\":\"{phone}\",\"phone\":\"{name}\"}}\n"
        );
        let files = [
            ("csv", self.world.file("people.csv", csv)?),
            ("ndjson", self.world.file("people.ndjson", ndjson)?),
            (
                "forgotten",
                self.world.file("forgotten.csv", format!("{email},EU\n{word}\n"))?,
            ),
        ];
        for (id, file) in &files {
            let answer = self.run(&["import", file, "--tenant", "acme", "--id", id, "--watch"]).await?;
            ensure!(answer.code != Some(0), "{id} has bad lines: {answer:?}");
        }
        self.ends("csv", "erased").await?;
        self.ends("ndjson", "erased").await
    }

    /// Good and bad bodies over HTTP, and identifiers where none belong.
    pub(super) async fn by_http(&mut self) -> Result<()> {
        const JSON: &str = "application/json";
        let (person, bad) = (self.next()?, self.next()?);
        let Person {
            name,
            email,
            phone,
            external_id,
            ..
        } = &bad;
        let good = command("acme", "http", &[person.subject()]).to_string();
        ensure!(self.post("/v1/requests", good, JSON).await? == 202);
        self.ends("http", "erased").await?;
        let other = command("acme", "http", &[bad.subject()]).to_string();
        self.post("/v1/requests", other, JSON).await?;
        let word = external_id.trim_start_matches("QX-").to_lowercase();
        let with = |field: &str, value: Value| {
            let mut command = command("acme", "bad", &[bad.subject()]);
            command[field] = value;
            command.to_string()
        };
        let bodies = [
            format!("{{\"version\":1,\"tenant\":\"{email}"),
            email.clone(),
            with("tenant", json!(email)),
            with("request_id", json!(email)),
            with("operation", json!(name)),
            with("received_at", json!(phone)),
            with("ticket", json!(email)),
            with(email, json!(1)),
            with(&word, json!(1)),
            with(
                "subjects",
                json!([{ "phone": [phone] }, { "email": email }, { email: "email" }, { &word: "external_id" }]),
            ),
            with("subjects", json!(email)),
            with("part", json!({ "number": phone, "last": email })),
        ];
        for body in bodies {
            let status = self.post("/v1/requests", body.clone(), JSON).await?;
            ensure!((400..500).contains(&status), "{status}");
            self.post("/v1/find", body, JSON).await?;
        }
        self.post("/v1/requests", email.clone(), &format!("text/{word}")).await?;
        let identifiers = json!({ "tenant": "acme", "identifiers": bad.subject() });
        ensure!(self.post("/v1/find", identifiers.to_string(), JSON).await? == 200);
        let paths = [
            format!("/v1/requests/{email}"),
            format!("/v1/requests/http?tenant={email}"),
            format!("/v1/requests/{word}?tenant=acme"),
            format!("/v1/{name}/{phone}"),
        ];
        for path in &paths {
            self.get(path).await?;
        }
        Ok(())
    }

    /// Two people under one e-mail address: somebody decides, and gives up.
    pub(super) async fn ambiguous(&mut self, twin: &Person) -> Result<()> {
        let email = format!("email={}", twin.email);
        self.run(&["request", "--tenant", "acme", "--id", "twins", &email, "business_unit=EU"])
            .await?
            .done()?;
        self.stands_still("twins").await?;
        let discard = [
            "attention",
            "discard",
            "twins",
            "--tenant",
            "acme",
            "--actor",
            "olivia",
            "--reason",
            "duplicate",
        ];
        self.run(&discard).await?.done()?;
        self.ends("twins", "closed_not_erased").await
    }

    /// A store that refuses and quotes the person: a missing table, a trigger, a foreign key.
    pub(super) async fn refused_by_stores(&mut self) -> Result<()> {
        let company = self.world.company().clone();
        let person = self.next()?;
        company
            .execute("marketing", "alter table memberships rename to elsewhere")
            .await?;
        self.request("missing", &person, &[]).await?.done()?;
        self.stands_still("missing").await?;
        company
            .execute("marketing", "alter table elsewhere rename to memberships")
            .await?;
        self.redrive("missing").await?;

        let person = self.next()?;
        let trigger = format!(
            "create function holds() returns trigger language plpgsql as $$ begin \
             raise exception '% % of % is held', old.last_name, old.email, old.phone \
             using detail = old.external_id, hint = old.email; end $$; \
             create trigger holds before delete on participants for each row \
             when (old.external_id = '{}') execute function holds()",
            person.external_id
        );
        company.execute("crm", &trigger).await?;
        self.request("trigger", &person, &[]).await?.done()?;
        self.stands_still("trigger").await?;
        company.execute("crm", "drop trigger holds on participants").await?;
        self.redrive("trigger").await?;

        let person = self.next()?;
        let badge = format!(
            "create table badges (tenant_id text, external_id text, foreign key (tenant_id, external_id) \
             references participants (tenant_id, external_id)); insert into badges values ('acme', '{}')",
            person.external_id
        );
        company.execute("crm", &badge).await?;
        self.request("badge", &person, &[]).await?.done()?;
        self.stands_still("badge").await?;
        company.execute("crm", "drop table badges").await?;
        self.redrive("badge").await
    }

    /// A vendor that refuses and repeats what it was sent.
    pub(super) async fn refused_by_vendor(&mut self) -> Result<()> {
        for (id, status) in [("refused", 422), ("failing", 503)] {
            let person = self.next()?;
            let email = format!("email={}", person.email);
            self.mailer
                .set(Mode::doing(&[Act::Echo { status }, Act::Echo { status }], &[]));
            let creates = self.mailer.calls().creates;
            self.run(&["request", "--tenant", "acme", "--id", id, &email, "business_unit=EU"])
                .await?
                .done()?;
            if status == 422 {
                self.stands_still(id).await?;
            } else {
                let mailer = self.mailer;
                eventually_true("the vendor was asked", SOON, || async { mailer.calls().creates > creates }).await?;
            }
            self.look_at_pages().await?;
            self.mailer.set(Mode::ok(0));
            self.run(&["attention", "redrive", "--all", "--actor", "olivia"]).await?;
            self.ends(id, "erased").await?;
        }
        Ok(())
    }

    /// The process is killed while it holds people.
    pub(super) async fn killed(&mut self) -> Result<()> {
        let people: Vec<Person> = self.people.by_ref().take(20).collect();
        let hold = Hold::writes(self.world.company(), "crm", "participants").await?;
        let rows: Vec<[&str; 1]> = people.iter().map(|person| [person.external_id.as_str()]).collect();
        let file = self.world.csv("crash.csv", &["external_id"], &rows)?;
        self.run(&["import", &file, "--tenant", "acme", "--id", "crash"])
            .await?
            .done()?;
        hold.holds_up(1).await?;
        self.role.kill9().await?;
        hold.release().await?;
        self.role = self.world.run_all().await?;
        self.ends("crash", "erased").await
    }

    /// By a producer that seals nothing, in good and bad commands; and garbage where only the fleet's own messages belong.
    pub(super) async fn in_plain_text(&mut self, people: &[Person]) -> Result<()> {
        let [good, bad, event] = people.first_chunk().context("three people")?;
        let before = parked(self.world).await?.len();
        self.desk.ask(&command("acme", "plain", &[good.subject()])).await?;
        self.ends("plain", "erased").await?;
        let Person {
            name,
            email,
            phone,
            external_id,
            ..
        } = bad;
        let word = external_id.trim_start_matches("QX-").to_lowercase();
        self.desk.ask(&command("acme", "plain", &[bad.subject()])).await?;
        self.desk.ask(&command("initech", "tenant", &[bad.subject()])).await?;
        self.desk.ask(&command(email, "tenant", &[bad.subject()])).await?;
        self.desk
            .ask(&command("acme", "kind", &[json!({ &word: "external_id" })]))
            .await?;
        self.desk.ask(&command("acme", "half", &[json!({ "email": email })])).await?;
        self.desk
            .ask(&command("acme", "email", &[json!({ email: "email", "phone": [phone] })]))
            .await?;
        self.desk.ask(&json!(name)).await?;
        let headers = [
            ("id", email),
            ("source", phone),
            ("type", name),
            ("specversion", &"1.0".to_owned()),
            ("subject", email),
        ];
        let headers = headers.map(|(name, value)| (format!("cloudEvents_{name}"), value.clone()));
        self.desk
            .hand_in(Message {
                message_id: Some(email.clone()),
                content_type: Some("application/json".into()),
                headers: headers.into(),
                body: command("acme", "event", &[bad.subject()]).to_string().into_bytes(),
                ..Message::default()
            })
            .await?;
        // A good event that names the person as its subject.
        let structured = json!({ "specversion": "1.0", "type": "erasure.request", "source": "/crm", "id": "e-1",
            "subject": event.email, "data": command("acme", "event-1", &[event.subject()]) });
        self.desk.ask(&structured).await?;
        self.ends("event-1", "erased").await?;
        let all = before + 8;
        let world = self.world;
        let aside = || async { parked(world).await.is_ok_and(|parked| parked.len() == all) };
        eventually_true("eight are put aside", SOON, aside).await?;
        self.garbage(bad).await?;
        let put_aside = parked(self.world).await?;
        let (_, _, first) = put_aside.first().context("something is put aside")?;
        for (_, _, id) in &put_aside {
            self.run(&["attention", "show", id]).await?.done()?;
        }
        self.run(&["attention", "redrive", "--parked", first, "--actor", "olivia"])
            .await?
            .done()?;
        let (_, _, last) = put_aside.last().context("something is put aside")?;
        self.run(&["attention", "discard", last, "--actor", "olivia", "--reason", "nonsense"])
            .await?
            .done()?;
        let gone = || async {
            parked(world)
                .await
                .is_ok_and(|parked| parked.iter().all(|(_, _, id)| id != last))
        };
        eventually_true("it is discarded", SOON, gone).await
    }

    /// What cannot be read, in every queue that the roles read from; each is put aside or dropped, and the fleet goes on.
    async fn garbage(&mut self, person: &Person) -> Result<()> {
        let Person { name, email, phone, .. } = person;
        let bodies = [
            email.clone(),
            json!({ "version": 1, "ledger": email, "items": [{ "tenant": name }] }).to_string(),
            json!({ "version": 1, "id": phone, "actor": email, "at": 1, "act": { "kind": name } }).to_string(),
            json!({ "version": 99, "name": name }).to_string(),
        ];
        for queue in [
            "er.outcome.v1",
            "er.act.v1",
            "er.dead.profiles.v1",
            "er.dead.ingest.v1",
            "er.unrouted.v1",
        ] {
            for body in &bodies[..3] {
                let letter = Message {
                    routing_key: queue.to_owned(),
                    message_id: Some(email.clone()),
                    headers: vec![("x-person".to_owned(), phone.clone())],
                    body: body.clone().into_bytes(),
                    ..Message::default()
                };
                self.desk.producer.publish(&letter).await?;
            }
        }
        for lane in ["single", "bulk", "solo"] {
            for body in &bodies[..2] {
                let letter = Message {
                    routing_key: format!("er.work.segments.{lane}.v1"),
                    body: body.clone().into_bytes(),
                    ..Message::default()
                };
                self.desk.producer.publish(&letter).await?;
            }
        }
        let person = self.next()?;
        self.request("after", &person, &["--watch"]).await?.done()?;
        self.ends("after", "erased").await
    }
}
