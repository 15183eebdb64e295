//! The early dialogs one INVITE may make (RFC 3261 §12.1, §13.2.2.4): one for each To tag.

use crate::{
    message::{Request, Response},
    transport::Flow,
};

use super::{Dialog, DialogError};

/// Early dialogs of one INVITE, bounded: a peer that invents To tags gains nothing.
#[derive(Debug, Default)]
pub struct Forks(Vec<Dialog>);

impl Forks {
    /// Notes the early dialog of a 101–199 with a To tag; known ones stay as they are, and beyond
    /// [`Forks::MOST`] none is added.
    pub fn early(&mut self, request: &Request, response: &Response, flow: Flow) -> Result<(), DialogError> {
        let to = response.to()?;
        let Some(tag) = to.tag() else { return Ok(()) };
        match self.0.iter().position(|dialog| dialog.remote_tag() == tag) {
            Some(at) => self.0[at].refresh(response)?,
            None if self.0.len() < Self::MOST => self.0.push(Dialog::uac(request, response, flow)?),
            None => {}
        }
        Ok(())
    }

    /// The dialog a 2xx confirms: the early one with its tag, or a new one.
    pub fn confirm(
        &mut self,
        request: &Request,
        response: &Response,
        flow: Flow,
    ) -> Result<Dialog, DialogError> {
        let to = response.to()?;
        let tag = to.tag().unwrap_or_default();
        match self.0.iter().position(|dialog| dialog.remote_tag() == tag) {
            Some(at) => {
                let mut dialog = self.0.swap_remove(at);
                dialog.confirm(response);
                Ok(dialog)
            }
            None => Dialog::uac(request, response, flow),
        }
    }

    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Dialog> {
        self.0.iter_mut()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Dialog> {
        self.0.iter()
    }

    /// All branches but the answered one are of no interest any more.
    pub fn clear(&mut self) {
        self.0 = Vec::new();
    }

    pub const MOST: usize = 32;
}
