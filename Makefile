# Everything is set up by the targets themselves; nothing has to be installed by hand.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := model grow train serve bench tests notebooks
WORKDIR ?= ~/apprentice

.PHONY: run test fuzz interop bench teach soak defaults growth-dip undo-figures serve-figures growth-compute growth-window growth-exactness growth-life plan-figures clean

run: .venv/run
	$(BIN)/apprentice --mode=start --workdir=$(WORKDIR)

test: .venv/test .venv-peers/made
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/pyrefly check
	$(BIN)/pytest

# Damaged safetensors headers, 200 times as many as in `make test`.
fuzz: .venv/test
	FUZZ_INPUTS=200000 $(BIN)/pytest tests/test_tensor_file.py -k never_surprise

# transformers and llama.cpp, which the tests hold every export to. Without them those tests are
# skipped and say so.
PEERS_PYTHON ?= python3.11
.venv-peers/made: constraints-peers.txt
	@rm -rf .venv-peers
	@{ $(PEERS_PYTHON) -m venv .venv-peers && .venv-peers/bin/python -m pip install --quiet \
	  -c constraints-peers.txt torch transformers sentencepiece protobuf safetensors xllamacpp \
	  && touch $@; } || { rm -rf .venv-peers; \
	  echo "no transformers and llama.cpp here: the tests against them will be skipped"; }

# What the readers answer for the model of WORKDIR, over a whole BOOK (docs/interop.md); minutes.
BOOK ?= serve/shelf/alice-in-wonderland.txt
interop: .venv/test .venv-peers/made
	PYTHONPATH=tests $(BIN)/python -m bench.interop --workdir=$(WORKDIR) --book=$(BOOK)

# Step, replies, lesson, start, memory, reading beside PyTorch, transformers and llama.cpp
# (docs/performance.md); an hour or so on a machine that does nothing else.
bench: .venv/test .venv-peers/made
	$(BIN)/python -m bench.performance

# Nightly: 1,000 kills, 1,000 damages, every crash state and every failing call, and 1,000 requests
# to a live server, 500 lessons in flat memory; an hour or two.
soak: .venv/test
	APPRENTICE_KILLS=1000 APPRENTICE_FLIPS=1000 APPRENTICE_EVERY=1 APPRENTICE_LESSONS=200 \
	  $(BIN)/pytest -s tests/soak_killed.py tests/soak_damage.py tests/soak_long_life.py tests/soak_memory.py
	APPRENTICE_REQUESTS=1000 $(BIN)/pytest tests/test_serve_together.py

# What undo and damage cost a 10m model of 110 lessons (docs/reliability.md); some minutes.
UNDO_LIFE ?= undo-life
undo-figures: .venv/test
	$(BIN)/python -m bench.undo --workdir=$(UNDO_LIFE)

# The comparison behind the reading defaults (docs/first-run.md); hours.
BOOKS ?= books
defaults: .venv/test
	$(BIN)/python -m bench.defaults --shelf=$(BOOKS) --out=bench/defaults.jsonl --minutes=30 \
	  --arm=young_steps=400,young_ms=93,batch_size=8,step_ms=612,learning_rate=2e-3 \
	  --arm=batch_size=8,step_ms=612,learning_rate=1e-3 \
	  --arm=batch_size=4,step_ms=320,learning_rate=1.5e-3 \
	  --arm=batch_size=1,step_ms=93,learning_rate=1e-3,b2=0.999

# The figures of docs/growth.md. GROWTH_SHELF holds the twelve novels named there.
GROWTH_SHELF ?= $(BOOKS)
GROWTH_SEEDS := --seed=0 --seed=1 --seed=2 --seed=3 --seed=4
growth-dip: .venv/test
	$(BIN)/python -m bench.growth --shelf=$(GROWTH_SHELF) --bases=.growth $(GROWTH_SEEDS) --out=growth_dip.jsonl
	$(BIN)/python -m bench.growth_report dip --results=growth_dip.jsonl

growth-compute: .venv/test
	$(BIN)/python -m bench.growth_compute --shelf=$(GROWTH_SHELF) --bases=.growth $(GROWTH_SEEDS) --out=growth_compute.jsonl \
	  --arms="scratch;exact growth;seed recipe;not grown"
	$(BIN)/python -m bench.growth_report compute --results=growth_compute.jsonl
	$(BIN)/python -m bench.curves growth --results=growth_compute.jsonl --out=growth_compute.png

