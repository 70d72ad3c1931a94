# Everything a fresh machine with Python >= 3.11 and make needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
ORDERS ?= examples/orders.csv
# pytest-benchmark, which no test needs, warns of pytest-xdist, and warnings are errors. On two cores a third test has
# its turn while others wait for a process of theirs; the slow ones compute.
THREE_AT_A_TIME := -n 3 -p no:benchmark
TWO_AT_A_TIME := -n 2 -p no:benchmark

.PHONY: demo test test-slow test-sdks check docs bench bench-peers clean

demo: $(VENV)/demo.installed   ## the main job: a file of orders, on SQLite, then on the SQS emulator over HTTP
	$(BIN)/python examples/order_processing.py $(ORDERS)
	rm -rf .demo/sqs && mkdir -p .demo/sqs
	$(BIN)/python examples/with_emulator.py $(BIN)/python examples/order_processing.py $(ORDERS) --state .demo/sqs \
		--url 'sqs://us-east-1?wait_s=1' --recipients sqlite:///.demo/sqs/recipients.db

test: $(VENV)/test.installed   ## every fast test
	$(BIN)/python -m pytest $(THREE_AT_A_TIME) -m "not slow and not sdks" $(ARGS)

test-slow: $(VENV)/test.installed $(VENV)/check.installed   ## the rest
	$(BIN)/python -m pytest $(TWO_AT_A_TIME) -m slow $(ARGS)

test-sdks: $(VENV)/test.installed   ## the emulator before AWS's own SDKs: needs Node.js, Java with Maven, and Go
	$(BIN)/python -m pytest -m sdks $(ARGS)

check: test $(VENV)/check.installed   ## the tests and the static gates
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports
	$(BIN)/deptry .
	$(BIN)/codespell

docs: $(VENV)/test.installed   ## write what the programs of docs/simulation.md print into it
	$(BIN)/python docs/render.py docs/simulation.md

bench: $(VENV)/test.installed $(VENV)/bench.installed   ## every figure of docs/benchmarks.md, beside whichever peers are installed
	$(BIN)/python -m benchmarks.emulator
	$(BIN)/python -m benchmarks.sqs.compare
	$(BIN)/python -m pytest benchmarks -m "not slow" -p no:randomly --benchmark-only $(ARGS)

bench-peers: $(VENV)/test.installed   ## install what `make bench` compares with: from npm, from PyPI, and wrk (apt, as root)
	$(BIN)/python -m benchmarks.emulator.peers

clean:
	rm -rf $(VENV) .demo .peers

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/busframe.installed: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]'
	$(BIN)/python -m compileall -q busframe backends emulator
	touch $@

# pip before 25.1 does not read dependency groups, so the list is read from pyproject.toml here.
$(VENV)/%.installed: $(VENV)/busframe.installed
	$(BIN)/python -c 'import tomllib; print("\n".join(tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["$*"]))' > $(VENV)/$*.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --requirement $(VENV)/$*.txt
	touch $@
