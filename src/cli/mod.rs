//! One file per command; everything is wired here.
