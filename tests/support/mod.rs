//! Real servers and doubles that the tests share.
