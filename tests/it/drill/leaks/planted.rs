//! People with unmistakable identifiers.

use anyhow::Result;
use erasure_tests::{binary::repository, company::Company};
use std::fmt::Write as _;

/// A thousand identifiers: four of each person.
const PEOPLE: u32 = 250;

/// From here on they are asked for by producers who seal nothing, so RabbitMQ's disk may hold them.
const PLAIN_FROM: u32 = 221;

/// How many people the company must know, so that all of these are acme's.
pub(super) const COMPANY: u32 = 600;

/// One of them. Every identifier holds a word that stands nowhere else.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) phone: String,
    pub(super) external_id: String,
}

impl Person {
    fn new(number: u32) -> Self {
        Self {
            number,
            name: format!("Qz{}", letters(number, 1)),
            email: format!("{}@example.invalid", email_word(number)),
            phone: format!("+{}", phone_word(number)),
            external_id: format!("QX-{}", external_word(number)),
        }
    }

    /// The words to look for.
    pub(super) fn words(&self) -> [String; 4] {
        [
            self.name.clone(),
            email_word(self.number),
            phone_word(self.number),
            external_word(self.number),
        ]
    }

    /// A way to find the person, one after the other of the three.
    pub(super) fn way(&self) -> Vec<(&'static str, &str)> {
        match self.number % 3 {
            0 => vec![("external_id", &self.external_id)],
            1 => vec![("phone", &self.phone)],
            _ => vec![("email", &self.email), ("business_unit", "EU")],
        }
    }

    /// The same as arguments of the command line.
    pub(super) fn arguments(&self) -> Vec<String> {
        self.way().iter().map(|(kind, value)| format!("{kind}={value}")).collect()
    }

    /// The same as a subject of a command.
    pub(super) fn subject(&self) -> serde_json::Value {
        let way = self.way().into_iter();
        way.map(|(kind, value)| (kind.to_owned(), serde_json::Value::from(value)))
            .collect()
    }
}

fn email_word(number: u32) -> String {
    format!("qm{}", letters(number, 2))
}

fn phone_word(number: u32) -> String {
    let digits = 100_000_000 + mixed(u64::from(number) << 8 | 3) % 900_000_000;
    format!("4999{digits}")
}

fn external_word(number: u32) -> String {
    format!("{}{}", letters(number, 4).to_uppercase(), number % 10)
}

/// Nine letters that follow from the two numbers.
fn letters(number: u32, kind: u32) -> String {
    let mut rest = mixed(u64::from(number) << 8 | u64::from(kind));
    let mut letters = String::new();
    for _ in 0..9 {
        letters.push(char::from(b'a' + u8::try_from(rest % 26).unwrap_or(0)));
        rest /= 26;
    }
    letters
}

/// splitmix64.
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The people whose identifiers are sealed wherever we have a say, and those of whom a producer speaks in plain text.
pub(super) fn people() -> (Vec<Person>, Vec<Person>) {
    (1..=PEOPLE).map(Person::new).partition(|person| person.number < PLAIN_FROM)
}

/// Whose identifiers are left in each kind of place on purpose, to see that the hunt finds them there.
pub(super) fn decoys() -> Vec<Person> {
    (1..=12).map(|number| Person::new(10_000 + number)).collect()
}

/// Writes them over people of the sample company, in PostgreSQL. The last two sealed ones share one e-mail address.
pub(super) async fn plant(company: &Company, people: &[Person], twins: [u32; 2]) -> Result<()> {
    let mut rows = String::new();
    for person in people {
        let email = if person.number == twins[1] {
            format!("{}@example.invalid", email_word(twins[0]))
        } else {
            person.email.clone()
        };
        let Person {
            number,
            name,
            phone,
            external_id,
            ..
        } = person;
        write!(rows, "({number}, '{name}', '{email}', '{phone}', '{external_id}'),")?;
    }
    let sql = format!(
        "alter table participants add column phone text; \
         update participants set last_name = it.name, email = it.email, phone = it.phone, external_id = it.external_id, \
         business_unit = 'EU' from (values {}) it (number, name, email, phone, external_id) where id = it.number",
        rows.trim_end_matches(',')
    );
    company.execute("crm", &sql).await
}

/// The sample's map, and telephones.
pub(super) fn map() -> Result<String> {
    let map = std::fs::read_to_string(repository().join("deploy/sample/map.toml"))?;
    Ok(map
        .replacen("[identifiers]\n", "[identifiers]\nphone = \"exact\"\n", 1)
        .replacen(
            "  { external_id = \"external_id\" },\n",
            "  { external_id = \"external_id\" },\n  { phone = \"phone\" },\n",
            1,
        )
        .replacen(
            "external_id = \"external_id\", email",
            "external_id = \"external_id\", phone = \"phone\", email",
            1,
        ))
}
