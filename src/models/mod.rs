//! Chat models: from `provider/model` to a client that answers.
