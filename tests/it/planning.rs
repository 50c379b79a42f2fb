//! From a request to everything that its run needs: parameters, secrets, models.

mod desk;
mod outcomes;
mod parameters;
mod readme;
mod roles;