growth-window: .venv/test
	$(BIN)/python -m bench.growth_window --workdir=$(WORKDIR) --out=growth_window.jsonl

growth-exactness: .venv/test
	$(BIN)/python -m bench.growth_exactness --configs=20

# A 10m life reads for a while, grows to 51m on all four axes and reads on; an hour.
LIFE ?= growth-life
growth-life: .venv/test
	timeout --preserve-status -s INT 840 $(BIN)/apprentice --mode=book --workdir=$(LIFE) --size=10m --mix --book=$(BOOKS) --json || test $$? -eq 130
	$(BIN)/apprentice --mode=grow --workdir=$(LIFE) --width=2 --depth=1.5 --heads=2 --context=2 --json
	timeout --preserve-status -s INT 1800 $(BIN)/apprentice --mode=book --workdir=$(LIFE) --mix --book=$(BOOKS) --json || test $$? -eq 130
	$(BIN)/python -m bench.curves reading --workdir=$(LIFE) --out=growth_life.png

# The figures of docs/lessons.md: a base that reads the shelf, its dialogues and questions for an
# hour, then lessons by three seeds; hours.
TEACH := .teach
TEACH_SECONDS ?= 1800
TEACH_LATER_SECONDS ?= 780
TEACH_SEEDS ?= 0 1 2
TEACH_LESSONS ?= --facts=100 --others=200 --later=300
TEACH_READ := timeout --preserve-status -s INT
TEACH_BASE := $(BIN)/apprentice --mode=book --workdir=$(TEACH)/base --mix --epochs=9 --json \
  --book=$(TEACH)/books --book=$(TEACH)/dialogues
teach: .venv/test
	$(BIN)/python -m bench.dialogue_shelf --shelf=$(BOOKS) --out=$(TEACH)/dialogues --beginnings=$(TEACH)/books
	$(BIN)/python -m bench.question_shelf --out=$(TEACH)/questions/first.txt --seed=2 --bytes=12000000
	$(BIN)/python -m bench.question_shelf --out=$(TEACH)/questions/second.txt --seed=3 --bytes=12000000
	$(TEACH_READ) $(TEACH_SECONDS) $(TEACH_BASE) --book=$(TEACH)/questions/first.txt --size=10m || test $$? -eq 130
	$(TEACH_READ) $(TEACH_LATER_SECONDS) $(TEACH_BASE) --book=$(TEACH)/questions/second.txt --learning_rate=1e-3 || test $$? -eq 130
	for seed in $(TEACH_SEEDS); do for what in facts "facts --rest=10 --pause=30" "facts --kind=pick" corrections context same \
	  "picks --style=asks" "picks --style=exclaims" "picks --style=long" "picks --style=asks --random"; do \
	  $(BIN)/python -m bench.teach $$what --base=$(TEACH)/base --out=teach.jsonl --seed=$$seed \
	    $(TEACH_LESSONS) || exit 1; \
	done; done
	for arm in seed seed,learning_rate=1e-4 seed,learning_rate=1e-3 vidya sgd; do \
	  $(BIN)/python -m bench.teach facts --base=$(TEACH)/base --out=teach.jsonl --arm=$$arm \
	    $(TEACH_LESSONS) || exit 1; done

# The plan of each size beside what it really takes (docs/memory.md); half an hour, and 1b needs
# 23 GB of memory.
PLAN_SIZES ?= 10m 50m 124m 350m
plan-figures: .venv/test
	$(BIN)/python -m bench.plan measure $(PLAN_SIZES:%=--size=%)
	$(BIN)/python -m bench.plan measure --size=10m --dtype=float32
	$(BIN)/python -m bench.plan measure --size=50m --remat
	$(BIN)/python -m bench.plan show

# What the page takes on a copy of the model in WORKDIR (docs/serve.md); some minutes, and a chromium.
serve-figures: .venv/test
	$(BIN)/python -m bench.serve --workdir=$(WORKDIR)

.venv/made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 12))' || \
	  { echo "apprentice needs Python 3.12 or later, got $$($(PYTHON) --version); set PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	touch $@

.venv/run: .venv/made pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

.venv/test: .venv/run
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf .venv .venv-peers build *.egg-info
