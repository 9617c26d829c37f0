# Everything needs Python 3.11 or newer; the environment lives in .venv inside this folder.
PYTHON ?= python3
BIN := .venv/bin
OUT ?= runs/quick

.PHONY: demo test check browser docs format clean

demo: .venv/core.stamp
	$(BIN)/pacbench run quick --out $(OUT) || [ $$? -eq 1 ]
	@echo "The report:"
	@$(BIN)/pacbench report $(OUT)

check: .venv/test.stamp browser
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/pytest -m "not ray" -n 2

test: check
	$(BIN)/pytest -m ray -n 2

# The documentation as a site, in site/; open site/index.html, no server is needed.
docs: .venv/test.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "site/index.html"

format: .venv/test.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

.venv/core.stamp: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pacbench needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/test.stamp: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pacbench needs Python 3.11 or newer")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	touch .venv/core.stamp $@

# The report's page is tried in Chromium. Where root may install Debian's packages it is fetched; elsewhere those tests
# are skipped and say so (with CI set they fail).
browser:
	@command -v chromium chromium-browser google-chrome google-chrome-stable > /dev/null \
	|| { test "$$(id -u)" = 0 && command -v apt-get > /dev/null && apt-get update -qq \
	  && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium > /dev/null; } \
	|| echo "make: no Chromium here, so the tests of the report in a browser cannot run"

clean:
	rm -rf .venv runs site .pytest_cache .mypy_cache .ruff_cache
