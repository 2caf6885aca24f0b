//! Bodies sealed as a whole: commands on their way in, and what was parked.

use crate::{Error, KeyRing, Purpose};
use erasure_protocol::{SEALED_VERSION, SealedBody, SealedEnvelope};

const COMMAND: &str = "command";
const PARKED: &str = "parked";

impl KeyRing {
    /// Seals a command (its JSON) so that it can travel through `er.ingest`: the JSON of a [`SealedEnvelope`].
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn seal_command(&self, command: &[u8]) -> Result<Vec<u8>, Error> {
        self.seal_envelope(Purpose::Seal, COMMAND, command)
    }

    /// Opens a sealed command.
    ///
    /// # Errors
    /// When it is no envelope, of a later version, changed, or sealed with a key that this ring does not have.
    pub fn open_command(&self, envelope: &[u8]) -> Result<Vec<u8>, Error> {
        self.open_envelope(Purpose::Seal, COMMAND, envelope)
    }

    /// Seals a body that is parked, whatever it is.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn seal_parked(&self, body: &[u8]) -> Result<Vec<u8>, Error> {
        self.seal_envelope(Purpose::Park, PARKED, body)
    }

    /// Opens a parked body.
    ///
    /// # Errors
    /// As for [`Self::open_command`].
    pub fn open_parked(&self, envelope: &[u8]) -> Result<Vec<u8>, Error> {
        self.open_envelope(Purpose::Park, PARKED, envelope)
    }

    fn seal_envelope(&self, purpose: Purpose, place: &str, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let (key, body) = self.seal(purpose, place, plaintext)?;
        let envelope = SealedEnvelope {
            version: SEALED_VERSION,
            sealed: SealedBody { key, body },
        };
        Ok(envelope.to_json())
    }

    fn open_envelope(&self, purpose: Purpose, place: &str, envelope: &[u8]) -> Result<Vec<u8>, Error> {
        let envelope = SealedEnvelope::parse(envelope).ok_or(Error::NotAnEnvelope)?;
        if envelope.version > SEALED_VERSION {
            return Err(Error::NewerEnvelope {
                found: envelope.version,
                known: SEALED_VERSION,
            });
        }
        self.open(purpose, place, &envelope.sealed.key, &envelope.sealed.body)
    }
}
