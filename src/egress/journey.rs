//! One call on its way, over as many hops as it takes.

use reqwest::{Request, Response};
use url::{Origin, Url};

use super::client::Redirects;

/// Is told of each answer that leads on, and of the request that follows it, which it may change.
pub type OnHop<'a> = &'a mut (dyn FnMut(&Response, &mut Request) + Send);

/// One call on its way.
pub struct Journey<'a> {
    pub(super) home: Origin,
    pub(super) redirects: Redirects,
    pub(super) repeatable: bool,
    pub(super) at: Url,
    pub(super) on_hop: OnHop<'a>,
}

impl<'a> Journey<'a> {
    /// A call that is to be made as `request` says, for an agent whose certificates are for the origin `home`.
    pub fn new(home: Origin, request: &Request, redirects: Redirects, on_hop: OnHop<'a>) -> Self {
        Self { home, redirects, repeatable: false, at: request.url().clone(), on_hop }
    }

    /// A call that may be made once more where it is not known whether it arrived.
    #[must_use]
    pub fn repeatable(self, repeatable: bool) -> Self {
        Self { repeatable, ..self }
    }

    /// Who is called now, or was called last.
    #[must_use]
    pub fn at(&self) -> &Url {
        &self.at
    }

    /// Goes on with what follows `answer`.
    pub(super) fn hop(&mut self, answer: &Response, mut next: Request) -> Request {
        (self.on_hop)(answer, &mut next);
        self.at.clone_from(next.url());
        next
    }
}
