# Two commands for everybody: `make demo` and `make test`. `make check` is what continuous integration adds.
.PHONY: demo test faults check fmt lint doc deny manifests

# Prints the path of a nats-server, fetching one if there is none.
NATS = "$$(deploy/nats-server)"

demo:
	NATS_SERVER=$(NATS) cargo run --quiet --locked -- demo $(ARGS)

test:
	NATS_SERVER=$(NATS) deploy/with-postgres cargo test --locked

# A long run of faults, the death of a cluster's leader and a long outage. FAULTS_RUNS says how long, FAULTS_SEED repeats one.
faults:
	NATS_SERVER=$(NATS) deploy/with-postgres cargo test --locked --test faults -- --ignored --nocapture --test-threads=1

check: fmt lint doc deny manifests

fmt:
	cargo fmt --all -- --check

lint:
	cargo clippy --locked --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

deny:
	"$$(deploy/cargo-deny)" check licenses bans sources

# Renders what goes to Kubernetes, and lets Prometheus read its rules, where their tools are installed. `make test` holds the
# same files against the program everywhere.
manifests:
	if command -v kubectl >/dev/null; then kubectl kustomize deploy/kubernetes/base >/dev/null && kubectl kustomize deploy/kubernetes/full >/dev/null; fi
	if command -v promtool >/dev/null; then promtool check rules deploy/prometheus/alerts.yaml; fi
