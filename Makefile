# Two commands for everybody: `make demo` and `make test`. `make check` is what continuous integration adds.
.PHONY: demo test faults check fmt lint doc deny manifests

# Prints the path of a nats-server, fetching one if there is none.
NATS = "$$(deploy/nats-server)"

# Tests of the built program in which runs are played.
PLAYED = end_to_end::strangers end_to_end::lives end_to_end::cancelling end_to_end::parameters end_to_end::replays \
	end_to_end::stops end_to_end::takeovers end_to_end::limits end_to_end::sessions \
	end_to_end::observed end_to_end::propagation

demo:
	NATS_SERVER=$(NATS) cargo run --quiet --locked -- demo $(ARGS)

# The second line is what runs do end to end, with a process for each.
test:
	NATS_SERVER=$(NATS) deploy/with-postgres cargo test --locked
	NATS_SERVER=$(NATS) SCENARIO_TEST_ISOLATION=process cargo test --locked --test it -- $(PLAYED)

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
